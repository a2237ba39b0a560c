"""The page that lists all cases: ``python -m immutable.testing.conformance`` prints it."""

from collections.abc import Iterable, Iterator
from typing import TypeVar

from immutable.testing.conformance import collecting, ledgers, validating  # noqa: F401 - collecting imports all cases
from immutable.testing.conformance.case import Case, Part
from immutable.testing.conformance.suite import case as suite

_T = TypeVar("_T")
_HEAD = """\
# The conformance kit, case by case

A backend is done when it passes. The kit is in the wheel, extra `testing`; one fixture and
one line run it under pytest:

```python
import pytest
from immutable.testing import conformance

@pytest.fixture(scope="session")
def subject() -> conformance.Subject:
    return conformance.Subject(
        backend="cloud://region", good="image-1", another="image-2", port=8080
    )

test_backend = conformance.backend_cases()
```

The more a `Subject` names, the more is tried: a `broken` image, how to `kill` an instance,
how to `visit` an endpoint, how to `abandon` a build, an `inventory` that finds leaks.
`switch_cases()` tries a switch alone; `ledger_cases()` and `validator_cases()` want the
fixtures `ledger_subject` and `validator_subject`.

A case is one clause of the contract in `immutable.protocols`, `immutable.records` and
`immutable.groups`. It gets a fresh service and must leave nothing behind. When it fails, the
message says which clause is broken, what was expected, and what was seen. After each change
the kit waits for as long as readings may be old by the declared `staleness`, and then
believes what it reads.

pytest ends with a table: for each part how many cases *passed*; how many saw something that
is not declared *refused cleanly*; how many were *not applicable*; how many the subject has
*left out* (`leave_out`), which never counts as passed; and how many *failed*. Cases of
deployers that die say how many crash points of how many were tried (`crashes`).

What a case needs, from cheap to dear: *nothing*; *objects*, instances that need not boot
(`inert`); *ready instances*; *whole deployments*.

This page is made by `python -m immutable.testing.conformance`.
"""


def page() -> str:
    """Return the page."""
    return "\n".join([_HEAD, *_lines()])


def _lines() -> Iterator[str]:
    suites: tuple[Iterable[Case[object]], ...] = (
        _plain(suite.all()),
        _plain(ledgers.case.all()),
        _plain(validating.case.all()),
    )
    cases = [case for suite in suites for case in suite]
    for part in Part:
        own = [case for case in cases if case.part is part]
        yield f"## {part.capitalize()}: {len(own)} cases\n"
        yield "| case | clause | needs |\n|---|---|---|"
        for case in own:
            yield f"| {case.title} | {case.clause} | {case.reach} |"
        yield ""


def _plain(cases: Iterable[Case[_T]]) -> Iterable[Case[object]]:
    # only their words are read here, not what their checks take
    return cases  # type: ignore[return-value]  # see above
