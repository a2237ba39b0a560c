"""How a fleet is let go: requests end, the place goes, and only then the servers."""

from datetime import timedelta

import pytest

import immutable
from immutable.events import Waiting
from immutable.strategies import BlueGreen
from immutable.testing import Provider, Script, Simulation

AT_ONCE = BlueGreen(bake="0s", keep_warm="0s")


def retired(provider):
    """Deploy twice, let the first fleet be retired, and return what was told of it."""
    events = []
    with Simulation(1, provider=provider) as sim:
        service = sim.service("shop", size=2, strategy=AT_ONCE, drain="30s")
        immutable.deploy(service, sim.image("app-1")).raise_for_outcome()
        second = sim.image("app-2")
        immutable.deploy(service, second, on_event=events.append).raise_for_outcome()
        (serving,) = dict(sim.cloud.switch("shop").now.routing.weights)
        assert set(sim.cloud.fleets.now) == {serving}
        calls = [c for c in sim.gate.calls if c.startswith("switch.")]
    waits = {event.on for event in events if isinstance(event, Waiting)}
    return waits, calls


@pytest.mark.parametrize("kind", ["compare-and-set", "slot", "blind"])
@pytest.mark.parametrize("guards", [True, False])
def test_a_fleet_without_a_place_is_proven_to_have_none(kind, guards):
    """Nothing that the switch may name is destroyed, however the switch refuses writers."""
    _, calls = retired(Provider(switch=kind, guards_deletion=guards))
    assert "switch.detach" in calls


def test_requests_that_go_on_are_waited_for():
    """A fleet that is still serving keeps its place until they have ended."""
    waits, _ = retired(Provider(drains_in="10s"))
    assert "1 sessions to end" in waits


def test_a_shift_that_takes_time_is_waited_for():
    """Where older routings are served for a while, the old place stays as long."""
    waits, _ = retired(Provider(settle="40s"))
    assert "the shift to settle" in waits


def test_a_tombstone_is_proven_again_by_whoever_retires_it_later():
    """A tombstone whose place is gone: a write of our own proves it, then it goes."""
    for kind, proof in (("compare-and-set", "fence"), ("blind", "detach")):
        refused = [Script("refused", "fleets.retire", times=None)]
        with Simulation(1, switch=kind, faults=refused) as sim:
            service = sim.service("shop", strategy=AT_ONCE)
            immutable.deploy(service, sim.image("app-1")).raise_for_outcome()
            bad = sim.image("app-2", ready=False)
            done = immutable.deploy(service, bad)
            assert done.outcome is immutable.Outcome.NEEDS_RECOVERY
            assert "switch.detach" in sim.gate.calls
            sim.set_faults(None)
            before = dict(sim.gate.calls)
            immutable.recover(service).raise_for_outcome()
            assert len(sim.cloud.fleets.now) == 1
        proven = {"fence": "switch.write", "detach": "switch.detach"}[proof]
        assert sim.gate.calls[proven] == before.get(proven, 0) + 1


def test_old_readings_of_a_fleet_are_read_again_before_it_is_scaled():
    """The size is changed only by a reading that must show what was last done."""
    events = []
    with Simulation(1, provider=Provider(staleness="9s")) as sim:
        service = sim.service("shop", strategy=AT_ONCE)
        immutable.deploy(service, sim.image("app-1")).raise_for_outcome()
        done = immutable.scale(service, 2, on_event=events.append)
    assert done.is_live
    assert any("to be shown" in e.on for e in events if isinstance(e, Waiting))
    assert done.took > timedelta(seconds=5)


def test_a_switch_that_gives_no_answer_is_given_up():
    """A reading is bounded; what never answers turns a deployment back, or pauses it."""
    with Simulation(3) as sim:
        service = sim.service("shop")
        immutable.deploy(service, sim.image("app-1")).raise_for_outcome()
        sim.set_faults([Script("slow", "switch.health", times=None)])
        done = immutable.deploy(service, sim.image("app-2"))
        assert not done.is_live
        sim.set_faults(None)
        immutable.recover(service)
        assert immutable.status(service).release.number == 1


def test_an_effect_without_an_answer_is_read_back():
    """A write that takes longer than it may is neither taken for done nor for lost."""
    silent = [Script("slow", "switch.write", times=4)]
    with Simulation(1, faults=silent) as sim:
        service = sim.service("shop", size=2)
        done = immutable.deploy(service, sim.image("app"))
        steps = [step for step in done.steps if "no answer within" in step.detail]
        assert {step.result for step in steps} == {"unknown"}
        assert done.outcome in {
            immutable.Outcome.LIVE,
            immutable.Outcome.ROLLED_BACK,
        }
