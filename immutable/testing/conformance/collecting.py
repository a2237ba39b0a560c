"""From cases to pytest: one parametrized test function for each suite."""

import json
from collections.abc import Callable, Iterable
from typing import TypeVar

import attrs
import pytest

# first: the cases of one part are reported in the order in which they are imported
from immutable.testing.conformance import fleets, images, records  # noqa: F401 - imported for their cases

# isort: split
from immutable.testing.conformance import (  # noqa: F401 - imported for their cases
    adopting,
    changing,
    crashing,
    deploying,
    finding,
    grouping,
    ledgers,
    logs,
    machines,
    opening,
    placing,
    rebuilding,
    switches,
    validating,
)
from immutable.testing.conformance.case import Case, Part
from immutable.testing.conformance.ledgers import LedgerSubject, LedgerTrial, run_ledger
from immutable.testing.conformance.running import Ran, Result, failed, ran, run
from immutable.testing.conformance.subject import Subject
from immutable.testing.conformance.suite import case as suite
from immutable.testing.conformance.trial import Trial
from immutable.testing.conformance.validating import (
    ValidatorSubject,
    ValidatorTrial,
    run_validation,
)
from immutable.testing.plugin import PROPERTY

_T = TypeVar("_T")
_SKIPPED = frozenset({Result.NOT_APPLICABLE, Result.LEFT_OUT})
_Record = Callable[[str, object], None]


def backend_cases() -> Callable[..., None]:
    """Return a test for a backend with its switch; it wants a fixture ``subject``."""
    return _test_of(suite.all())


def switch_cases() -> Callable[..., None]:
    """Return a test for a switch alone; it wants a fixture ``subject``."""
    return _test_of(case for case in suite.all() if case.part is Part.SWITCH)


def ledger_cases() -> Callable[..., None]:
    """Return a test for a ledger store; it wants a fixture ``ledger_subject``."""

    @pytest.mark.parametrize("case", _params(ledgers.case.all()))
    def test(
        case: Case[LedgerTrial], ledger_subject: LedgerSubject, record_property: _Record
    ) -> None:
        """Hold the store to one clause of the contract."""
        otherwise = ran(case, ledger_subject.name, Result.FAILED)
        report(lambda: run_ledger(case, ledger_subject), otherwise, record_property)

    return test


def validator_cases() -> Callable[..., None]:
    """Return a test for a validator; it wants a fixture ``validator_subject``."""

    @pytest.mark.parametrize("case", _params(validating.case.all()))
    def test(
        case: Case[ValidatorTrial],
        validator_subject: ValidatorSubject,
        record_property: _Record,
    ) -> None:
        """Hold the validator to one clause of the contract."""
        otherwise = ran(case, validator_subject.name, Result.FAILED)
        report(
            lambda: run_validation(case, validator_subject), otherwise, record_property
        )

    return test


def _params(cases: Iterable[Case[_T]]) -> list[object]:
    return [pytest.param(case, id=case.name) for case in cases]


def _test_of(cases: Iterable[Case[Trial]]) -> Callable[..., None]:
    @pytest.mark.parametrize("case", _params(cases))
    def test(case: Case[Trial], subject: Subject, record_property: _Record) -> None:
        """Hold the subject to one clause of the contract."""
        report(lambda: run(case, subject), failed(case, subject), record_property)

    return test


def report(work: Callable[[], Ran], otherwise: Ran, record_property: _Record) -> None:
    """Run a case and note what became of it; skip what did not run."""
    try:
        done = work()
    except BaseException:
        record_property(PROPERTY, json.dumps(attrs.asdict(otherwise)))
        raise
    record_property(PROPERTY, json.dumps(attrs.asdict(done)))
    if done.result in _SKIPPED:
        pytest.skip(f"{done.result}: {done.reason}")
