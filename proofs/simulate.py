"""Run simulated schedules: two to four deployers, faults, deaths, pauses and people.

    python -m proofs simulate --count 10000 --seed 1 --switch all --processes 2
    python -m proofs simulate --seconds 600 --processes 2
    python -m proofs simulate --switch slot --seed 4711 --count 1 --show
    python -m proofs simulate --count 10000 --groups    (providers scale fleets themselves)

Each seed draws a provider, a mix of faults, programs and dangers, runs the real public
calls in virtual time, and checks the rules of `immutable.testing.oracles` at every
change. The exit status is 1 after a violation, or when fewer ran than were asked for.
"""

import argparse
import gc
import logging
import multiprocessing
import sys
import time
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence

import attrs

from immutable.testing.registers import KINDS, Kind
from immutable.testing.schedules import ScheduleReport, prepare, run_schedule
from immutable.testing.settling import settle

_DEFAULT = 1000
_ENDLESS = 10_000_000
_SHOWN = 5
_LINES = 400
_COLLECT_ALL = 100
"""After so many schedules what has survived the others is collected, too."""


@attrs.frozen(kw_only=True)
class Failure:
    """A seed that breaks a rule, or the simulation."""

    switch: Kind
    seed: int
    what: str


@attrs.define(kw_only=True)
class Tally:
    """What the schedules of one kind came to."""

    switch: Kind
    ran: int = 0
    calls: int = 0
    kills: int = 0
    virtual_s: float = 0.0
    busy_s: float = 0.0
    faults: Counter[str] = attrs.field(factory=Counter)
    outcomes: Counter[str] = attrs.field(factory=Counter)
    rests: Counter[str] = attrs.field(factory=Counter)
    failures: list[Failure] = attrs.field(factory=list)

    def add(self, report: ScheduleReport) -> None:
        """Count one schedule that broke nothing."""
        self.ran += 1
        self.calls += report.calls
        self.kills += report.kills
        self.virtual_s += report.virtual.total_seconds()
        self.faults += report.faults
        self.outcomes += report.outcomes
        self.rests.update(rest.how for rest in report.rests)

    def merge(self, other: "Tally") -> None:
        """Add what another process counted."""
        self.ran += other.ran
        self.calls += other.calls
        self.kills += other.kills
        self.virtual_s += other.virtual_s
        self.busy_s += other.busy_s
        self.faults += other.faults
        self.outcomes += other.outcomes
        self.rests += other.rests
        self.failures += other.failures


@attrs.frozen(kw_only=True)
class Share:
    """The schedules that one process runs, of each kind in turn."""

    kinds: tuple[Kind, ...]
    seeds: range
    until: float
    """When to begin no other one, by the system's monotonic clock."""
    groups: bool
    """Fleets are native groups."""

    def run(self) -> dict[Kind, Tally]:
        """Run them, as far as time allows."""
        logging.disable(logging.CRITICAL)
        # what a schedule leaves is young, and little: it is collected when it has ended
        gc.freeze()
        gc.disable()
        try:
            return self._run()
        finally:
            gc.enable()
            gc.unfreeze()

    def _run(self) -> dict[Kind, Tally]:
        tallies = {kind: Tally(switch=kind) for kind in self.kinds}
        for seed in self.seeds:
            for tally in tallies.values():
                if time.monotonic() > self.until:
                    return tallies
                _run_one(tally, seed, groups=self.groups)
        return tallies


def _run_one(tally: Tally, seed: int, *, groups: bool) -> None:
    began = time.process_time()
    try:
        tally.add(run_schedule(seed, tally.switch, groups=groups))
    # a defect of the simulation is a failure like a broken rule
    except Exception as exc:  # noqa: BLE001 - see above
        tally.ran += 1
        what = f"{type(exc).__name__}: {exc}"
        tally.failures.append(Failure(switch=tally.switch, seed=seed, what=what))
    gc.collect(2 if tally.ran % _COLLECT_ALL == 0 else 0)
    tally.busy_s += time.process_time() - began


