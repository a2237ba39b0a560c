"""The machine that the kit's deployers believe to run on."""

from collections.abc import Callable, Sequence
from datetime import datetime, timedelta
from itertools import count
from typing import TypeVar

from immutable.host import Host, Stop, ThisHost
from immutable.workers import Answer

_T = TypeVar("_T")
_LONGEST = timedelta(milliseconds=250)
_NUMBERS = count(1)


class Shared:
    """What all deployers of one case share: who has died, and how far the clock is."""

    def __init__(self) -> None:
        self.dead: set[str] = set()
        self.saved = timedelta()


class Stage:
    """A host for one deployer, known to be dead once it is.

    On a real machine long pauses are cut short: the clock counts them in full, but what
    a dead deployer of this kit had asked for has happened already, or never will.
    Readings of the provider are still given the time that their staleness needs.
    """

    def __init__(self, outer: Host, shared: Shared, *, least: timedelta) -> None:
        self._outer = outer
        self._shared = shared
        self._longest = max(least, _LONGEST)
        self._hurries = isinstance(outer, ThisHost)
        self.name = f"conformance/{next(_NUMBERS)}"

    def die(self) -> None:
        """Be known to be dead from here on."""
        self._shared.dead.add(self.name)

    def is_dead(self, name: str) -> bool:
        """Return whether a deployer is known to be dead."""
        return name in self._shared.dead

    def now(self) -> datetime:
        """Return the time, with the pauses that were cut short in full."""
        return self._outer.now() + self._shared.saved

    def sleep(self, pause: timedelta, stop: Stop) -> None:
        """Let time pass, or some of it."""
        cut = min(pause, self._longest) if self._hurries else pause
        self._outer.sleep(cut, stop)
        self._shared.saved += pause - cut

    def chance(self) -> float:
        """Return a number from 0 to below 1."""
        return self._outer.chance()

    def unique(self) -> str:
        """Return 32 hexadecimal digits that nobody else has."""
        return self._outer.unique()

    def run(
        self, calls: Sequence[Callable[[], _T]], *, within: timedelta
    ) -> tuple[Answer[_T], ...]:
        """Run calls side by side, as the machine does."""
        return self._outer.run(calls, within=within)

    def aside(self, work: Callable[[], _T], on_interrupt: Callable[[], None]) -> _T:
        """Run work to its own end."""
        return self._outer.aside(work, on_interrupt)
