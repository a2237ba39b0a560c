"""Stories about who serves, when servers fail and people meddle."""

from collections.abc import Callable
from datetime import timedelta

import attrs

import immutable
from immutable import Outcome
from immutable.judging import Target
from immutable.model import digest_of
from immutable.strategies import BlueGreen, Canary
from immutable.testing import people
from immutable.testing.faults import Script
from immutable.testing.provider import Provider
from immutable.testing.servers import Fleet
from immutable.testing.settling import settle
from proofs.mutants.telling import When, World, expect

_FOR_EVER_US = 10**15
_FEW_TURNS = 20_000
_SOON = timedelta(seconds=10)


def silent(fleet: Fleet, count: int) -> Fleet:
    """Return a fleet of which so many servers live on and answer no more."""
    lost, kept = fleet.servers[:count], fleet.servers[count:]
    mute = tuple(attrs.evolve(s, silent_us=((0, _FOR_EVER_US),)) for s in lost)
    return attrs.evolve(fleet, servers=(*mute, *kept))


def server_that_falls_silent() -> None:
    """Check: a release is live only when all of its servers still answer."""
    world = World(validators=(), strategy=BlueGreen(bake="0s", keep_warm="24h"))
    world.deploy("a")
    name, old = world.service.name, world.live_fleet().name

    def fall_silent() -> None:
        world.change(world.live_fleet().name, lambda fleet: silent(fleet, 1))

    # the second look is the first under traffic
    world.sim.set_faults(When("switch.health", fall_silent, 1))
    world.deploy("b", outcome=Outcome.ROLLED_BACK)
    routing = world.sim.cloud.switch(name).now.routing
    expect(routing.weight_of(old), 100, "traffic of the old side")


def fleet_that_falls_silent() -> None:
    """Check: a fleet that answers no more is turned back at once, not after the bake."""
    world = World(validators=(), strategy=BlueGreen(bake="10m", keep_warm="24h"))
    world.deploy("a")

    def fall_silent() -> None:
        new = world.new_fleet().name
        world.sim.at("5s", lambda: world.change(new, lambda f: silent(f, 2)))

    world.sim.set_faults(When("switch.write", fall_silent))
    world.deploy("b", outcome=Outcome.ROLLED_BACK)
    shift, back = world.lines("switch.write")[-2:]
    lasted = timedelta(microseconds=back.at_us - shift.at_us)
    expect(max(lasted, _SOON), _SOON, "how long a silent fleet had traffic, at most")


def server_that_dies_in_the_bake() -> None:
    """Check: one death in the bake is mended, and is no reason to go back."""
    world = World(validators=(), strategy=BlueGreen(bake="20s", keep_warm="24h"))

    def die() -> None:
        server = world.new_fleet().servers[0].id
        world.sim.at("5s", lambda: world.sim.kill_server(server))

    world.sim.set_faults(When("switch.write", die))
    world.deploy("a")
    expect(len(world.live_servers()), world.service.size, "servers")


def server_of_another_image() -> None:
    """Check: a server that turns out to be of another release is not kept under traffic."""
    world = World(validators=(), strategy=BlueGreen(bake="20s", keep_warm="24h"))
    world.deploy("a")

    def turn_out() -> None:
        new = world.new_fleet().name
        world.sim.at("5s", lambda: world.change(new, _another))

    world.sim.set_faults(When("switch.write", turn_out))
    world.deploy("b", outcome=Outcome.ROLLED_BACK)


def _another(fleet: Fleet) -> Fleet:
    first, *others = fleet.servers
    strange = attrs.evolve(first, digest=digest_of("another")[:16])
    return attrs.evolve(fleet, servers=(strange, *others))


def old_side_that_stays_silent() -> None:
    """Check: when neither side can be proven, somebody is told, in bounded time."""
    world = World(turns=_FEW_TURNS)
    world.deploy("a")
    old = world.live_fleet().name
    shifted = When("switch.write", lambda: world.change(old, lambda f: silent(f, 2)), 1)
    world.sim.set_faults(shifted)
    world.deploy("b", rejected="live", outcome=Outcome.NEEDS_RECOVERY)


def switch_that_refuses_the_way_back() -> None:
    """Check: a deployment that cannot go back stays open until recovery can."""
    world = World()
    world.deploy("a")
    old = world.live_fleet().name
    refusing = Script("refused", "switch.write", skip=2, times=None)
    world.sim.set_faults([refusing])
    world.deploy("b", rejected="live", outcome=Outcome.NEEDS_RECOVERY)
    world.sim.set_faults(None)
    with world.sim:
        immutable.recover(world.service)
    expect(world.live_fleet().name, old, "live")


