import pytest

from immutable.model import ServiceName
from immutable.testing import Provider, Simulation, conformance
from immutable.testing.switches import SimulatedSwitch
from immutable.testing.watching import Unwatched

PROVIDERS = {
    "compare-and-set": Provider(),
    "slot": Provider(switch="slot", launch_binds=True),
    "blind": Provider(switch="blind", weighted=False, preview=False),
}


def simulated(name: str, provider: Provider) -> conformance.Subject:
    """Return a subject on a simulated cloud that nobody watches over."""
    sim = Simulation(seed=1, provider=provider)
    sim.cloud.watch = sim.store.watch = Unwatched()
    sim.gate.sent = lambda _request: None
    return conformance.Subject(
        name=name,
        backend=sim.backend,
        good=sim.image("good"),
        another=sim.image("another"),
        broken=sim.image("broken", ready=False),
        switch=lambda service: SimulatedSwitch(
            sim.cloud, sim.gate, ServiceName(service)
        ),
        kill=sim.kill_server,
        host=sim.here,
        ready_timeout="20s",
    )


@pytest.fixture(scope="module", params=PROVIDERS)
def subject(request: pytest.FixtureRequest) -> conformance.Subject:
    """Return a simulated cloud of each kind."""
    return simulated(request.param, PROVIDERS[request.param])


test_memory = conformance.backend_cases()
