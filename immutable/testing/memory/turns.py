"""Virtual time that real threads share: it moves when all who are at work wait.

A call in one thread takes no time from a call in another, and a pause of an hour is over
as soon as nobody has anything to do before. One thread alone repeats exactly.
"""

import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from itertools import count

from immutable.host import Stop
from immutable.testing.scheduling import Killed, Process, Scheduler

PATIENCE_S = 0.5
"""So long are those waited for who are at work and do nothing here: in a validator or a
listener that waits for somebody else, say."""
_TICK_S = 0.05
"""How often somebody idle looks whether it is asked to stop."""


class Turns(Scheduler):
    """The order of things among threads. Hold `lock` to look at, or change, the world."""

    def __init__(self, seed: int) -> None:
        self.lock = threading.Condition(threading.RLock())
        self._here = threading.local()
        self._busy: set[Process] = set()
        """Those at work who are not waiting; time stands still for them."""
        self._names = (f"deployer-{number}" for number in count(1))
        super().__init__(seed, Process(name="nobody"), turns=sys.maxsize)

    @property
    def current(self) -> Process:
        """Return what the calling thread is at work on."""
        found: Process | None = getattr(self._here, "process", None)
        return found or self.main

    @current.setter
    def current(self, process: Process | None) -> None:
        self._here.process = process

    @contextmanager
    def at_work(self, *, kill_at: int | None = None) -> Iterator[Process]:
        """Let nobody's waiting move time while the calling thread is at work."""
        if self.current is not self.main:
            yield self.current
            return
        with self.lock:
            process = Process(name=next(self._names), kill_at=kill_at)
            self.current = process
            self._busy.add(process)
        try:
            yield process
        finally:
            with self.lock:
                self._here.process = None
                self._busy.discard(process)
                if process.is_killed:
                    process.is_known_dead = True
                    self.processes.append(process)
                self.lock.notify_all()

    def advance(self, when_us: int) -> bool:
        """Move on to an instant, if nobody is at work or due before it; return whether."""
        return self._busy <= {self.current} and super().advance(when_us)

    def wait_until(self, when_us: int) -> None:
        """Let the calling thread wait; everybody who is due before goes first.

        Raises:
            Killed: what it is at work on was killed meanwhile.
        """
        with self.at_work() as process, self.lock:
            if not self.advance(when_us):
                self._await(process, when_us)
            if process.is_killed:
                raise Killed(process.name)

    def fail(self, failure: BaseException) -> None:
        """Leave the failure to whoever meets it: the world is everybody's."""

    def idle(self, pause_us: int, stop: Stop) -> None:
        """Wait without moving time for others; what they do ends the wait when it is due.

        While nobody else does anything, time passes here as it does outside.
        """
        until_s = time.monotonic() + pause_us / 1e6
        with self.at_work() as process, self.lock:
            alarm = self._rest(process, self.now_us + pause_us)
            while not alarm.rang and not stop.is_set():
                self.lock.wait(_TICK_S)
                if time.monotonic() > until_s:
                    self._let_pass(alarm)
            alarm.is_off = True
            self._busy.add(process)

    def _await(self, process: Process, when_us: int) -> None:
        alarm = self._rest(process, when_us)
        while not alarm.rang:
            if not self._busy:
                self._step()
            elif not self.lock.wait(PATIENCE_S):
                self._busy.clear()

    def _let_pass(self, alarm: "_Alarm") -> None:
        while not alarm.rang and not self._busy:
            self._step()

    def _rest(self, process: Process, when_us: int) -> "_Alarm":
        alarm = _Alarm(lambda: self._busy.add(process))
        self.at(when_us, alarm)
        self._busy.discard(process)
        self.lock.notify_all()
        return alarm

    def _step(self) -> None:
        super()._step()
        self.lock.notify_all()


class _Alarm:
    """Wakes one thread, unless it is awake already."""

    def __init__(self, wake: Callable[[], None]) -> None:
        self._wake = wake
        self.rang = False
        self.is_off = False

    def __call__(self) -> None:
        if not self.is_off:
            self.rang = True
            self._wake()
