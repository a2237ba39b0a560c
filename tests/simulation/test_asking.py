"""What is asked of a provider: each reading costs a call, and some charge for it."""

import pytest

import immutable
from immutable.judging import Target, Verdict, VerdictStatus
from immutable.testing import Provider, Simulation
from immutable.testing.registers import KINDS


def test_nobody_asks_for_a_fleet_that_was_never_launched():
    """The name of a new fleet is its deployment's own: before the launch it is not there."""
    with Simulation(1) as sim:
        service = sim.service("shop", size=2)
        assert immutable.deploy(service, sim.image("app")).is_live
        calls = [line.what for line in sim.trace.lines]
    assert "fleets.observe" not in calls[: calls.index("fleets.launch")]


def test_a_fleet_is_counted_less_often_than_it_is_probed():
    """While all of it is on its way, only every fourth look is at the fleet."""
    with Simulation(1) as sim:
        service = sim.service("shop", size=2)
        assert immutable.deploy(service, sim.image("app", boots_in="20s")).is_live
        calls = sim.gate.calls
    assert calls["switch.health"] > 20
    assert calls["fleets.observe"] < calls["switch.health"] / 2


def test_what_was_just_launched_is_given_a_moment():
    """Nothing is ready at once: the first probe is one pace later."""
    with Simulation(1, provider=Provider(pace="5s")) as sim:
        service = sim.service("shop", size=2)
        assert immutable.deploy(service, sim.image("app")).is_live
        at_us = {line.what: line.at_us for line in reversed(sim.trace.lines)}
    assert at_us["switch.health"] - at_us["fleets.launch"] >= 5_000_000


def test_a_bake_looks_no_oftener_than_the_provider_asks_for():
    """A look each second would be 60 of them."""
    with Simulation(1, provider=Provider(pace="5s")) as sim:
        strategy = immutable.BlueGreen(bake="60s")
        service = sim.service("shop", size=2, strategy=strategy)
        assert immutable.deploy(service, sim.image("app")).is_live
        assert sim.gate.calls["switch.read"] < 20


def test_validators_ask_no_oftener_than_the_provider_asks_for():
    """Each look of theirs is one at the fleet, too."""
    asked_us = []

    def undecided_twice(target: Target) -> Verdict:
        if not target.live:
            asked_us.append(sim.cloud.now_us)
        is_sure = target.live or len(asked_us) > 2
        return Verdict(
            status=VerdictStatus.PASSED if is_sure else VerdictStatus.UNDECIDED
        )

    with Simulation(1, provider=Provider(pace="5s")) as sim:
        service = sim.service("shop", size=2, validators=[undecided_twice])
        assert immutable.deploy(service, sim.image("app")).is_live
    first, second, third = asked_us
    assert min(second - first, third - second) >= 5_000_000


@pytest.mark.parametrize("kind", ["compare-and-set", "slot"])
def test_a_retirement_asks_for_the_switch_no_second_time(kind):
    """The deployment before it knew the switch, and what was detached is known to be gone."""
    with Simulation(1, provider=Provider(switch=kind, guards_deletion=True)) as sim:
        at_once = immutable.BlueGreen(bake="0s", keep_warm="0s")
        service = sim.service("shop", size=2, strategy=at_once)
        for name in ("a", "b"):
            assert immutable.deploy(service, sim.image(name)).is_live
        calls = [line.what for line in sim.trace.lines]
    written = len(calls) - 1 - calls[::-1].index("switch.write")
    assert "fleets.retire" in calls[written:]
    assert "switch.read" not in calls[written:]


def test_who_dies_on_the_way_is_replaced_all_the_same():
    """The switch says that it is not ready; a count soon shows that it is gone."""
    with Simulation(1) as sim:
        service = sim.service("shop", size=2)
        image = sim.image("app", boots_in="10s")
        sim.spawn("death", lambda: _kill_one(sim), after="5s")
        done = immutable.deploy(service, image)
    assert done.is_live
    assert [step.step for step in done.steps].count("replace") == 1


def _kill_one(sim: Simulation) -> None:
    (fleet,) = sim.cloud.fleets.now.values()
    sim.kill_server(fleet.servers[0].id)


@pytest.mark.parametrize("kind", KINDS)
def test_nothing_is_asked_while_a_shift_settles(kind):
    """Who has traffic again in the meantime the switch itself does not detach."""
    waits = {}
    for settle in ("1s", "60s"):
        with Simulation(1, provider=Provider(switch=kind, settle=settle)) as sim:
            at_once = immutable.BlueGreen(bake="0s", keep_warm="0s")
            service = sim.service("shop", size=2, strategy=at_once)
            for name in ("a", "b"):
                assert immutable.deploy(service, sim.image(name)).is_live
            assert len(sim.cloud.fleets.now) == 1
            waits[settle] = sim.gate.calls["switch.read"]
    assert waits["60s"] <= waits["1s"]
