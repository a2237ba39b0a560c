"""Holds a backend to the contract of `immutable.protocols`: the conformance kit.

    # tests/test_conformance.py
    import pytest
    from immutable.testing import conformance

    @pytest.fixture(scope="session")
    def subject() -> conformance.Subject:
        return conformance.Subject(
            backend="cloud://region", good="image-1", another="image-2", port=8080
        )

    test_backend = conformance.backend_cases()

Each case is one clause. What the backend's capabilities do not call for is reported as
not applicable; what they do not declare must be refused cleanly; what the subject
leaves out is reported as left out. A table at the end of pytest's output says how much
of each part was seen.

Needs the extra ``testing``: ``pip install "immutable-deploy[testing]"``.
"""

from immutable.testing.conformance.broken import Broken
from immutable.testing.conformance.case import Case, Part, Reach
from immutable.testing.conformance.collecting import (
    backend_cases,
    ledger_cases,
    switch_cases,
    validator_cases,
)
from immutable.testing.conformance.ledgers import LedgerSubject, run_ledger
from immutable.testing.conformance.running import Ran, Result, run
from immutable.testing.conformance.subject import Bootable, Subject
from immutable.testing.conformance.validating import ValidatorSubject, run_validation

__all__ = [
    "Bootable",
    "Broken",
    "Case",
    "LedgerSubject",
    "Part",
    "Ran",
    "Reach",
    "Result",
    "Subject",
    "ValidatorSubject",
    "backend_cases",
    "ledger_cases",
    "run",
    "run_ledger",
    "run_validation",
    "switch_cases",
    "validator_cases",
]
