import functools
import logging
import threading
from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from targets import target

from immutable.judging import Target, Verdict, VerdictStatus
from immutable.validators import http
from immutable.validators.evidence import excerpt
from immutable.validators.run import name_of, run_validator, run_validators

PASSED, FAILED, UNDECIDED = VerdictStatus
LONG = timedelta(seconds=60)
SHORT = timedelta(milliseconds=500)


def answer(
    body: bytes = b"", *, status: str = "200 OK", more: tuple[bytes, ...] = ()
) -> bytes:
    """Return a whole HTTP response."""
    head = [f"HTTP/1.1 {status}".encode(), b"Content-Length: %d" % len(body), *more]
    return b"\r\n".join([*head, b"", body])


class Named:
    """A validator with a name of its own."""

    name = "mine"

    def __call__(self, _: Target) -> bool:
        """Pass."""
        return True


class Unnamed:
    """A validator without one."""

    def __call__(self, _: Target) -> bool:
        """Pass."""
        return True


def passes(_: Target, *, threshold: int = 0) -> bool:
    """Pass."""
    return threshold == 0


@pytest.mark.parametrize(
    ("validator", "name"),
    [
        (Named(), "mine"),
        (Unnamed(), "Unnamed"),
        (passes, "passes"),
        (functools.partial(passes, threshold=0), "passes"),
        (Unnamed().__call__, "Unnamed.__call__"),
        (http("/a"), "http(/a)"),
    ],
)
def test_names(validator: Callable[[Target], bool], name: str) -> None:
    """A validator is called by its name, its function's name, or its class."""
    assert name_of(validator) == name
    assert run_validator(validator, target(), timeout=LONG).validator == name


class Unspeakable(Exception):
    """An error that cannot even be printed."""

    def __str__(self) -> str:
        raise ValueError


def raising(exc: BaseException) -> Callable[[Target], bool]:
    """Return a validator that raises."""

    def validator(_: Target) -> bool:
        raise exc

    return validator


async def asynchronous(_: Target) -> bool:
    """Return True, one day."""
    return True


SEVEN: Any = 7
HINT = "return True, False or a Verdict"


@pytest.mark.parametrize(
    ("validator", "status", "evidence"),
    [
        (lambda _: True, PASSED, ""),
        (lambda _: False, FAILED, ""),
        (lambda _: None, UNDECIDED, f"returned None: {HINT}"),
        (lambda _: 1, FAILED, f"returned int: {HINT}"),
        (lambda _: "yes", FAILED, f"returned str: {HINT}"),
        (asynchronous, FAILED, f"returned coroutine: {HINT}"),
        (lambda _: Verdict(status=PASSED, evidence="ok"), PASSED, "ok"),
        (lambda _: Verdict(status=FAILED, evidence="a\n\x1b[1mb"), FAILED, "a [1mb"),
        (lambda _: Verdict(status=UNDECIDED, evidence=SEVEN), UNDECIDED, "7"),
        (raising(ValueError("bad")), FAILED, "ValueError: bad"),
        (raising(AssertionError()), FAILED, "AssertionError"),
        (raising(SystemExit(0)), FAILED, "SystemExit: 0"),
        (raising(KeyboardInterrupt()), FAILED, "KeyboardInterrupt"),
        (raising(Unspeakable()), FAILED, "Unspeakable"),
    ],
)
def test_every_answer_is_a_verdict(
    validator: Callable[[Target], bool], status: VerdictStatus, evidence: str
) -> None:
    """Whatever a callable does, it ends as a verdict; only True and PASSED pass."""
    verdict = run_validator(validator, target(), timeout=LONG)
    assert (verdict.status, verdict.evidence) == (status, evidence)


def test_unknown_status_fails() -> None:
    """A verdict whose status is nonsense does not pass."""
    made_up = Verdict(status="fine")  # type: ignore[arg-type]
    assert run_validator(lambda _: made_up, target(), timeout=LONG).status is FAILED


def test_evidence_is_bounded() -> None:
    """Neither a message nor a verdict fills the ledger."""
    loud = Verdict(status=FAILED, evidence="x" * 10**6)
    for validator in (raising(ValueError("x" * 10**6)), lambda _: loud):
        verdict = run_validator(validator, target(), timeout=LONG)
        assert len(verdict.evidence) <= 300


def test_traceback_goes_to_the_log(caplog: pytest.LogCaptureFixture) -> None:
    """The traceback is kept out of the evidence and logged at debug."""
    with caplog.at_level(logging.DEBUG, logger="immutable.validators"):
        verdict = run_validator(raising(ValueError("bad")), target(), timeout=LONG)
    (record,) = caplog.records
    assert "Traceback" not in verdict.evidence
    assert record.exc_info
    assert record.levelno == logging.DEBUG


def test_hanging_is_undecided() -> None:
    """A validator that hangs is undecided, in a thread that ends with the process."""
    release, threads = threading.Event(), []

    def hang(_: Target) -> bool:
        threads.append(threading.current_thread())
        return release.wait()

    verdict = run_validator(hang, target(), timeout=SHORT)
    assert verdict == Verdict(
        status=UNDECIDED,
        evidence="no answer within 500ms",
        validator=name_of(hang),
    )
    assert threads[0].daemon
    release.set()
    threads[0].join()


def test_side_by_side_in_order() -> None:
    """Validators run at the same time, and answer in the order in which they stand."""
    both = threading.Barrier(2)

    def first(_: Target) -> bool:
        return both.wait() >= 0

    def second(_: Target) -> bool:
        return both.wait() < 0

    verdicts = run_validators((first, second), target(), timeout=LONG)
    assert [verdict.status for verdict in verdicts] == [PASSED, FAILED]
    assert run_validators((), target(), timeout=LONG) == ()


def test_one_that_hangs_takes_nobody_along() -> None:
    """The others keep their verdicts."""
    release = threading.Event()
    verdicts = run_validators(
        (lambda _: release.wait(), lambda _: True), target(), timeout=SHORT
    )
    release.set()
    assert [verdict.status for verdict in verdicts] == [UNDECIDED, PASSED]


@given(st.text(max_size=400), st.integers(min_value=1, max_value=100))
def test_excerpt(text: str, limit: int) -> None:
    """An excerpt is one printable line within its limit."""
    shown = excerpt(text, limit=limit)
    assert shown.isprintable()
    assert len(shown) <= limit
