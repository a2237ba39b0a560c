"""Judging: what a case says when the contract is kept, and when it is not."""

from collections.abc import Callable, Sequence
from datetime import timedelta
from typing import NoReturn, TypeVar

from immutable import host
from immutable.capabilities import Capabilities, SwitchCapabilities
from immutable.errors import ImmutableError
from immutable.host import Host, Never
from immutable.testing.conformance.broken import Broken, shorten
from immutable.testing.conformance.case import Terms
from immutable.testing.conformance.subject import Subject
from immutable.workers import Answer, Raised

_T = TypeVar("_T")
POLL = timedelta(milliseconds=50)
GRACE = timedelta(seconds=1)
"""How much longer than declared may pass on a busy machine before a case complains."""
_NOBODY = Terms(subject=Subject(backend=None))
NOW = timedelta()
LONG = timedelta(seconds=60)


class Judge:
    """Holds what is seen against one clause."""

    def __init__(self, name: str, clause: str, terms: Terms = _NOBODY) -> None:
        self.name = name
        self.clause = clause
        self.terms = terms
        self.here: Host = host.current()

    @property
    def subject(self) -> Subject:
        """Return what is being tried."""
        return self.terms.subject

    @property
    def can(self) -> Capabilities:
        """Return what the backend declared when it was opened."""
        if self.terms.backend is None:
            raise AssertionError("this subject has no backend")
        return self.terms.backend

    @property
    def switches(self) -> SwitchCapabilities:
        """Return what the switch declared when it was opened."""
        if self.terms.switch is None:
            raise AssertionError("this subject has no switch")
        return self.terms.switch

    @property
    def staleness(self) -> timedelta:
        """Return how old a reading may be, of the backend or the switch."""
        parts = (self.terms.backend, self.terms.switch)
        return max((p.staleness for p in parts if p), default=timedelta())

    def seen(
        self, read: Callable[[], _T], good: Callable[[_T], bool], expected: str
    ) -> _T:
        """Read what must be as expected: readings wait for as long as they may be stale."""
        __tracebackhide__ = True
        return self._until(read, good, expected, GRACE if self.staleness else NOW)

    def eventually(
        self, read: Callable[[], _T], good: Callable[[_T], bool], expected: str
    ) -> _T:
        """Read until it is as expected, for as long as instances may take."""
        __tracebackhide__ = True
        return self._until(read, good, expected, self.subject.ready_timeout)

    def _until(
        self,
        read: Callable[[], _T],
        good: Callable[[_T], bool],
        expected: str,
        within: timedelta,
    ) -> _T:
        __tracebackhide__ = True
        until = self.here.now() + within
        while not good(value := read()):
            if self.here.now() >= until:
                self.fail(expected, value)
            self.pause(POLL)
        return value

    def expect(self, kept: bool, expected: str, seen: object) -> None:  # noqa: FBT001 - reads as a sentence
        """Complain unless the clause was kept."""
        __tracebackhide__ = True
        if not kept:
            self.fail(expected, seen)

    def fail(self, expected: str, seen: object) -> NoReturn:
        """Complain of the case's clause."""
        __tracebackhide__ = True
        raise self.broken(expected, seen)

    def broken(self, expected: str, seen: object) -> Broken:
        """Return the complaint of the case's clause."""
        return Broken(self.name, self.clause, expected=expected, seen=seen)

    def refused(
        self, act: Callable[[], object], *kinds: type[ImmutableError], what: str
    ) -> ImmutableError:
        """Expect that a call is refused in one of these ways, and return the error."""
        __tracebackhide__ = True
        names = " or ".join(kind.__name__ for kind in kinds)
        expected = f"{what} is refused with {names}"
        try:
            value = act()
        except ImmutableError as exc:
            self.expect(isinstance(exc, kinds), expected, repr(exc))
            return exc
        raise self.broken(expected, f"it returned {shorten(value)}")

    def together(self, calls: Sequence[Callable[[], _T]]) -> tuple[Answer[_T], ...]:
        """Make calls at the same time; one that fails by a bug fails the case."""
        answers = self.here.run(calls, within=LONG)
        for answer in answers:
            if isinstance(answer, Raised) and not isinstance(
                answer.error, ImmutableError
            ):
                raise answer.error
        return answers

    def pause(self, pause: timedelta) -> None:
        """Let time pass."""
        if pause > NOW:
            self.here.sleep(pause, Never())
