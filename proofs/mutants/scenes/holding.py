"""Stories of fleets that their provider heals and scales by itself."""

from collections.abc import Callable
from datetime import timedelta

import attrs

import immutable
from immutable import Outcome
from immutable.model import FleetName
from immutable.service import Service
from immutable.testing.faults import Script
from immutable.testing.groups import Group
from immutable.testing.provider import Provider
from immutable.testing.registers import joined
from immutable.testing.servers import Fleet
from immutable.testing.settling import settle
from proofs.mutants.telling import World, expect

_GROUPS = Provider().with_groups()
_READINGS = 8
"""So many times fleets are read in a deployment, at least."""


def _scaled_world(provider: Provider = _GROUPS) -> World:
    """Return a world in which something is live that its provider may scale."""
    world = World(provider)
    world.deploy("a")
    world.change(world.live_fleet().name, _with_policies)
    return world


def _with_policies(fleet: Fleet) -> Fleet:
    return attrs.evolve(
        fleet, group=Group(frozen=False, policies="by load", least=1, most=9)
    )


def standby_that_is_not_let_go_for_sure() -> None:
    """Check: a standby that may have been let go is frozen again when it is turned back."""
    world = _scaled_world()
    world.deploy("b")
    world.sim.set_faults([Script("error_after", "fleets.thaw", times=4)])
    with world.sim:
        done = immutable.rollback(world.service)
    expect(done.outcome, Outcome.ROLLED_BACK, "a rollback that cannot let go")
    settle(world.sim, world.service)


def freeze_that_comes_late() -> None:
    """Look for a freeze that lands when the deployment is long over, and mend it."""
    world = _scaled_world(Provider(late="30s").with_groups())
    world.sim.set_faults([Script("late", "fleets.freeze")])
    world.deploy("b", rejected="live", outcome=Outcome.ROLLED_BACK)
    settle(world.sim, world.service)


def reading_of_a_fleet_that_was_frozen_once() -> None:
    """Check: that a fleet is frozen is not believed when it was let go since."""
    for reading in range(_READINGS):
        world = _scaled_world(Provider(staleness="20s").with_groups())
        with world.sim:
            world.sim.wait("1m")
            # frozen for a while, and let go at the end
            immutable.deploy(_undecided(world.service), world.sim.image("b"))
        world.sim.set_faults([Script("stale", "fleets.observe", skip=reading)])
        world.deploy("c", outcome=None)


def _undecided(service: Service) -> Service:
    return attrs.evolve(
        service,
        validators=(lambda target: None if target.live else True,),
        validate_timeout=timedelta(seconds=30),
    )


def healing_what_its_provider_has_scaled() -> None:
    """Leave the size to the provider that has changed it, when its fleet is healed."""
    for size in (4, 1):
        world = _scaled_world()
        name = world.live_fleet().name
        world.sim.cloud.keeper.scale(name, size)
        with world.sim:
            world.sim.wait("10s")
        _tear(world, name)
        with world.sim:
            done = immutable.heal(world.service)
        expect(done.outcome, Outcome.LIVE, "healing")
        expect(len(world.live_servers()), size, "instances when it was healed")
        settle(world.sim, world.service)


def _tear(world: World, name: FleetName) -> None:
    """Let the switch have lost a member."""
    switch = world.sim.cloud.switch(world.service.name)
    members = tuple(j.member for p in switch.now.places for j in p.joined)[1:]
    now_us = world.sim.cloud.now_us
    switch.put(now_us, joined(switch.now, name, members, now_us))


def provider_that_does_not_let_go() -> None:
    """Leave a deployment open that cannot undo its freeze, for recovery to go on."""
    world = _scaled_world()
    world.sim.set_faults([Script("refused", "fleets.thaw", times=None)])
    done = world.deploy("b", rejected="live", outcome=Outcome.NEEDS_RECOVERY)
    frozen = [left for left in done.leftovers if "frozen" in left]
    expect(len(frozen), 1, "fleets that are said to be frozen")
    settle(world.sim, world.service)


HOLDING: dict[str, Callable[[], object]] = {
    "a standby that is not let go for sure": standby_that_is_not_let_go_for_sure,
    "a freeze that comes late": freeze_that_comes_late,
    "a reading of a fleet that was frozen once": reading_of_a_fleet_that_was_frozen_once,
    "healing what its provider has scaled": healing_what_its_provider_has_scaled,
    "a provider that does not let go": provider_that_does_not_let_go,
}
