"""What is to happen later, by the clock."""

import heapq
import itertools
import time
from collections.abc import Callable

import attrs

Deed = Callable[[], None]


@attrs.define(eq=False)
class Agenda:
    """Deeds with the time that each is due; whoever holds the lock does them."""

    _due: list[tuple[float, int, Deed]] = attrs.field(factory=list, init=False)
    _number: "itertools.count[int]" = attrs.field(factory=itertools.count, init=False)

    def later(self, delay_s: float, deed: Deed) -> None:
        """Have something done after a delay."""
        entry = time.monotonic() + delay_s, next(self._number), deed
        heapq.heappush(self._due, entry)

    def perform(self) -> None:
        """Do everything that is due."""
        now = time.monotonic()
        while self._due and self._due[0][0] <= now:
            heapq.heappop(self._due)[2]()

    def clear(self) -> None:
        """Forget everything."""
        self._due.clear()
