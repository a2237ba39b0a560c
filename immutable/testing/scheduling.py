"""Virtual time, and simulated processes that take turns in one thread.

A process is a greenlet: the code that it runs is not changed and not asked. Whenever
that code sleeps or calls something simulated, the process waits until an instant of
virtual time, and whoever is due next runs. Two that are due at the same instant run in
an order that the seed draws. Nothing else decides, so the same seed repeats exactly.
"""

import contextvars
import heapq
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING

import attrs

from immutable.errors import Unsupported
from immutable.testing.chances import seeded

if TYPE_CHECKING:
    from greenlet import greenlet

EPOCH = datetime(2026, 1, 1, tzinfo=UTC)
"""Virtual time begins here."""
TURNS = 1_000_000
"""So many turns without an end mean that something runs in a circle."""
_MICROSECOND = timedelta(microseconds=1)


class Killed(BaseException):
    """The simulated process died here. Nothing that it runs may catch this."""


class Endless(AssertionError):
    """A simulation takes too many turns: something runs in a circle."""


def to_us(pause: timedelta) -> int:
    """Return a duration in whole microseconds, the unit of virtual time."""
    return pause // _MICROSECOND


@attrs.frozen(kw_only=True)
class Clock:
    """How a process's own clock differs from virtual time."""

    ahead: timedelta = timedelta()
    rate: float = 1.0
    """Seconds that it counts for each second that passes."""


@attrs.define(eq=False, kw_only=True)
class Process:
    """A simulated program: it can be killed, paused, and looked at."""

    name: str
    """Names the running incarnation; no other process ever has the same."""
    clock: Clock = attrs.field(factory=Clock)
    kill_at: int | None = None
    """Die at the crash point with this number; the first is 1."""
    points: list[str] = attrs.field(factory=list)
    """The crash points that were passed, in order."""
    is_done: bool = False
    is_killed: bool = False
    is_known_dead: bool = False
    """Others can know that it died, as on one host they do."""
    paused_until_us: int = 0
    give_up_us: int | None = None
    """When the call that it waits for is left behind."""
    error: BaseException | None = None
    _greenlet: "greenlet | None" = None

    def reach(self, point: str) -> None:
        """Pass a crash point, or die there when it was chosen.

        Raises:
            Killed: this is the point.
        """
        points = self.points
        points.append(point)
        if self.is_killed or len(points) == self.kill_at:
            self.is_killed = True
            raise Killed(point)


class Scheduler:
    """The order of things: a heap of deeds by virtual time and a seeded tie-break."""

    def __init__(self, seed: int, main: Process, *, turns: int = TURNS) -> None:
        self.now_us = 0
        self.main = main
        self.current = main
        self.processes = [main]
        self.failure: BaseException | None = None
        """What ends the simulation; raised again wherever it goes on."""
        self._hub: greenlet | None = None
        """Where `run` is called; there is none before a process is spawned."""
        self._ties = seeded(seed, "ties")
        self._heap: list[tuple[int, float, int, Callable[[], None]]] = []
        self._pushed = 0
        self._turns_left = turns

    def at(self, when_us: int, deed: Callable[[], None]) -> None:
        """Have a deed done at an instant; one that has passed means now."""
        self._pushed += 1
        due_us = max(when_us, self.now_us)
        heapq.heappush(self._heap, (due_us, self._ties.random(), self._pushed, deed))

    def advance(self, when_us: int) -> bool:
        """Move on to an instant, if nobody else is due before it; return whether."""
        if self._heap and self._heap[0][0] <= when_us:
            return False
        self.now_us = max(when_us, self.now_us)
        return True

    def wait_until(self, when_us: int) -> None:
        """Let the current process wait; everybody who is due before goes first.

        Raises:
            Killed: the process was killed meanwhile.
        """
        process = self.current
        self._take_a_turn()
        if not self.advance(when_us):
            self._give_way(process, when_us)
        if process.is_killed:
            raise Killed(process.name)

    def spawn(self, process: Process, work: Callable[[], object], at_us: int) -> None:
        """Let a process begin to work at an instant.

        Raises:
            Unsupported: greenlet is not installed.
        """
        # imported on first use: `memory://` spawns nothing, and greenlet is an extra
        try:
            from greenlet import getcurrent, greenlet
        except ImportError as exc:
            message = "simulated processes are greenlets, and greenlet is not installed"
            hint = "run: pip install 'immutable-deploy[testing]'"
            raise Unsupported(message, hint=hint) from exc

        if self._hub is None:
            self._hub = getcurrent()
        made = greenlet(lambda: self._live(process, work), parent=self._hub)
        made.gr_context = contextvars.copy_context()
        process._greenlet = made  # noqa: SLF001 - the scheduler alone drives it
        self.processes.append(process)
        self.at(at_us, lambda: self._resume(process))

    def kill(self, process: Process) -> None:
        """Let a process die where it is; what it has sent stays on its way."""
        process.is_killed = True
        if process is self.current:
            raise Killed(process.name)
        self.at(self.now_us, lambda: self._resume(process))

    def fail(self, failure: BaseException) -> None:
        """End the simulation: the first failure is raised wherever it would go on."""
        self.failure = self.failure or failure

    def restart(self, main: Process) -> None:
        """Let the hub go on as another process."""
        self.main.is_done = True
        self.processes.insert(0, main)
        self.main = self.current = main

    def run(self) -> None:
        """Go on until every process that was spawned is done."""
        while any(not p.is_done for p in self.processes if p is not self.main):
            self._step()

    def close(self) -> None:
        """End every process that is left, so that none lingers."""
        for process in self.processes:
            process.is_killed = True
            if process._greenlet:  # noqa: SLF001 - as in spawn; it has begun and not ended
                process._greenlet.throw(Killed)  # noqa: SLF001 - as in spawn

    def _give_way(self, process: Process, when_us: int) -> None:
        if process is not self.main and self._hub is not None:
            self.at(when_us, lambda: self._resume(process))
            self._hub.switch()
            return
        woken: list[bool] = []
        self.at(when_us, lambda: self._wake_main(woken))
        while not woken:
            self._step()

    def _wake_main(self, woken: list[bool]) -> None:
        until_us = self.main.paused_until_us
        if until_us > self.now_us and not self.main.is_killed:
            self.at(until_us, lambda: self._wake_main(woken))
        else:
            woken.append(True)

    def _resume(self, process: Process) -> None:
        if process.is_done or process._greenlet is None:  # noqa: SLF001 - as in spawn
            return
        if process.paused_until_us > self.now_us and not process.is_killed:
            self.at(process.paused_until_us, lambda: self._resume(process))
            return
        self.current = process
        try:
            process._greenlet.switch()  # noqa: SLF001 - as in spawn
        finally:
            self.current = self.main

    def _live(self, process: Process, work: Callable[[], object]) -> None:
        try:
            if not process.is_killed:
                work()
        except Killed:
            process.is_killed = True
        except BaseException as exc:
            process.error = exc
            raise
        finally:
            process.is_done = True

    def _take_a_turn(self) -> None:
        if self.failure is not None:
            raise self.failure
        self._turns_left -= 1
        if self._turns_left < 0:
            raise Endless(f"no end in sight; it is {self.now_us / 1e6:.0f} s")

    def _step(self) -> None:
        self._take_a_turn()
        when_us, _, _, deed = heapq.heappop(self._heap)
        self.now_us = when_us
        deed()
