"""The machine that calls on `memory://` run on: virtual time, and this process's threads."""

from collections.abc import Callable, Sequence
from datetime import timedelta
from typing import TypeVar

from immutable.host import Stop, ThisHost
from immutable.testing.chances import Chance
from immutable.testing.host import SimulatedHost, wait_for
from immutable.testing.memory.turns import Turns
from immutable.testing.scheduling import Process, to_us
from immutable.workers import Answer

_T = TypeVar("_T")
_HERE = ThisHost()


class MemoryHost(SimulatedHost):
    """`immutable.host.Host` for everybody who is at work in one world."""

    def __init__(self, turns: Turns, chance: Chance) -> None:
        self._turns = turns
        self.kill_at: int | None = None
        """The crash point at which the next call dies."""
        super().__init__(turns, turns.main, chance)

    @property
    def process(self) -> Process:
        """Return what the calling thread is at work on."""
        return self._turns.current

    @process.setter
    def process(self, process: Process) -> None:
        """Every thread has its own."""

    def run(
        self, calls: Sequence[Callable[[], _T]], *, within: timedelta
    ) -> tuple[Answer[_T], ...]:
        """Run calls one after the other, in virtual time.

        What is run by such a call is not ours, as validators are, and may hang: then in
        threads, and ``within`` is real time.
        """
        if self.process.give_up_us is not None:
            return _HERE.run(calls, within=within)
        with self._turns.at_work():
            return super().run(calls, within=within)

    def aside(self, work: Callable[[], _T], on_interrupt: Callable[[], None]) -> _T:
        """Run work to its own end; Ctrl-C meanwhile only calls ``on_interrupt``."""

        def working() -> _T:
            kill_at, self.kill_at = self.kill_at, None
            with self._turns.at_work(kill_at=kill_at):
                return work()

        return _HERE.aside(working, on_interrupt)

    def idle(self, pause: timedelta, stop: Stop) -> None:
        """Wait as a watcher does: time is moved by the others, or passes as outside."""
        self._turns.idle(to_us(pause), stop)

    def _wait(self, when_us: int) -> None:
        with self._turns.at_work() as process:
            wait_for(self._turns, process, when_us)
