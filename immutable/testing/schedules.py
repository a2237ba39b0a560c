"""Many worlds from one number each: drawn programs, faults, deaths, pauses and people."""

from collections import Counter
from collections.abc import Callable, Iterable
from datetime import timedelta

import attrs

from immutable.testing.chances import seeded
from immutable.testing.drawing import (
    DrawnPolicy,
    draw_hazards,
    draw_provider,
    loosen,
)
from immutable.testing.faults import CHANGES, HOLDINGS, READINGS, draw_mix
from immutable.testing.registers import Kind
from immutable.testing.settling import Rest, settle
from immutable.testing.simulation import Simulation
from immutable.testing.watching import Unwatched

TURNS = 100_000
"""A schedule that takes more turns runs in a circle."""
Policy = Callable[[Simulation], object]
"""Sets a world up: makes services and images, and spawns the processes that deploy."""


@attrs.frozen(kw_only=True)
class ScheduleReport:
    """What one schedule came to."""

    seed: int
    switch: Kind
    calls: int
    """Calls that went through the gate."""
    kills: int
    faults: Counter[str]
    """How often each kind has struck."""
    outcomes: Counter[str]
    """Of the calls of a drawn policy, by verb and outcome."""
    rests: tuple[Rest, ...]
    """How each service came to rest."""
    virtual: timedelta
    """How much time it took, if time were real."""


def run_schedule(
    seed: int,
    switch: Kind = "compare-and-set",
    *,
    policy: Policy | None = None,
    faults: bool = True,
    groups: bool = False,
) -> ScheduleReport:
    """Draw a schedule and run it to its end.

    Args:
        seed: draws everything; the same one repeats exactly.
        switch: the kind of switch.
        policy: sets the world up; when not given, that is drawn too. What it does
            itself is spared; faults begin when the processes that it spawns do.
        faults: False: nothing goes wrong and nobody dies.
        groups: fleets are native groups, which their provider heals and scales by itself.

    Raises:
        Violation: a rule was broken.
    """
    sim, drawn = prepare(seed, switch, policy=policy, faults=faults, groups=groups)
    try:
        sim.run()
        rests = tuple(settle(sim, service) for service in sim.services.values())
    finally:
        sim.close()
    report = _report(sim, switch, drawn, rests)
    if policy is None:
        # nobody else has seen this world
        _dissolve(sim)
    return report


def prepare(
    seed: int,
    switch: Kind = "compare-and-set",
    *,
    policy: Policy | None = None,
    faults: bool = True,
    groups: bool = False,
) -> tuple[Simulation, Counter[str]]:
    """Draw a schedule as `run_schedule` does, ready to run; to look at one closely.

    Returns:
        The simulation, and where a drawn policy notes how its calls end.
    """
    chance = seeded(seed, f"schedule/{switch}")
    provider = draw_provider(chance, switch)
    if groups:
        provider = provider.with_groups()
    sim = Simulation(seed, provider=provider, turns=TURNS)
    drawn = DrawnPolicy(chance)
    (policy or drawn)(sim)
    if groups:
        loosen(sim, seeded(seed, "groups"))
    if faults:
        calls = (*CHANGES, *READINGS, *(HOLDINGS if groups else ()))
        sim.set_faults(draw_mix(seeded(seed, "faults"), calls))
        provider = sim.cloud.provider
        sim.set_hazards(draw_hazards(seeded(seed, "hazards"), provider))
        if switch == "blind":
            sim.gate.late_us //= 2
    return sim, drawn.outcomes


def explore(
    policy: Policy, seeds: Iterable[int], *, switch: Kind = "compare-and-set"
) -> int:
    """Run a policy of your own through many schedules, and return how many.

    Raises:
        Violation: the first that is found; it names its seed.
    """
    count = 0
    for seed in seeds:
        run_schedule(seed, switch, policy=policy)
        count += 1
    return count


def _dissolve(sim: Simulation) -> None:
    """Take a world apart, whose parts know one another: nothing is left to be collected.

    What is freed at once is used again at once, which is faster by a good deal.
    """
    sim.cloud.watch = Unwatched()
    for part in (sim.gate, sim.scheduler, sim.store, sim.trace, sim.backend, sim):
        vars(part).clear()


def _report(
    sim: Simulation, switch: Kind, outcomes: Counter[str], rests: tuple[Rest, ...]
) -> ScheduleReport:
    return ScheduleReport(
        seed=sim.seed,
        switch=switch,
        calls=sum(sim.gate.calls.values()),
        kills=sim.gate.killed,
        faults=sim.gate.struck,
        outcomes=outcomes,
        rests=rests,
        virtual=timedelta(microseconds=sim.scheduler.now_us),
    )
