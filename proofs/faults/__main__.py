"""Strike every call with every fault, and see what the caller is told and what is left.

    python -m proofs faults [--switch KIND|all] [--seconds T] [--only SCENARIO]
                            [--seed S] [--processes N] [--brief] [--groups]
    python -m proofs faults --only SCENARIO --switch KIND --cell "CELL"   (see one again)

``--brief`` leaves out the later places of calls that are made more than once; with
``--groups`` fleets are native groups, which their provider heals by itself. The exit
status is 1 when something broke, or when a cell was left out or did not strike.
"""

import argparse
import sys
import time
from collections.abc import Iterable, Iterator, Sequence

from immutable.testing.registers import KINDS
from proofs.faults.scenarios import SCENARIOS, named
from proofs.faults.striking import Trial, prepare, stage_of
from proofs.faults.tasks import Task
from proofs.faults.trying import Broke, Tally
from proofs.kills.parallel import run_all

_SHOWN = 8
_HEADER = (
    f"{'scenario':26} {'switch':16} {'calls':>6} {'cells':>11} {'struck':>7} "
    f"{'broken':>7} {'longest':>9} {'seconds':>8}  told"
)


def main() -> int:
    """Strike what was asked for and return the exit status."""
    asked = _arguments()
    kinds = KINDS if asked.switch == "all" else (asked.switch,)
    names = [s.name for s in SCENARIOS if asked.only in {None, s.name}]
    if asked.cell is not None:
        trial = prepare(named(names[0]), kinds[0], asked.seed, groups=asked.groups)
        print(_replay(trial, asked.cell))
        return 0
    until = time.monotonic() + asked.seconds
    tasks = [
        Task(
            scenario=name,
            kind=kind,
            seed=asked.seed,
            brief=asked.brief,
            until=until,
            groups=asked.groups,
        )
        for kind in kinds
        for name in names
    ]
    return _judge(list(_shown(run_all(tasks, asked.processes))))


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m proofs faults")
    parser.add_argument("--switch", default="all", choices=[*KINDS, "all"])
    parser.add_argument("--seconds", type=float, default=float("inf"))
    parser.add_argument("--only", choices=[scenario.name for scenario in SCENARIOS])
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--processes", type=int, default=1)
    parser.add_argument("--brief", action="store_true")
    parser.add_argument("--groups", action="store_true")
    parser.add_argument("--cell")
    return parser.parse_args()


def _shown(tallies: Iterable[Tally]) -> Iterator[Tally]:
    print(_HEADER, flush=True)
    for tally in tallies:
        print(_line(tally), flush=True)
        yield tally


def _line(tally: Tally) -> str:
    told = ", ".join(f"{n} {said}" for said, n in sorted(tally.outcomes.items()))
    return (
        f"{tally.scenario:26} {tally.kind:16} {tally.calls:6} "
        f"{tally.cells:5}/{tally.asked:<5} {tally.struck:7} {len(tally.broke):7} "
        f"{tally.longest.total_seconds():7.0f} s {tally.seconds:8.1f}  {told}"
    )


def _judge(tallies: Sequence[Tally]) -> int:
    broke = [(tally, found) for tally in tallies for found in tally.broke]
    for tally, found in broke[:_SHOWN]:
        print(f"\n{_spell(tally, found)}")
    left_out = [tally for tally in tallies if not tally.is_complete]
    for tally in left_out:
        missed = ", ".join(map(str, tally.missed))
        print(f"\nnot all of it struck: {tally.scenario}, {tally.kind}: {missed}")
    cells = sum(tally.cells for tally in tallies)
    struck = sum(tally.struck for tally in tallies)
    print(
        f"\n{cells} cells, {struck} struck and came to rest as they must, "
        f"{len(broke)} broken, {len(left_out)} matrices incomplete"
    )
    return int(bool(broke or left_out))


def _spell(tally: Tally, found: Broke) -> str:
    return (
        f"BROKEN {tally.scenario}, {tally.kind}: {found.cell}\n"
        f"  see it again: python -m proofs faults --only '{tally.scenario}' "
        f"--switch {tally.kind} --seed {tally.seed} --cell '{found.cell}'\n"
        f"{found.message}"
    )


def _replay(trial: Trial, asked: str) -> str:
    """Return the trace of one cell, and what broke in it."""
    cell = next(cell for cell in trial.cells if str(cell) == asked)
    stage = stage_of(trial.kind, trial.seed, groups=trial.groups)
    try:
        with stage.sim:
            said = str(trial.strike_on(stage, cell))
    # whatever broke is what is to be seen
    except Exception as exc:  # noqa: BLE001 - it is shown, with all that led to it
        said = f"{type(exc).__name__}: {exc}"
    finally:
        stage.sim.close()
    return f"{stage.sim.trace.text()}\n\n{said}"


if __name__ == "__main__":
    sys.exit(main())
