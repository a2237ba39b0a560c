"""The engine's clock: every deadline is by it, and tests bring their own."""

import threading
import time
from datetime import UTC, datetime, timedelta
from typing import Protocol


class Stop(Protocol):
    """Asks the engine to stop; `threading.Event` is one."""

    def is_set(self) -> bool:
        """Return whether to stop."""
        ...


class Clock(Protocol):
    """Time as the engine sees it."""

    def now(self) -> datetime:
        """Return the time, aware and in UTC."""
        ...

    def sleep(self, pause: timedelta, stop: Stop) -> None:
        """Let time pass; return early when asked to stop."""
        ...


class SystemClock:
    """The machine's clock, advanced monotonically: it never runs backwards."""

    def __init__(self) -> None:
        self._began = datetime.now(UTC)
        self._mark = time.monotonic()

    def now(self) -> datetime:
        """Return the time this clock was made, plus what has passed since."""
        return self._began + timedelta(seconds=time.monotonic() - self._mark)

    def sleep(self, pause: timedelta, stop: Stop) -> None:
        """Sleep, in slices when the stop cannot be waited for."""
        if isinstance(stop, threading.Event):
            stop.wait(pause.total_seconds())
            return
        until = time.monotonic() + pause.total_seconds()
        while not stop.is_set() and (left := until - time.monotonic()) > 0:
            time.sleep(min(left, 0.05))