def main() -> int:
    """Run what was asked for and return the exit status."""
    asked = _arguments()
    kinds = KINDS if asked.switch == "all" else (asked.switch,)
    if asked.show:
        print(_replay(kinds[0], asked.seed, groups=asked.groups))
        return 0
    began = time.monotonic()
    until = began + (asked.seconds or float("inf"))
    count = asked.count or (_ENDLESS if asked.seconds else _DEFAULT)
    shares = [
        Share(
            kinds=kinds,
            seeds=range(asked.seed + first, asked.seed + count, asked.processes),
            until=until,
            groups=asked.groups,
        )
        for first in range(asked.processes)
    ]
    tallies = {kind: Tally(switch=kind) for kind in kinds}
    for done in _run(shares):
        for kind, tally in done.items():
            tallies[kind].merge(tally)
    wanted = 0 if asked.seconds and not asked.count else count
    return _judge(tallies.values(), wanted, time.monotonic() - began)


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m proofs simulate")
    parser.add_argument("--count", type=int, help="schedules of each kind")
    parser.add_argument("--seed", type=int, default=1, help="of the first schedule")
    parser.add_argument("--switch", default="all", choices=[*KINDS, "all"])
    parser.add_argument("--seconds", type=float, help="begin none after so long")
    parser.add_argument("--processes", type=int, default=1)
    parser.add_argument("--groups", action="store_true", help="fleets scale themselves")
    parser.add_argument("--show", action="store_true", help="one schedule's trace")
    return parser.parse_args()


def _run(shares: Sequence[Share]) -> Iterator[dict[Kind, Tally]]:
    if len(shares) == 1:
        yield shares[0].run()
        return
    # a fresh interpreter for each: a fork would take over greenlets that are not its own
    with multiprocessing.get_context("spawn").Pool(len(shares)) as pool:
        yield from pool.imap_unordered(Share.run, shares)


def _judge(tallies: Iterable[Tally], wanted: int, took: float) -> int:
    short = False
    for tally in tallies:
        print(_spell(tally, wanted or tally.ran))
        for failure in tally.failures[:_SHOWN]:
            print(f"\n{_spell_failure(failure)}")
        short = short or tally.ran < wanted or not tally.ran
    ran = sum(tally.ran for tally in tallies)
    broken = sum(len(tally.failures) for tally in tallies)
    print(f"\n{ran} schedules in {took:.1f} s, {broken} broken")
    if short:
        print("fewer ran than were asked for")
    return int(bool(broken or short))


def _spell(tally: Tally, asked: int) -> str:
    per_s = tally.ran / tally.busy_s if tally.busy_s else 0.0
    return (
        f"{tally.switch:16} asked {asked}, ran {tally.ran}, calls {tally.calls}, "
        f"kills {tally.kills}, broken {len(tally.failures)}, "
        f"{per_s:.0f} per second and core\n"
        f"  virtual time {tally.virtual_s / 3600:.0f} h\n"
        f"  faults   {_spell_counts(tally.faults)}\n"
        f"  outcomes {_spell_counts(tally.outcomes)}\n"
        f"  rest     {_spell_counts(tally.rests)}"
    )


def _spell_counts(counts: Counter[str]) -> str:
    return ", ".join(f"{name} {count}" for name, count in counts.most_common())


def _spell_failure(failure: Failure) -> str:
    return (
        f"BROKEN {failure.switch}, seed {failure.seed}\n"
        f"  see it again: python -m proofs simulate --switch {failure.switch} "
        f"--seed {failure.seed} --show\n{failure.what}"
    )


def _replay(switch: Kind, seed: int, *, groups: bool) -> str:
    """Run one schedule again and return the end of its trace."""
    sim, _ = prepare(seed, switch, groups=groups)
    said = "it breaks nothing"
    try:
        sim.run()
        for service in sim.services.values():
            said += f"; {settle(sim, service)}"
    except AssertionError as exc:
        said = str(exc).partition("\n")[0]
    finally:
        sim.close()
    return f"{sim.trace.tail(_LINES)}\n{sim.cloud.provider}\n{said}"


if __name__ == "__main__":
    sys.exit(main())
