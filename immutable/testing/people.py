"""What people do to a simulated world, past the engine and past every check."""

import attrs

from immutable.model import FleetName, Routing
from immutable.testing.calls import Request
from immutable.testing.registers import SLOTS_KEPT
from immutable.testing.scheduling import Process
from immutable.testing.simulation import Simulation
from immutable.testing.traffic import PERSON


def route(sim: Simulation, service: str, weights: dict[FleetName, int]) -> None:
    """Move a service's traffic by hand, as a person at a console does."""
    register = sim.cloud.switch(service).now
    routing = Routing(weights=weights)
    number = register.version + 1
    slots = (*register.slots, (number, routing))[-SLOTS_KEPT:]
    moved = attrs.evolve(
        register,
        routing=routing,
        version=number,
        slots=slots if register.kind == "slot" else (),
    )
    request = Request(
        "switch.write", (routing,), Process(name=PERSON), sim.cloud.now_us
    )
    sim.trace.add(sim.cloud.now_us, PERSON, "switch.write", (routing,))
    sim.cloud.change_switch(request, service, moved)
