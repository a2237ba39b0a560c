"""Kill at every point, and recover.

    python -m proofs kills [--switch KIND|all] [--depth 1|2] [--distinct] [--landings]
                           [--seconds T] [--costs] [--only SCENARIO] [--seed S]
                           [--processes N] [--groups]
    python -m proofs kills --only SCENARIO --switch KIND --path 37,12f   (see one again)

``--depth 2`` kills every recovery at each of its points, too; with ``--distinct`` only
where that leaves another world than the point before and after. ``--landings`` lets what
a dead process had in flight land between any two steps of the recovery. With ``--groups``
fleets are native groups, which their provider heals by itself. The exit status
is 1 when something broke, or when a point was left out.
"""

import argparse
import functools
import sys
import time
from collections.abc import Iterable, Iterator, Sequence

from immutable.testing.registers import KINDS
from proofs.kills import costs
from proofs.kills.dooms import parse
from proofs.kills.exploring import Extent, Failure, Tally
from proofs.kills.lives import Case
from proofs.kills.parallel import run_all
from proofs.kills.replaying import replay
from proofs.kills.scenarios import SCENARIOS, named
from proofs.kills.tasks import Task

_SHOWN = 5
_HEADER = (
    f"{'scenario':26} {'switch':16} {'points':>7} {'killed':>7} {'kills':>11} "
    f"{'pairs':>15} {'landings':>11} {'broken':>7} {'seconds':>8}"
)


def main() -> int:
    """Explore what was asked for and return the exit status."""
    asked = _arguments()
    kinds = KINDS if asked.switch == "all" else (asked.switch,)
    names = [s.name for s in SCENARIOS if asked.only in {None, s.name}]
    if asked.path is not None:
        case = Case(
            scenario=named(names[0]),
            kind=kinds[0],
            seed=asked.seed,
            groups=asked.groups,
        )
        print(replay(case, parse(asked.path)))
        return 0
    until = time.monotonic() + asked.seconds
    extent = Extent(
        pairs=asked.depth > 1, only_distinct=asked.distinct, landings=asked.landings
    )
    tasks = [
        Task(
            scenario=name,
            kind=kind,
            seed=asked.seed,
            extent=extent,
            until=until,
            groups=asked.groups,
        )
        for kind in kinds
        for name in names
    ]
    tallies = list(_shown(run_all(tasks, asked.processes)))
    if asked.costs:
        print(f"\n{costs.HEADER}", *map(costs.spell, tallies), sep="\n")
    return _judge(tallies)


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m proofs kills")
    parser.add_argument("--switch", default="all", choices=[*KINDS, "all"])
    parser.add_argument("--depth", type=int, default=1, choices=[1, 2])
    parser.add_argument("--distinct", action="store_true")
    parser.add_argument("--landings", action="store_true")
    parser.add_argument("--seconds", type=float, default=float("inf"))
    parser.add_argument("--only", choices=[scenario.name for scenario in SCENARIOS])
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--processes", type=int, default=1)
    parser.add_argument("--costs", action="store_true")
    parser.add_argument("--groups", action="store_true")
    parser.add_argument("--path")
    return parser.parse_args()


def _shown(tallies: Iterable[Tally]) -> Iterator[Tally]:
    print(_HEADER, flush=True)
    for tally in tallies:
        print(_line(tally), flush=True)
        yield tally


def _line(tally: Tally) -> str:
    return (
        f"{tally.scenario:26} {tally.kind:16} {tally.points:7} {tally.killed:7} "
        f"{tally.kills:5}/{tally.asked:<5} {tally.pairs:7}/{tally.pairs_asked:<7} "
        f"{tally.landings:5}/{tally.landings_asked:<5} "
        f"{len(tally.failures):7} {tally.seconds:8.1f}"
    )


def _judge(tallies: Sequence[Tally]) -> int:
    failures = [failure for tally in tallies for failure in tally.failures]
    for failure in failures[:_SHOWN]:
        print(f"\n{_spell(failure)}")
    left_out = [t for t in tallies if not t.is_complete]
    for tally in left_out:
        print(f"\nnot all of it ran: {tally.scenario}, {tally.kind}")
    total = functools.reduce(
        lambda n, t: n + t.kills + t.pairs + t.landings, tallies, 0
    )
    print(f"\n{total} deaths, {len(failures)} broken, {len(left_out)} cases left out")
    return int(bool(failures or left_out))


def _spell(failure: Failure) -> str:
    path = ",".join(map(str, failure.path))
    return (
        f"BROKEN {failure.scenario}, {failure.kind}, died at {path} {failure.points}\n"
        f"  see it again: python -m proofs kills --only '{failure.scenario}' "
        f"--switch {failure.kind} --seed {failure.seed} --path '{path}'\n"
        f"{failure.message}"
    )


if __name__ == "__main__":
    sys.exit(main())
