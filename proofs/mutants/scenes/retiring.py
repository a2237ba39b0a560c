"""Stories about what leaves, in which order, and about what comes late."""

from collections.abc import Callable
from datetime import timedelta

import immutable
from immutable.model import FleetSpec
from immutable.strategies import BlueGreen
from immutable.testing.faults import Script
from immutable.testing.provider import Provider
from immutable.testing.scheduling import to_us
from proofs.kills.scenarios import died, one_live
from proofs.kills.stage import LastCallLate, Stage, Terms
from proofs.mutants.telling import World, expect

_LATE = timedelta(minutes=5)


def launch_that_comes_when_all_is_over() -> None:
    """Check: what a dead deployer asked for is found by whoever recovers later, without a sweep."""
    stage = Stage(Terms(kind="slot", late=_LATE))
    with stage.sim:
        one_live(stage)
        stage.sim.gate.late_us = to_us(_LATE)
        died(stage, "after:fleets.launch", faults=LastCallLate)
        immutable.recover(stage.service)
        stage.sim.wait(2 * _LATE)
        expect(len(stage.sim.cloud.fleets.now), 2, "fleets, the late one included")
        immutable.recover(stage.service)
        expect(len(stage.sim.cloud.fleets.now), 1, "fleets")


def resize_that_is_delivered_twice() -> None:
    """Check: what a network delivers again, late, is mended by whoever recovers later."""
    world = World(Provider(late=_LATE))
    world.deploy("a")
    world.sim.set_faults([Script("duplicated", "fleets.resize", times=1)])
    with world.sim:
        immutable.scale(world.service, 3).raise_for_outcome()
        immutable.scale(world.service, 2).raise_for_outcome()
        world.sim.wait(2 * _LATE)
        expect(len(world.live_servers()), 3, "servers, the late one included")
        immutable.recover(world.service)
        expect(len(world.live_servers()), 2, "servers")


def requests_that_take_a_while() -> None:
    """Check: a fleet keeps its place until its requests have ended."""
    strategy = BlueGreen(bake="0s", keep_warm="0s")
    world = World(Provider(drains_in="3s"), strategy=strategy, drain="30s")
    world.deploy("a")
    world.deploy("b")
    shifted = world.lines("switch.write")[-1].at_us
    detached = world.lines("switch.detach")[-1].at_us
    drained_us = min(detached - shifted, to_us(timedelta(seconds=3)))
    expect(drained_us, to_us(timedelta(seconds=3)), "drained first")


def smaller_fleet() -> None:
    """Check: a server leaves the traffic before it goes."""
    world = World()
    world.deploy("a", size=3)
    with world.sim:
        immutable.scale(world.service, 1).raise_for_outcome()
    line = world.lines("fleets.resize")[-1]
    spec, removed = line.about[:2]
    if not isinstance(spec, FleetSpec) or not isinstance(removed, tuple):
        raise TypeError(f"this is no resize: {line}")
    place = world.sim.cloud.switch("shop").at(line.at_us).place_of(spec.name)
    members = {member.instance for member in place.members} if place else set()
    expect(members & set(removed), set(), "members that are gone")


RETIRING: dict[str, Callable[[], object]] = {
    "a launch that comes when all is over": launch_that_comes_when_all_is_over,
    "a resize that is delivered twice": resize_that_is_delivered_twice,
    "requests that take a while": requests_that_take_a_while,
    "a smaller fleet": smaller_fleet,
}
