"""One whole proof: every fault, every kill and a number of power cuts, in bounded time."""

import random
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path

import attrs

from proofs.disk.cutting import Cutter, cuts, is_hidden
from proofs.disk.faults import KILLS, Operation
from proofs.disk.runs import Run, Runner, running
from proofs.disk.striking import strike_all, strike_recoveries, undisturbed
from proofs.disk.tally import Tally

_MEMORY = Path("/dev/shm")  # noqa: S108 - a place, of which a private directory is made
_ROUNDS = 50
_CUTS = 3
_SOON = 30


@attrs.frozen(kw_only=True)
class Asked:
    """How much is to be tried; less is a failure."""

    states: int
    """So many different states of disks after power cuts."""
    seed: int = 1
    seconds: float = 3600
    every: int = 1
    """Only each so-manyth operation is struck."""
    recovery_kills: int = 8
    """So many kills in the recovery from each kill."""
    cache_pages: int = 0
    """How little SQLite may hold in memory; 0 for as much as usual."""
    planted: str = ""
    """The name of a bug that the store is given; empty for none."""


def prove(asked: Asked) -> Tally:
    """Try all that is asked and return what was done and found.

    Raises:
        CannotProve: something is missing that is needed.
    """
    tally = Tally(deadline=time.monotonic() + asked.seconds)
    memory = _MEMORY if _MEMORY.is_dir() else None
    with (
        tempfile.TemporaryDirectory(dir=memory) as base,
        running(
            Path(base), planted=asked.planted, cache_pages=asked.cache_pages
        ) as runner,
    ):
        _Proof(runner, tally, asked).carry_out()
    return tally


class _Proof:
    def __init__(self, runner: Runner, tally: Tally, asked: Asked) -> None:
        self._runner = runner
        self._tally = tally
        self._asked = asked
        self._draw = random.Random(asked.seed)  # noqa: S311 - repeatable, no secret
        self._cutter = Cutter(runner, tally, self._draw)
        self._operations: tuple[Operation, ...] = ()

    def carry_out(self) -> None:
        run = undisturbed(self._runner, self._tally)
        self._operations = run.operations
        struck = run.operations[:: self._asked.every]
        for cut in cuts([run]):
            self._cutter.systematic(cut)
        strike_all(self._runner, struck, self._tally, self._cut_later)
        strike_recoveries(
            self._runner,
            [each for each in struck if each.changes],
            self._tally,
            self._cut_later,
            self._draw,
            each=self._asked.recovery_kills,
        )
        self._fill([run])

    def _cut_later(self, runs: Sequence[Run]) -> None:
        """Cut the power once or twice in what came of a strike."""
        strike = runs[-1].strike
        if strike.fault in KILLS and len(runs) == 1:
            return
        if len(runs) == 1 and is_hidden(
            self._operations[strike.number - 1], self._operations
        ):
            self._tally.left_out += 1
            return
        chosen = self._moments(max(strike.number, 1), runs[-1].length)
        for cut in cuts(runs, start=strike.number):
            if cut.operation in chosen and self._tally.in_time("power cuts"):
                self._cutter.all_lost(cut)
                self._cutter.by_chance(cut, 1)

    def _moments(self, start: int, end: int) -> set[int]:
        """Return some moments soon after a strike, and one at any time."""
        soon = range(start, min(start + _SOON, end) + 1)
        late = range(start, end + 1)
        chosen = self._draw.sample(soon, min(_CUTS, len(soon)))
        return {*chosen, *self._draw.sample(late, min(1, len(late)))}

    def _fill(self, runs: Sequence[Run]) -> None:
        wanted = self._asked.states
        for _ in range(_ROUNDS):
            for cut in cuts(runs):
                missing = wanted - self._tally.states
                if missing <= 0:
                    return
                if not self._tally.in_time(f"{missing} of {wanted} crash states"):
                    return
                self._cutter.by_chance(cut, 5)
        self._tally.short.append(f"only {self._tally.states} of {wanted} crash states")
