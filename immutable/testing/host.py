"""The machine that a simulated process believes to run on: virtual time, drawn chance."""

from collections.abc import Callable, Sequence
from datetime import datetime, timedelta
from typing import TypeVar

from immutable.host import Stop
from immutable.testing.chances import Chance
from immutable.testing.scheduling import EPOCH, Process, Scheduler, to_us
from immutable.workers import Answer, Raised, Returned

_T = TypeVar("_T")
_LEAST_US = 1000
"""No sleep is shorter, so that whoever polls lets time pass."""
_SLICE_US = 1_000_000
"""How often a sleeper looks whether it is asked to stop."""


class NoAnswer(BaseException):
    """The call is left behind; what it sent stays on its way."""


class SimulatedHost:
    """`immutable.host.Host` for one process of a simulation."""

    def __init__(self, scheduler: Scheduler, process: Process, chance: Chance) -> None:
        self._scheduler = scheduler
        self.process = process
        self._chance = chance
        self._now = (-1, EPOCH)

    @property
    def name(self) -> str:
        """Return the process's name, which no other process ever has."""
        return self.process.name

    def is_dead(self, name: str) -> bool:
        """Return whether a process died where others can know it."""
        return any(
            process.is_known_dead and process.name == name
            for process in self._scheduler.processes
        )

    def now(self) -> datetime:
        """Return the time by the process's own clock."""
        now_us = self._scheduler.now_us
        if self._now[0] != now_us:
            clock = self.process.clock
            passed = timedelta(microseconds=now_us * clock.rate)
            self._now = now_us, EPOCH + clock.ahead + passed
        return self._now[1]

    def sleep(self, pause: timedelta, stop: Stop) -> None:
        """Let virtual time pass by the process's own clock, unless asked to stop."""
        left_us = max(round(to_us(pause) / self.process.clock.rate), _LEAST_US)
        slice_us = max(_SLICE_US, left_us // 20)
        while left_us > 0 and not stop.is_set():
            pause_us = min(left_us, slice_us)
            self._wait(self._scheduler.now_us + pause_us)
            left_us -= pause_us
        if left_us > 0:
            self._wait(self._scheduler.now_us + _LEAST_US)

    def chance(self) -> float:
        """Return a drawn number from 0 to below 1."""
        return self._chance.random()

    def unique(self) -> str:
        """Return 32 drawn hexadecimal digits."""
        return f"{self._chance.getrandbits(128):032x}"

    def run(
        self, calls: Sequence[Callable[[], _T]], *, within: timedelta
    ) -> tuple[Answer[_T], ...]:
        """Run calls one after the other; one that takes longer is left behind."""
        return tuple(self._run(call, to_us(within)) for call in calls)

    def aside(self, work: Callable[[], _T], on_interrupt: Callable[[], None]) -> _T:  # noqa: ARG002 - nobody interrupts a simulation
        """Run work to its own end."""
        return work()

    def _run(self, call: Callable[[], _T], within_us: int) -> Answer[_T]:
        outer_us = self.process.give_up_us
        own_us = self._scheduler.now_us + within_us
        self.process.give_up_us = own_us if outer_us is None else min(outer_us, own_us)
        try:
            return Returned(call())
        except NoAnswer:
            if self._scheduler.now_us < own_us:
                raise
            return None
        # as ThisHost does, and a simulated death or a violation is for nobody else
        except Exception as exc:  # noqa: BLE001 - whoever waits is told of it
            return Raised(exc)
        finally:
            self.process.give_up_us = outer_us

    def _wait(self, when_us: int) -> None:
        wait_for(self._scheduler, self.process, when_us)


def wait_for(scheduler: Scheduler, process: Process, when_us: int) -> None:
    """Let a process wait until an instant, or only until it gives up.

    Raises:
        NoAnswer: the wait was too long for whoever asked.
    """
    give_up_us = process.give_up_us
    if give_up_us is None or when_us <= give_up_us:
        scheduler.wait_until(when_us)
        return
    scheduler.wait_until(give_up_us)
    raise NoAnswer
