"""Power cuts: after each operation of recorded histories, what may then be on the disk."""

import random
import shutil
from collections.abc import Iterator, Sequence

import attrs

from proofs.disk.faults import Fault, Kind, Operation
from proofs.disk.oracle import examine
from proofs.disk.power import Disk, Image, put_down
from proofs.disk.runs import Run, Runner, bounds
from proofs.disk.states import certain, drawn
from proofs.disk.tally import Tally

_UNFRUITFUL = 20


@attrs.frozen(kw_only=True)
class Cut:
    """A moment at which the power is cut."""

    disk: Disk
    least: int
    most: int
    """So many records must be there, and so many can be."""
    operation: int
    """The number of the latest operation of the last run."""
    what: str


def is_hidden(struck: Operation, operations: Sequence[Operation]) -> bool:
    """Return whether SQLite goes on, and says nothing, when this operation fails.

    It does so where a directory is opened that it needs to sync, and where it syncs one
    after it has made a journal. Nobody who uses it can know.
    """
    before = [each for each in operations if each.number < struck.number][-2:]
    match (*(each.kind for each in before), struck.kind):
        case (_, Kind.UNLINK, Kind.OPEN):
            return True
        case (_, Kind.SYNC, Kind.OPEN):
            return before[-1].name.endswith("-journal")
        case (Kind.SYNC, Kind.OPEN, Kind.SYNC):
            return before[0].name.endswith("-journal")
        case _:
            return False


def cuts(runs: Sequence[Run], *, start: int = 1) -> Iterator[Cut]:
    """Yield every moment of a history; of the last run, from an operation on.

    The disk of a moment is good until the next one is asked for.
    """
    disk = Disk()
    for run in runs:
        last = run is runs[-1]
        for operation in run.operations:
            disk.follow(operation)
            if last and operation.number >= start and operation.changes:
                least, most = bounds(runs, operation.number)
                what = f"{_told(runs)}, power cut after {operation.number}"
                yield Cut(
                    disk=disk,
                    least=least,
                    most=most,
                    operation=operation.number,
                    what=what,
                )


def _told(runs: Sequence[Run]) -> str:
    struck = [str(run.strike) for run in runs if run.strike.fault is not Fault.NONE]
    return ", then ".join(struck) or "no fault"


class Cutter:
    """Looks at states of disks, each different one once."""

    def __init__(self, runner: Runner, tally: Tally, draw: random.Random) -> None:
        self._runner = runner
        self._tally = tally
        self._draw = draw
        self._seen: set[int] = set()

    def systematic(self, cut: Cut) -> None:
        """Look at the states that are always looked at."""
        for image in certain(cut.disk):
            self._look(cut, image)

    def all_lost(self, cut: Cut) -> None:
        """Look at the state in which nothing is there but what was synced."""
        self._look(cut, cut.disk.image(lambda _: None))

    def by_chance(self, cut: Cut, count: int) -> int:
        """Look at so many new states, or at those that there are; return how many."""
        found = misses = 0
        while found < count and misses < _UNFRUITFUL:
            new = self._look(cut, drawn(cut.disk, self._draw))
            found, misses = found + new, misses + (not new)
        return found

    def _look(self, cut: Cut, image: Image) -> bool:
        key = hash((image, cut.least, cut.most))
        if key in self._seen:
            return False
        self._seen.add(key)
        directory = self._runner.fresh()
        put_down(image, directory)
        for why in examine(directory, least=cut.least, most=cut.most):
            self._tally.violations.append(f"{cut.what}: {why}")
        shutil.rmtree(directory)
        self._tally.states += 1
        return True
