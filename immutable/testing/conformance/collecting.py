"""From cases to pytest: one parametrized test function for each suite."""

import json
from collections.abc import Callable, Iterable

import attrs
import pytest

from immutable.testing.conformance import (  # noqa: F401 - imported for their cases
    changing,
    crashing,
    deploying,
    fleets,
    images,
    logs,
    machines,
    opening,
    placing,
    switches,
)
from immutable.testing.conformance.case import Case, Part
from immutable.testing.conformance.running import Ran, Result, failed, run
from immutable.testing.conformance.subject import Subject
from immutable.testing.conformance.suite import case as suite
from immutable.testing.conformance.trial import Trial

PROPERTY = "immutable conformance"
"""Names what a test's report carries for the plugin."""
_SKIPPED = frozenset({Result.NOT_APPLICABLE, Result.LEFT_OUT})
_Record = Callable[[str, object], None]


def backend_cases() -> Callable[..., None]:
    """Return a test for a backend with its switch; it wants a fixture ``subject``."""
    return _test_of(suite.all())


def switch_cases() -> Callable[..., None]:
    """Return a test for a switch alone; it wants a fixture ``subject``."""
    return _test_of(case for case in suite.all() if case.part is Part.SWITCH)


def _test_of(cases: Iterable[Case[Trial]]) -> Callable[..., None]:
    params = [pytest.param(case, id=case.name) for case in cases]

    @pytest.mark.parametrize("case", params)
    def test(case: Case[Trial], subject: Subject, record_property: _Record) -> None:
        """Hold the subject to one clause of the contract."""
        report(lambda: run(case, subject), failed(case, subject), record_property)

    return test


def report(work: Callable[[], Ran], otherwise: Ran, record_property: _Record) -> None:
    """Run a case and note what became of it; skip what did not run."""
    try:
        ran = work()
    except BaseException:
        record_property(PROPERTY, json.dumps(attrs.asdict(otherwise)))
        raise
    record_property(PROPERTY, json.dumps(attrs.asdict(ran)))
    if ran.result in _SKIPPED:
        pytest.skip(f"{ran.result}: {ran.reason}")
