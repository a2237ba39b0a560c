"""Stories of deployers that die, and of whoever goes on for them later."""

from collections.abc import Callable

import attrs

import immutable
from immutable import Outcome
from immutable.judging import Target
from immutable.strategies import BlueGreen
from immutable.testing.scheduling import Process
from proofs.mutants.telling import When, World, expect


def deployer_that_dies_on_the_way_back() -> None:
    """Check: whoever goes on later gives the old side all its time again."""
    world = World()
    world.deploy("a")
    old = world.live_fleet()
    for server in old.servers:
        world.sim.kill_server(server.id)
    with world.sim:
        world.sim.wait("10s")
    image = world.sim.image("b", boots_in="50ms", rejected="live")
    mortal = world.sim.spawn("mortal", lambda: immutable.deploy(world.service, image))
    world.sim.set_faults(
        When("fleets.replace", lambda: world.sim.kill(mortal, known=True))
    )
    world.sim.run()
    world.sim.set_faults(None)
    with world.sim:
        world.sim.wait("1h")
        immutable.recover(world.service)
    expect(world.live_fleet().name, old.name, "live")


def deployer_that_dies_in_the_bake() -> None:
    """Check: whoever goes on later gives the validators all their time again."""
    world, asked = _died_in_the_bake(), [0]

    def judge(_target: Target) -> bool | None:
        asked[0] += 1
        return None if asked[0] == 1 else True

    service = attrs.evolve(world.service, validators=(_named("judge", judge),))
    with world.sim:
        world.sim.wait("1h")
        done = immutable.recover(service)
    expect(done.outcome, Outcome.LIVE, "what died in its bake")


def validator_that_dies_with_its_deployer() -> None:
    """Check: a verdict that nobody can ask for any more is no pass."""
    world = _died_in_the_bake()
    service = attrs.evolve(world.service, validators=())
    with world.sim:
        world.sim.wait("1h")
        done = immutable.recover(service)
    expect(done.outcome, Outcome.ROLLED_BACK, "what died in its bake")


def _died_in_the_bake() -> World:
    """Let a deployer die while its validator looks at live traffic."""
    world = World(validators=(), strategy=BlueGreen(bake="2s", keep_warm="24h"))
    world.deploy("a")
    mortal: list[Process] = []

    def judge(target: Target) -> bool:
        if target.live:
            world.sim.kill(mortal[0], known=True)
        return True

    service = attrs.evolve(world.service, validators=(_named("judge", judge),))
    image = world.sim.image("b", boots_in="50ms")
    mortal.append(world.sim.spawn("mortal", lambda: immutable.deploy(service, image)))
    world.sim.run()
    return world


def _named(
    name: str, judge: Callable[[Target], bool | None]
) -> Callable[[Target], bool | None]:
    """Return a validator of a name, for the ledger knows it by that."""
    judge.__name__ = judge.__qualname__ = name
    return judge


TAKING_OVER: dict[str, Callable[[], object]] = {
    "a deployer that dies on the way back": deployer_that_dies_on_the_way_back,
    "a deployer that dies in the bake": deployer_that_dies_in_the_bake,
    "a validator that dies with its deployer": validator_that_dies_with_its_deployer,
}