def person_behind_a_blind_write() -> None:
    """Check: what a switch does that compares nothing is read, and not assumed."""
    strategy = BlueGreen(bake="0s", keep_warm="24h")
    written = World(Provider(switch="blind"), validators=(), strategy=strategy)
    written.deploy("a")
    at_us = written.lines("switch.write")[-1].at_us
    world = World(Provider(switch="blind"), validators=(), strategy=strategy)
    # behind the write, and before anything is read again
    world.sim.scheduler.at(at_us + 1, lambda: people.route(world.sim, "shop", {}))
    done = world.deploy("a", outcome=None)
    expect(done.outcome, Outcome.ROLLED_BACK, "a deploy without traffic")


def canary_whose_past_is_shown() -> None:
    """Check: an older share of the traffic is no reason to leave a failed release there."""
    strategy = Canary(steps=(10, 50), hold="1s", bake="1s", keep_warm="24h")
    world = World(Provider(staleness="20s"), validators=(), strategy=strategy)
    world.deploy("a")

    def judge(target: Target) -> bool:
        routing = world.sim.cloud.switch("shop").now.routing
        return routing.weight_of(target.fleet) != 50  # noqa: PLR2004 - the second step

    world.service = attrs.evolve(world.service, validators=(judge,))
    with world.sim:
        world.sim.wait("1m")
    world.sim.set_faults([Script("stale", "switch.read", times=None)])
    world.deploy("b", outcome=Outcome.ROLLED_BACK)
    settle(world.sim, world.service)


def deploy_right_after_another() -> None:
    """Check: an old reading of the switch is no drift at the beginning, either."""
    world = World(Provider(staleness="20s"))
    world.deploy("a")
    world.sim.set_faults([Script("stale", "switch.read", times=1)])
    world.deploy("b")


def adoption_right_after_the_move() -> None:
    """Check: what a person has just routed is adopted, and not what was before it."""
    world = World(Provider(staleness="20s"))
    world.deploy("a")
    old = world.live_fleet().name
    world.deploy("b")
    with world.sim:
        world.sim.wait("1m")
        people.route(world.sim, "shop", {old: 100})
        world.sim.set_faults([Script("stale", "switch.read", times=1)])
        immutable.adopt(world.service)
    found = next(f.name for f in world.status().fleets if f.role == "live")
    expect(found, old, "the live fleet")


def adoption_of_the_dead() -> None:
    """Check: whoever asks for it, a dead fleet gets no traffic."""
    world = World()
    world.deploy("a")
    old = world.live_fleet()
    world.deploy("b")
    for server in old.servers:
        world.sim.kill_server(server.id)
    with world.sim:
        # longer than any proof of readiness may be old
        world.sim.wait("10s")
        done = immutable.adopt(world.service, fleet=old.name)
    expect(done.outcome, Outcome.ROLLED_BACK, "adopting a dead fleet")


def deploy_after_a_scale() -> None:
    """Check: what was scaled up stays so in the next release."""
    world = World()
    world.deploy("a")
    with world.sim:
        immutable.scale(world.service, 3).raise_for_outcome()
    world.deploy("b")
    expect(len(world.live_servers()), 3, "servers")


def person_reopens_what_was_closed() -> None:
    """Check: what a person opens again after a destroy is not closed once more."""
    world = World()
    world.deploy("a")
    name = world.live_fleet().name
    # when the traffic is gone, and before the place is taken away
    reopened = When(
        "switch.sessions", lambda: people.route(world.sim, "shop", {name: 100})
    )
    world.sim.set_faults(reopened)
    with world.sim:
        immutable.destroy(world.service)
    expect(world.live_fleet().name, name, "what a person has opened")


SERVING: dict[str, Callable[[], object]] = {
    "a server that falls silent": server_that_falls_silent,
    "a fleet that falls silent": fleet_that_falls_silent,
    "a server that dies in the bake": server_that_dies_in_the_bake,
    "a server of another image": server_of_another_image,
    "an old side that stays silent": old_side_that_stays_silent,
    "a switch that refuses the way back": switch_that_refuses_the_way_back,
    "a person behind a blind write": person_behind_a_blind_write,
    "a canary whose past is shown": canary_whose_past_is_shown,
    "a deploy right after another": deploy_right_after_another,
    "an adoption right after the move": adoption_right_after_the_move,
    "an adoption of the dead": adoption_of_the_dead,
    "a deploy after a scale": deploy_after_a_scale,
    "a person reopens what was closed": person_reopens_what_was_closed,
}
