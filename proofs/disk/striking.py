"""Every operation of the workload, struck by every fault; and recoveries, killed again."""

import random
import shutil
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

from proofs.disk.faults import KILLS, Fault, Operation, Strike, kills_at, strikes_at
from proofs.disk.judging import judge
from proofs.disk.oracle import examine
from proofs.disk.runs import Run, Runner, bounds
from proofs.disk.shim import CannotProve
from proofs.disk.tally import Tally

Keep = Callable[[Sequence[Run]], None]
"""Gets the runs of one directory, one after the other, for power cuts in them."""


def undisturbed(runner: Runner, tally: Tally) -> Run:
    """Return the run without faults, and count its operations.

    Raises:
        CannotProve: it fails even so.
    """
    run = runner.run(runner.fresh(), Strike())
    if run.status or not run.operations:
        raise CannotProve(f"the workload fails without faults: {run.said[-1:]}")
    tally.operations.update(each.kind.name for each in run.operations)
    return run


def strike_all(
    runner: Runner, operations: Sequence[Operation], tally: Tally, keep: Keep
) -> None:
    """Strike each of these operations with every fault and ask the oracle."""
    killed = set()
    for operation in operations:
        for strike in strikes_at(operation):
            if not tally.in_time("every fault at every operation"):
                return
            keep([_strike(runner, operation, strike, tally)])
            if strike.fault in KILLS:
                killed.add(operation.number)
    tally.require_kills(operations, killed)


def _strike(runner: Runner, operation: Operation, strike: Strike, tally: Tally) -> Run:
    directory = runner.fresh()
    run = runner.run(directory, strike)
    tally.count(strike)
    wrong = (*judge(run, operation), *_examine([run]))
    tally.violations.extend(f"{strike}, {operation.kind.name}: {why}" for why in wrong)
    shutil.rmtree(directory)
    return run


def _examine(runs: Sequence[Run]) -> tuple[str, ...]:
    _, most = bounds(runs, runs[-1].length)
    # The power stayed on: also what was only read is still there.
    return examine(runs[-1].directory, least=most - 1, most=most)


def strike_recoveries(
    runner: Runner,
    operations: Sequence[Operation],
    tally: Tally,
    keep: Keep,
    draw: random.Random,
    *,
    each: int,
) -> None:
    """Kill at each operation, go on in another process, and kill that one, too.

    Args:
        each: at so many operations of each recovery, chosen by chance.
    """
    for operation in operations:
        for strike in _one_kill(operation, draw):
            if not tally.in_time("a kill in every recovery"):
                return
            _recover(runner, strike, tally, keep, draw, each)


def _one_kill(operation: Operation, draw: random.Random) -> Iterator[Strike]:
    kills = list(kills_at(operation))
    # The one before is the same as after the operation before.
    others = [strike for strike in kills if strike.fault is not Fault.KILL_BEFORE]
    yield from draw.sample(others, min(1, len(others)))


def _recover(
    runner: Runner,
    strike: Strike,
    tally: Tally,
    keep: Keep,
    draw: random.Random,
    each: int,
) -> None:
    directory, left = runner.fresh(), runner.fresh()
    first = runner.run(directory, strike)
    shutil.copytree(directory, left, dirs_exist_ok=True)
    whole = runner.run(directory, Strike(), limit=1)
    keep([first, whole])
    wrong = _examine([first, whole])
    shutil.rmtree(directory)
    points = [kill for o in whole.operations for kill in kills_at(o)]
    for again in draw.sample(points, min(each, len(points))):
        copied = Path(shutil.copytree(left, runner.fresh(), dirs_exist_ok=True))
        second = runner.run(copied, again, limit=1)
        tally.recoveries += 1
        wrong += tuple(f"then {again}: {why}" for why in _judged(first, second))
        keep([first, second])
        shutil.rmtree(copied)
    shutil.rmtree(left)
    tally.violations.extend(f"{strike}: {why}" for why in wrong)


def _judged(first: Run, second: Run) -> Iterator[str]:
    yield from (said.detail for said in second.said if said.word == "broke")
    least, most = bounds([first], first.length)
    for said in second.said:
        if said.word == "present" and not least <= said.index <= most:
            yield f"{said.index} records are there, but {least} to {most} must be"
    yield from _examine([first, second])
