"""Every operation of the workload, struck by every fault; and recoveries, killed again."""

import random
import shutil
from collections.abc import Callable, Iterator, Sequence

import attrs

from proofs.disk.faults import KILLS, Fault, Operation, Strike, kills_at, strikes_at
from proofs.disk.judging import KILLED, judge
from proofs.disk.oracle import examine
from proofs.disk.power import Disk, Image, found_in
from proofs.disk.runs import Run, Runner, bounds
from proofs.disk.shim import CannotProve
from proofs.disk.tally import Tally

Keep = Callable[[Sequence[Run]], None]
"""Gets the runs of one directory, one after the other, for power cuts in them."""


def undisturbed(runner: Runner, tally: Tally) -> Run:
    """Return the run without faults, and count its operations.

    Raises:
        CannotProve: it fails even so, or the shim has missed some of it.
    """
    run = runner.run(runner.fresh(), Strike())
    if run.status or not run.operations:
        raise CannotProve(f"the workload fails without faults: {run.said[-1:]}")
    if _replayed(run) != found_in(run.directory):
        raise CannotProve("the shim has not seen everything")
    tally.operations.update(each.kind.name for each in run.operations)
    return run


def _replayed(run: Run) -> Image:
    disk = Disk()
    for operation in run.operations:
        disk.follow(operation)
    return disk.image(lambda change: change.data)


@attrs.frozen(kw_only=True)
class Striker:
    """Strikes runs and asks the oracle what became of them."""

    runner: Runner
    tally: Tally
    keep: Keep
    draw: random.Random

    def strike(self, operations: Sequence[Operation]) -> None:
        """Strike each of these operations with every fault."""
        killed = set()
        for operation in operations:
            for strike in strikes_at(operation):
                if not self.tally.in_time("every fault at every operation"):
                    return
                self._strike(operation, strike)
                if strike.fault in KILLS:
                    killed.add(operation.number)
        self.tally.require_kills(operations, killed)

    def _strike(self, operation: Operation, strike: Strike) -> None:
        run = self.runner.run(self.runner.fresh(), strike)
        self.tally.faults[strike.fault] += 1
        wrong = (*judge(run, operation), *_examine([run]))
        self._blame(f"{strike}, {operation.kind.name}", wrong)
        shutil.rmtree(run.directory)
        self.keep([run])

    def strike_recoveries(self, operations: Sequence[Operation], *, each: int) -> None:
        """Kill at each of these, go on in another process, and kill that one, too.

        Args:
            operations: at each that changes something, once.
            each: at so many operations of each recovery, chosen by chance.
        """
        for operation in operations:
            # Before it, things are as they were after the one before it.
            kills = [k for k in kills_at(operation) if k.fault is not Fault.KILL_BEFORE]
            for strike in self.draw.sample(kills, min(1, len(kills))):
                if self.tally.in_time("kills in every recovery"):
                    self._recover(strike, each)

    def _recover(self, strike: Strike, each: int) -> None:
        directory, left = self.runner.fresh(), self.runner.fresh()
        first = self.runner.run(directory, strike)
        shutil.copytree(directory, left, dirs_exist_ok=True)
        whole = self.runner.run(directory, Strike(), limit=1)
        self._blame(str(strike), _judged(first, whole))
        self.keep([first, whole])
        shutil.rmtree(directory)
        points = [kill for o in whole.operations for kill in kills_at(o)]
        for again in self.draw.sample(points, min(each, len(points))):
            copied = self.runner.fresh()
            shutil.copytree(left, copied, dirs_exist_ok=True)
            second = self.runner.run(copied, again, limit=1)
            self.tally.recoveries += 1
            self._blame(f"{strike}, then {again}", _judged_kill(first, second))
            self.keep([first, second])
            shutil.rmtree(copied)
        shutil.rmtree(left)

    def _blame(self, what: str, wrong: Iterator[str] | tuple[str, ...]) -> None:
        self.tally.violations.extend(f"{what}: {why}" for why in wrong)


def _judged(first: Run, second: Run) -> Iterator[str]:
    yield from (said.detail for said in second.said if said.word == "broke")
    least, most = bounds([first], first.length)
    for said in second.said:
        if said.word == "present" and not least <= said.index <= most:
            yield f"{said.index} records are there, but {least} to {most} must be"
    yield from _examine([first, second])


def _judged_kill(first: Run, second: Run) -> Iterator[str]:
    if second.status != KILLED:
        yield f"was not killed, but ended with {second.status}"
    yield from _judged(first, second)


def _examine(runs: Sequence[Run]) -> tuple[str, ...]:
    _, most = bounds(runs, runs[-1].length)
    # The power stayed on: also what was only read is still there.
    return examine(runs[-1].directory, least=most - 1, most=most)
