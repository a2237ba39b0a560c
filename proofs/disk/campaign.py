"""One whole proof: every fault, every kill and a number of power cuts, in bounded time."""

import random
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import attrs

from proofs.disk.cutting import Cutter, cuts, is_hidden
from proofs.disk.faults import KILLS, Operation
from proofs.disk.runs import Run, Runner, running
from proofs.disk.striking import Keep, Striker, undisturbed
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
    with proving(asked) as proof:
        struck = proof.run.operations[:: asked.every]
        proof.cut()
        proof.strike(struck)
        proof.strike_recoveries(struck)
        proof.fill()
    return proof.tally


@contextmanager
def proving(asked: Asked) -> Iterator["Proof"]:
    """Prepare a proof in a private directory in memory, where syncs cost nothing."""
    memory = _MEMORY if _MEMORY.is_dir() else None
    with (
        tempfile.TemporaryDirectory(dir=memory) as base,
        running(
            Path(base), planted=asked.planted, cache_pages=asked.cache_pages
        ) as runner,
    ):
        yield Proof(runner, asked)


class Proof:
    """The parts of a proof, each of which adds to one tally."""

    def __init__(self, runner: Runner, asked: Asked) -> None:
        self.tally = Tally(deadline=time.monotonic() + asked.seconds)
        self.run = undisturbed(runner, self.tally)
        self._runner = runner
        self._asked = asked
        self._draw = random.Random(asked.seed)
        self._cutter = Cutter(runner, self.tally, self._draw)

    def cut(self, *, end: int | None = None) -> None:
        """Cut the power after each operation of the run without faults.

        Args:
            end: only up to this operation.
        """
        for cut in cuts([self.run]):
            if end is None or cut.operation <= end:
                self._cutter.systematic(cut)

    def strike(self, operations: Sequence[Operation]) -> None:
        """Strike operations with every fault, and cut the power after errors."""
        self._striker(self._cut_after_error).strike(operations)

    def strike_recoveries(self, operations: Sequence[Operation]) -> None:
        """Kill at operations, kill what goes on, and cut the power in that."""
        striker = self._striker(self._cut_some)
        striker.strike_recoveries(operations, each=self._asked.recovery_kills)

    def _striker(self, keep: Keep) -> Striker:
        return Striker(
            runner=self._runner, tally=self.tally, keep=keep, draw=self._draw
        )

    def fill(self) -> None:
        """Cut the power in the run without faults until there are enough states."""
        wanted = self._asked.states
        for _ in range(_ROUNDS):
            for cut in cuts([self.run]):
                missing = wanted - self.tally.states
                if missing <= 0 or not self.tally.in_time("power cuts"):
                    break
                self._cutter.by_chance(cut, min(missing, 5))
        if self.tally.states < wanted:
            self.tally.short.append(f"{self.tally.states} of {wanted} crash states")

    def _cut_after_error(self, runs: Sequence[Run]) -> None:
        strike = runs[-1].strike
        if strike.fault in KILLS:
            # What it did until then, the run without faults has done, too.
            return
        if is_hidden(self.run.operations[strike.number - 1], self.run.operations):
            self.tally.left_out += 1
        else:
            self._cut_some(runs)

    def _cut_some(self, runs: Sequence[Run]) -> None:
        start = max(runs[-1].strike.number, 1)
        chosen = self._moments(start, runs[-1].length)
        for cut in cuts(runs, start=start):
            if cut.operation in chosen and self.tally.in_time("power cuts"):
                self._cutter.all_lost(cut)
                self._cutter.by_chance(cut, 1)

    def _moments(self, start: int, end: int) -> set[int]:
        """Return some moments soon after a strike, and one at any time."""
        soon, all_ = range(start, min(start + _SOON, end) + 1), range(start, end + 1)
        return {
            *self._draw.sample(soon, min(_CUTS, len(soon))),
            *self._draw.sample(all_, min(1, len(all_))),
        }
