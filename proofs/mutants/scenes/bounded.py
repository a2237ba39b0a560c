"""Stories in which something never succeeds, and others that only take a little more."""

from collections.abc import Callable

import attrs

import immutable
from immutable import Outcome
from immutable.deploying.decide import TRIES
from immutable.deploying.rules import REPLACEMENTS
from immutable.strategies import BlueGreen
from immutable.testing.faults import Script
from immutable.testing.servers import Fleet
from proofs.mutants.telling import When, World, expect

_FEW_TURNS = 20_000


def servers_that_all_die() -> None:
    """Check: a release whose servers die is blamed, after so many."""
    world = World(turns=_FEW_TURNS)
    image = world.sim.image("a", boots_in="1s", dies_after="500ms")
    with world.sim:
        done = immutable.deploy(world.service, image)
    expect(done.outcome, Outcome.ROLLED_BACK, "a deploy whose servers die")
    expect(len(world.lines("fleets.replace")), REPLACEMENTS, "servers replaced")


def fleet_that_is_never_ready() -> None:
    """Check: a fleet that does not become ready is given up, in time."""
    world = World(turns=_FEW_TURNS)
    world.deploy("a", ready=False, outcome=Outcome.ROLLED_BACK)


def validators_that_never_decide() -> None:
    """Check: validators without a verdict are given up, in time."""
    world = World(turns=_FEW_TURNS, validators=(lambda _: None,))
    world.deploy("a", outcome=Outcome.ROLLED_BACK)


def launch_that_is_always_refused() -> None:
    """Check: what is refused time after time is given up."""
    world = World(turns=_FEW_TURNS)
    world.sim.set_faults([Script("refused", "fleets.launch", times=None)])
    world.deploy("a", outcome=Outcome.ROLLED_BACK)
    expect(len(world.lines("fleets.launch")), TRIES, "launches")


def launch_that_creates_nothing() -> None:
    """Check: a world that acknowledges everything and does nothing is given up."""
    world = World(turns=_FEW_TURNS)

    def vanish() -> None:
        for name in world.sim.cloud.fleets.now:
            world.change(name, _without_servers)

    world.sim.set_faults(When("fleets.observe", vanish, every=True))
    world.deploy("a", outcome=Outcome.ROLLED_BACK)


def launch_that_creates_too_few() -> None:
    """Check: a fleet that lacks a server is completed."""
    world = World()

    def vanish() -> None:
        world.change(world.new_fleet().name, _without_its_first)

    # nobody looks before the launch
    world.sim.set_faults(When("fleets.observe", vanish, 0))
    world.deploy("a")
    expect(len(world.live_servers()), world.service.size, "servers")


def _without_servers(fleet: Fleet) -> Fleet:
    return attrs.evolve(fleet, servers=())


def _without_its_first(fleet: Fleet) -> Fleet:
    return attrs.evolve(fleet, servers=fleet.servers[1:])


def readings_that_fail_now_and_then() -> None:
    """Check: a reading that fails once in a while is made again, however long that goes on."""
    world = World(validators=(), strategy=BlueGreen(bake="20s", keep_warm="24h"))
    world.sim.set_faults(
        [Script("refused", "switch.health", skip=skip) for skip in (1, 2, 3, 4)]
    )
    world.deploy("a")
    expect(len(world.lines("switch.health <refused>")), 4, "failed readings")


def servers_that_boot_for_long() -> None:
    """Check: a deployer that waits keeps its lease, and nobody takes over."""
    world = World()
    service = attrs.evolve(world.service, ready_timeout="10m")
    image = world.sim.image("a", boots_in="3m")
    outcomes: list[Outcome] = []
    with world.sim:
        world.sim.spawn(
            "patient",
            lambda: outcomes.append(immutable.deploy(service, image).outcome),
        )
        world.sim.wait("2m")
        immutable.recover(service)
    world.sim.run()
    expect(outcomes, [Outcome.LIVE], "deploys beside a recovery")


def watcher_that_is_told_to_stop() -> None:
    """Check: a watcher that goes on with a bake and is stopped leaves it to the next."""
    world = World(strategy=BlueGreen(bake="10m", keep_warm="24h"), validators=())
    world.deploy("a")
    image, service = world.sim.image("b", boots_in="50ms"), world.service
    mortal = world.sim.spawn("mortal", lambda: immutable.deploy(service, image))
    world.sim.at("1m", lambda: world.sim.kill(mortal, known=True))
    world.sim.run()
    stop = _From(world, world.sim.cloud.now_us + 60_000_000)
    with world.sim:
        immutable.watch(service, cancel=stop)
        immutable.recover(service)
    found = world.status().release
    expect(found and found.number, 2, "the live release")


@attrs.frozen
class _From:
    """Asks to stop from some time on."""

    world: World
    when_us: int

    def is_set(self) -> bool:
        """Return whether to stop."""
        return self.world.sim.cloud.now_us >= self.when_us


BOUNDED: dict[str, Callable[[], object]] = {
    "servers that all die": servers_that_all_die,
    "a fleet that is never ready": fleet_that_is_never_ready,
    "validators that never decide": validators_that_never_decide,
    "a launch that is always refused": launch_that_is_always_refused,
    "a launch that creates nothing": launch_that_creates_nothing,
    "a launch that creates too few": launch_that_creates_too_few,
    "readings that fail now and then": readings_that_fail_now_and_then,
    "servers that boot for long": servers_that_boot_for_long,
    "a watcher that is told to stop": watcher_that_is_told_to_stop,
}
