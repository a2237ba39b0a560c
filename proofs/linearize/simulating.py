"""Histories of simulated switches, whose clients are disturbed in every way."""

import itertools
import math
from datetime import timedelta
from functools import partial
from random import Random

import attrs

from immutable.model import ServiceName, SwitchView
from immutable.protocols import Switch
from immutable.testing.chances import seeded
from immutable.testing.faults import Fault, Faults, Hazards, draw_mix
from immutable.testing.linearizability import (
    History,
    Register,
    Slots,
    check,
    compare_and_set,
    slots,
    with_late_effects,
    with_stale_reads,
)
from immutable.testing.provider import Provider
from immutable.testing.registers import Kind
from immutable.testing.simulation import Simulation
from immutable.testing.switches import SimulatedSwitch
from immutable.testing.watching import Unwatched
from proofs.linearize.clients import OPERATIONS, Client, set_up
from proofs.linearize.map_model import Calls
from proofs.linearize.tally import Run, Tally, Verdict

CALLS = ("switch.read", "switch.write", "switch.attach", "switch.detach")
NONE, SECOND = timedelta(), timedelta(seconds=1)
ROUGH = {
    Fault.LATE: 0.08,
    Fault.ERROR_BEFORE: 0.03,
    Fault.ERROR_AFTER: 0.05,
    Fault.TIMEOUT_AFTER: 0.03,
    Fault.DUPLICATED: 0.05,
    Fault.STALE: 0.2,
    Fault.SLOW: 0.03,
}
UNDER_WAY = 90 * SECOND
"""So long a simulated call may take; it goes on when its caller has died."""


@attrs.frozen
class Rough:
    """So many faults that a tenth of the writes is left without an answer."""

    chance: Random

    def choose(
        self,
        call: str,  # noqa: ARG002 - all calls fare alike
        *,
        process: str,  # noqa: ARG002 - and all processes
        possible: tuple[Fault, ...],
    ) -> Fault | None:
        """Draw what goes wrong with a call, if anything."""
        drawn = self.chance.random()
        for fault in possible:
            drawn -= ROUGH.get(fault, 0.0)
            if drawn < 0:
                return fault
        return None


@attrs.frozen(kw_only=True)
class Terms:
    """How one simulated history goes, drawn from its seed."""

    kind: Kind
    clients: int
    staleness: timedelta
    late: timedelta
    pace_s: float
    """How long clients rest between calls, at most."""
    hazards: Hazards
    faults: Faults

    @classmethod
    def drawn(cls, kind: Kind, seed: int) -> "Terms":
        """Draw them: the swarm is over these, and over the faults."""
        chance = seeded(seed, "terms")
        return cls(
            kind=kind,
            clients=chance.randint(2, 5),
            staleness=chance.choice((NONE, NONE, 2 * SECOND, 20 * SECOND)),
            late=chance.choice((NONE, 5 * SECOND, 60 * SECOND, 300 * SECOND)),
            pace_s=chance.choice((0.0, 0.05, 2.0, 30.0)),
            hazards=Hazards(
                chance=seeded(seed, "hazards"),
                death=chance.choice((0.0, 0.0, 0.01)),
                pause=chance.choice((0.0, 0.0, 0.02)),
            ),
            faults=chance.choice(
                (Rough(seeded(seed, "mix")), draw_mix(seeded(seed, "mix"), CALLS))
            ),
        )


def simulated(kind: Kind, seed: int) -> Run:
    """Return one history of a simulated switch."""
    terms = Terms.drawn(kind, seed)
    provider = Provider(switch=kind, staleness=terms.staleness, late=terms.late)
    simulation = Simulation(seed, provider=provider)
    # the rules for deployments are not for clients that send traffic nowhere
    simulation.cloud.watch, simulation.gate.sent = Unwatched(), lambda _: None
    switch = SimulatedSwitch(simulation.cloud, simulation.gate, ServiceName("shop"))
    history = History(clock=lambda: simulation.scheduler.now_us / 1e6)
    with simulation:
        start = set_up(switch)
        _race(simulation, switch, history, terms)
    recorded = history.operations()
    return Run(
        recorded=recorded,
        judge=lambda: _judge(recorded, start, terms),
        kills=simulation.gate.killed,
    )


def _race(
    simulation: Simulation, switch: Switch, history: History, terms: Terms
) -> None:
    # what was set up must be too old to be seen
    simulation.wait(terms.staleness + SECOND)
    numbers, known = itertools.count(), switch.read().version
    simulation.set_faults(terms.faults)
    simulation.set_hazards(terms.hazards)
    for number in range(terms.clients):
        chance = seeded(simulation.seed, f"client-{number}")
        client = Client(
            switch=history.recording(switch, process=f"client-{number}"),
            chance=chance,
            known=known,
            numbers=numbers,
            rest=partial(_rest, simulation, chance, terms.pace_s),
        )
        live = partial(client.live, math.ceil(OPERATIONS / terms.clients))
        simulation.spawn(f"client-{number}", live)
    simulation.run()
    _look_later(simulation, history.recording(switch, process="observer"))


def _rest(simulation: Simulation, chance: Random, pace_s: float) -> None:
    simulation.wait(timedelta(seconds=chance.random() * pace_s))


def _look_later(simulation: Simulation, switch: Switch) -> None:
    """Read in peace, and again when everything late has landed."""
    simulation.set_faults(None)
    simulation.set_hazards(None)
    switch.read()
    simulation.wait(switch.capabilities.late + 120 * SECOND)
    switch.read()


def _judge(recorded: Calls, start: SwitchView, terms: Terms) -> Verdict:
    allowed = with_stale_reads(recorded, terms.staleness)
    if not terms.hazards.pause:
        allowed = with_late_effects(allowed, terms.late + UNDER_WAY)
    if terms.kind == "slot":
        top = Slots(value=start.routing, top=int(start.version))
        return check(allowed, start=top, step=slots)
    register = Register.holding(start.routing, version=start.version)
    return check(allowed, start=register, step=compare_and_set)


def run_simulated(kind: Kind, seeds: range) -> Tally:
    """Run and judge the histories of some seeds."""
    tally = Tally(kind=kind)
    for seed in seeds:
        tally.count(seed, simulated(kind, seed))
    return tally
