"""Stories in which what was read is not true any more when it is used."""

from collections.abc import Callable
from datetime import timedelta

import attrs

import immutable
from immutable import Outcome
from immutable.judging import Target
from immutable.strategies import BlueGreen
from immutable.testing.faults import Script
from immutable.testing.provider import Provider
from immutable.testing.scheduling import Clock
from immutable.testing.servers import Fleet
from proofs.mutants.telling import Both, When, World, expect

_LATE = timedelta(seconds=21)
_SEEDS = range(1, 7)


def validator_that_takes_its_time() -> None:
    """Check: a server that dies while the validators judge gets no traffic."""
    world = World(validators=())

    def judge(target: Target) -> bool:
        if not target.live:
            world.sim.kill_server(target.instances[0].id)
            world.sim.wait("10s")
        return True

    world.service = attrs.evolve(world.service, validators=(judge,))
    world.deploy("a", outcome=Outcome.ROLLED_BACK)


def ledger_that_takes_its_time() -> None:
    """Check: what was read before the ledger answered is not believed after ten seconds."""
    asked = _deployed_twice(None).lines("ledger.append")
    (shift,) = _deployed_twice(None).lines("switch.write")[1:]
    before = sum(line.at_us < shift.at_us for line in asked)
    # how often that is while the second is deployed
    began = _deployed_once()
    skip = before - len(began.lines("ledger.append")) - 1

    def meddle(world: World) -> When:
        def deed() -> None:
            world.sim.kill_server(world.new_fleet().servers[0].id)
            world.sim.wait("10s")

        return When("ledger.append", deed, skip)

    _deployed_twice(meddle)


def probes_that_take_their_time() -> None:
    """Check: an answer that says a fleet is ready is worth nothing when it comes late."""

    def meddle(world: World) -> Both:
        def deed() -> None:
            server = world.new_fleet().servers[0].id
            world.sim.at("100ms", lambda: world.sim.kill_server(server))

        slow = Script("slow", "switch.health")
        return Both(When("switch.health", deed), slow)

    for seed in _SEEDS:
        world = _deployed_once(seed)
        world.sim.set_faults(meddle(world))
        # it may be late for the fleet, too: what counts is what gets no traffic
        world.deploy("b", outcome=None)


def _deployed_once(seed: int = 1) -> World:
    strategy = BlueGreen(bake="0s", keep_warm="24h")
    world = World(validators=(), strategy=strategy, seed=seed)
    world.deploy("a")
    return world


def _deployed_twice(meddle: Callable[[World], When] | None) -> World:
    world = _deployed_once()
    world.sim.set_faults(meddle(world) if meddle else None)
    world.deploy("b")
    return world


def autoscaler_at_work() -> None:
    """Check: what takes over is as large as what it takes over from, at that very time."""
    world = World(Provider(counts=True), validators=())
    world.deploy("a")
    old = world.live_fleet().name

    def grow(fleet: Fleet) -> Fleet:
        spec = attrs.evolve(fleet.spec, size=fleet.spec.size + 1)
        return attrs.evolve(fleet, spec=spec)

    # once before the new fleet's size is compared, and once while it grows
    world.change(old, grow)
    resized = When("fleets.resize", lambda: world.change(old, grow))
    world.sim.set_faults(resized)
    image = world.sim.image("b", boots_in="1500ms")
    with world.sim:
        immutable.deploy(world.service, image).raise_for_outcome()
    expect(len(world.live_servers()), 4, "servers")


def switch_that_shows_old_readings() -> None:
    """Check: a lost answer is made up for, though the switch shows old readings."""
    world = World(Provider(staleness="20s"), validators=())
    world.deploy("a")
    with world.sim:
        world.sim.wait("1m")
    lost = Script("error_after", "switch.write")
    world.sim.set_faults([lost, Script("stale", "switch.read", times=None)])
    world.deploy("b")


def launch_that_is_not_shown_yet() -> None:
    """Check: what landed last is waited for until it can be seen, too."""
    for seed in _SEEDS:
        provider = Provider(late=_LATE, staleness="20s")
        world = World(provider, validators=(), seed=seed)
        world.deploy("a")
        with world.sim:
            world.sim.wait("3m")
            immutable.recover(world.service)
            world.sim.set_faults([Script("duplicated", "fleets.launch", times=None)])
            image = world.sim.image("b", ready=False)
            immutable.deploy(world.service, image)
            world.sim.set_faults([Script("stale", "fleets.*", times=None)])
            world.sim.wait(_LATE)
            immutable.recover(world.service)
            world.sim.set_faults(None)
            world.sim.wait("3m")
            immutable.recover(world.service)
        expect(len(world.sim.cloud.fleets.now), 1, "fleets")


def clock_that_is_behind() -> None:
    """Check: whoever goes on waits for older routings by a clock of its own."""
    kill_at = _finished_behind(None)
    _finished_behind(kill_at)


def _finished_behind(kill_at: int | None) -> int:
    """Deploy by a clock that is five minutes behind, and perhaps die at once."""
    strategy = BlueGreen(bake="0s", keep_warm="0s")
    world = World(Provider(settle="15s"), validators=(), strategy=strategy)
    world.deploy("a")
    sim, service = world.sim, world.service
    with sim:
        sim.wait("10m")
    image = sim.image("b", boots_in="50ms")
    clock = Clock(ahead=-timedelta(minutes=5))

    def deploy() -> None:
        immutable.deploy(service, image)

    process = sim.spawn("behind", deploy, clock=clock, kill_at=kill_at)
    sim.run()
    if kill_at is not None:
        process.is_known_dead = True
        with sim:
            immutable.recover(service)
        expect(len(sim.cloud.fleets.now), 1, "fleets")
    return process.points.index("after-write:Finished") + 1


AGEING: dict[str, Callable[[], object]] = {
    "a validator that takes its time": validator_that_takes_its_time,
    "a ledger that takes its time": ledger_that_takes_its_time,
    "probes that take their time": probes_that_take_their_time,
    "an autoscaler at work": autoscaler_at_work,
    "a switch that shows old readings": switch_that_shows_old_readings,
    "a launch that is not shown yet": launch_that_is_not_shown_yet,
    "a clock that is behind": clock_that_is_behind,
}
