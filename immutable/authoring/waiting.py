"""Waiting for a provider, by the engine's clock, and never for ever."""

from collections.abc import Callable
from datetime import timedelta
from typing import TypeVar

from immutable import host
from immutable.durations import spell
from immutable.errors import Ambiguous
from immutable.host import Never, Stop

_T = TypeVar("_T")
_GROWTH = 1.5
_LONGEST = 8
_NEVER = Never()


def wait_until(
    look: Callable[[], _T | None],
    what: str,
    *,
    within: timedelta,
    every: timedelta = timedelta(seconds=1),
    stop: Stop = _NEVER,
) -> _T:
    """Look until there is something, at growing pauses, and return it.

    Args:
        look: returns None as long as there is nothing.
        what: what is waited for; the error says that it did not happen.
        within: for so long. It looks a last time when that is over.
        every: the first pause; the longest is eight times as long.
        stop: ends the wait as if its time were over.

    Raises:
        Ambiguous: it has not happened yet, and may still.
    """
    here = host.current()
    until, pause = here.now() + within, every
    while (found := look()) is None:
        left = until - here.now()
        if left <= timedelta() or stop.is_set():
            raise Ambiguous(
                f"{what} has not happened within {spell(within)}",
                hint="it may still; the same call goes on from there",
            )
        here.sleep(min(pause, left), stop)
        pause = min(pause * _GROWTH, every * _LONGEST)
    return found
