from datetime import timedelta

import pytest

import immutable
from immutable.events import Waiting
from immutable.model import FleetSpec
from immutable.strategies import BlueGreen
from immutable.testing import Provider, Script, Simulation
from immutable.testing.registers import KINDS
from immutable.testing.scheduling import Clock


@pytest.mark.parametrize("kind", KINDS)
def test_a_reading_from_before_the_deployment_is_no_drift(kind):
    """A switch that shows an earlier release is read again once it must show this one."""
    events = []
    with Simulation(1, provider=Provider(switch=kind, staleness="9s")) as sim:
        at_once = BlueGreen(bake="0s", keep_warm="1h")
        service = sim.service("shop", strategy=at_once)
        for name in ("app-1", "app-2"):
            immutable.deploy(service, sim.image(name)).raise_for_outcome()
        # the first reading is compared with the ledger, the second is the deployment's own
        sim.set_faults([Script("stale", "switch.read", skip=1)])
        done = immutable.rollback(service, on_event=events.append)
    assert done.is_live, done.error
    assert done.release.number == 1
    waits = [event.on for event in events if isinstance(event, Waiting)]
    assert waits == ["the switch to show its routing"]


@pytest.mark.parametrize("kind", KINDS)
def test_a_fleet_is_resized_in_its_place(kind):
    """A reading from before it had one is no reason to launch servers beside it."""
    provider = Provider(switch=kind, staleness="9s", launch_binds=True)
    with Simulation(1, provider=provider) as sim:
        service = sim.service("shop", size=2, strategy=BlueGreen(bake="0s"))
        immutable.deploy(service, sim.image("app")).raise_for_outcome()
        (fleet,) = sim.cloud.fleets.now
        # the first reading is compared with the ledger, the second is the scaling's own
        sim.set_faults([Script("stale", "switch.read", skip=1)])
        # to a clock that is ahead everything was long ago
        ahead = Clock(ahead=timedelta(minutes=5))
        sim.spawn("other", lambda: immutable.scale(service, 3), clock=ahead)
        sim.run()
        specs = [
            item
            for line in sim.trace.lines
            if line.what.startswith("fleets.resize")
            for item in line.about
            if isinstance(item, FleetSpec)
        ]
    assert [spec.place for spec in specs] == [f"place-{fleet}"]
