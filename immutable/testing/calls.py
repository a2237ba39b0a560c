"""One call on its way: what it asks for, when it lands, and what the caller is told."""

from collections.abc import Callable
from typing import Generic, NamedTuple, TypeVar

import attrs

from immutable.errors import (
    Ambiguous,
    ImmutableError,
    LedgerError,
    LedgerLocked,
    Unavailable,
)
from immutable.testing.chances import Chance
from immutable.testing.faults import Fault
from immutable.testing.scheduling import Process

_T = TypeVar("_T")
LEDGER = "ledger."
"""What the names of calls to the ledger's store begin with."""
_SECOND_US = 1_000_000
_TAKES_US = (1_000, 20_000)
"""How long a call takes with which nothing goes wrong."""
_SILENCE_US = (5 * _SECOND_US, 70 * _SECOND_US)
"""How long a caller waits for an answer that is lost."""
_SLOW_US = (2 * _SECOND_US, 90 * _SECOND_US)
_BEFORE = frozenset({Fault.REFUSED, Fault.THROTTLED, Fault.ERROR_BEFORE})
_UNKNOWN = frozenset(
    {Fault.ERROR_BEFORE, Fault.ERROR_AFTER, Fault.TIMEOUT_AFTER, Fault.LATE}
)
_LATER = frozenset({Fault.LATE, Fault.DUPLICATED})


@attrs.define(eq=False)
class Request:
    """One call: its name, its parameters, who makes it, and when it was sent."""

    call: str
    about: tuple[object, ...]
    process: Process
    sent_us: int
    slept_us: int = 0
    """How long the process was stopped after it had decided to send."""


@attrs.define(eq=False)
class Landing(Generic[_T]):
    """A request and what became of it."""

    request: Request
    land: Callable[[Request], _T]
    fail: Callable[[BaseException], None]
    """Told of what is no answer: a violation, or a defect of the simulation."""
    value: _T | None = None
    error: ImmutableError | None = None

    def do(self) -> None:
        """Let the request take effect, once."""
        try:
            self.value = self.land(self.request)
        except ImmutableError as exc:
            self.error = exc
        except BaseException as exc:
            # the engine would take it for a backend's bug, and go on
            self.fail(exc)
            raise

    def copy(self) -> "Landing[_T]":
        """Return the same request, to land once more."""
        return Landing(self.request, self.land, self.fail)

    def outcome(self) -> _T:
        """Return what the call returns, or raise what it raises."""
        if self.error is not None:
            raise self.error
        return self.value  # type: ignore[return-value]  # it has landed, so this is set


class Times(NamedTuple):
    """When a request lands, None for never, when again, and when the caller hears."""

    land_us: int | None
    answer_us: int
    again_us: int | None = None


def times(fault: Fault | None, now_us: int, late_us: int, chance: Chance) -> Times:
    """Draw how long a call takes.

    Args:
        fault: what goes wrong with it.
        now_us: when it is sent.
        late_us: how late what was given up may land.
        chance: what to draw from.
    """
    takes_us = _between(_TAKES_US, chance)
    land_us, answer_us = now_us + takes_us // 2, now_us + takes_us
    if fault is None:
        return Times(land_us, answer_us)
    if fault in _BEFORE:
        return Times(None, answer_us)
    if fault is Fault.TIMEOUT_AFTER:
        return Times(land_us, now_us + _between(_SILENCE_US, chance))
    if fault is Fault.SLOW:
        # the way there is slow, or the way back; it lands as late as is stated, at most
        slow_us = _between(_SLOW_US, chance)
        within_us = max(min(slow_us, late_us), takes_us // 2)
        return Times(now_us + _between((0, within_us), chance), now_us + slow_us)
    if fault in _LATER:
        later_us = answer_us + _between((1, max(late_us - takes_us, 2)), chance)
        if fault is Fault.LATE:
            return Times(later_us, answer_us)
        return Times(land_us, answer_us, later_us)
    return Times(land_us, answer_us)


def error_of(call: str, fault: Fault | None, *, reading: bool) -> ImmutableError | None:
    """Return what the caller is told in place of the answer; None: it gets the answer."""
    if fault is None:
        return None
    message = f"simulated: {call} {fault}"
    if fault is Fault.THROTTLED:
        busy = LedgerLocked if call.startswith(LEDGER) else Unavailable
        return busy(message, operation=call, retryable=True)
    if fault is Fault.REFUSED or (reading and fault is Fault.TIMEOUT_AFTER):
        refused = LedgerError if call.startswith(LEDGER) else Unavailable
        return refused(message, operation=call)
    if fault in _UNKNOWN:
        return Ambiguous(message, operation=call)
    return None


def _between(bounds_us: tuple[int, int], chance: Chance) -> int:
    least_us, most_us = bounds_us
    return least_us + int(chance.random() * (most_us - least_us))
