"""Little stories that a drawn schedule tells too rarely, or that no oracle can judge."""

from collections.abc import Callable
from datetime import timedelta

import attrs

import immutable
from immutable import Outcome, errors
from immutable.model import FleetSpec
from immutable.strategies import BlueGreen
from immutable.testing import people
from immutable.testing.faults import Script
from immutable.testing.provider import Provider
from immutable.testing.scheduling import to_us
from immutable.testing.settling import settle
from immutable.testing.simulation import Simulation
from immutable.testing.store import SimulatedStore
from proofs.kills.scenarios import died, one_live
from proofs.kills.stage import LastCallLate, Stage, Terms
from proofs.mutants.telling import World, expect

_LATE = timedelta(minutes=5)


def blind_writer_that_outlives_its_lease() -> None:
    """Check: a process that slept between two tries moves no switch that compares nothing."""
    calm = _throttled(None)
    (tried,) = calm.lines("switch.write <throttled>")
    world = _throttled(tried.at_us)
    with world.sim:
        world.sim.wait("5m")
        immutable.recover(world.service)
        world.sim.run()
    settle(world.sim, world.service)


def _throttled(asleep_us: int | None) -> World:
    """Let a warm rollback sleep for long when its shift has to be tried again."""
    world = World(Provider(switch="blind"), validators=())
    world.deploy("a")
    world.deploy("b")
    sim = world.sim
    sim.set_faults([Script("throttled", "switch.write", process="sleeper")])
    process = sim.spawn("sleeper", lambda: immutable.rollback(world.service))
    if asleep_us is None:
        sim.run()
    else:
        soon = timedelta(microseconds=asleep_us + 1 - sim.cloud.now_us)
        sim.at(soon, lambda: sim.pause(process, "10m"))
    return world


def launch_whose_answer_is_lost() -> None:
    """However often a fleet is launched, the token is the same."""
    world = World()
    world.sim.set_faults([Script("error_before", "fleets.launch", times=2)])
    world.deploy("a")
    tokens = {line.about[1] for line in world.lines("fleets.launch")}
    expect(len(tokens), 1, "tokens of one launch")
    expect(len(world.lines("fleets.launch")), 3, "launches")


def validator_that_cannot_decide() -> None:
    """No data is no pass, on neither route."""
    for route in (False, True):
        world = World(validators=(lambda t, r=route: None if t.live is r else True,))
        done = world.deploy("a", outcome=Outcome.ROLLED_BACK)
        expect(type(done.error), errors.ValidationFailed, "why it was turned back")


def old_side_is_dead() -> None:
    """Nobody goes back to servers that are dead: they are replaced before."""
    world = World()
    world.deploy("a")
    for server in world.live_servers():
        world.sim.kill_server(server)
    with world.sim:
        # longer than any proof of readiness may be old
        world.sim.wait("10s")
    world.deploy("b", rejected="live", outcome=Outcome.ROLLED_BACK)
    settle(world.sim, world.service)


def readings_that_are_old() -> None:
    """Check: what a deployment has routed itself is no drift, though it is shown late."""
    world = World(Provider(staleness="20s"))
    world.deploy("a")
    with world.sim:
        world.sim.wait("1m")
    world.sim.set_faults([Script("stale", "switch.read", times=None)])
    world.deploy("b")


def what_a_failed_deploy_says() -> None:
    """Check: what was destroyed has left its logs."""
    world = World()
    done = world.deploy("a", ready=False, outcome=Outcome.ROLLED_BACK)
    expect(len(done.evidence), world.service.size, "logs of the failed instances")


@attrs.define
class _At:
    """Asks to stop from some time on."""

    sim: Simulation
    when_us: int

    def is_set(self) -> bool:
        return self.sim.cloud.now_us >= self.when_us


def caller_who_asks_to_stop() -> None:
    """Check: a stop before the commit takes everything back, and so does a timeout."""
    world = World()
    world.deploy("a")
    stop = _At(world.sim, world.sim.cloud.now_us + 500_000)
    image = world.sim.image("b", boots_in="2s")
    with world.sim:
        done = immutable.deploy(world.service, image, cancel=stop)
        expect(done.outcome, Outcome.ROLLED_BACK, "a cancelled deploy")
        done = immutable.deploy(world.service, image, timeout="1s")
        expect(done.outcome, Outcome.ROLLED_BACK, "a deploy without time")
    settle(world.sim, world.service)


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


def person_names_a_tombstone() -> None:
    """Check: what is to be retired gets no traffic again, whoever asks for it."""
    world = World()
    world.deploy("a")
    world.deploy("b")
    fleet = next(f.name for f in world.status().fleets if f.role == "standby")
    world.sim.set_faults([Script("refused", "switch.detach", times=None)])
    world.deploy("c")
    world.sim.set_faults(None)
    with world.sim:
        done = immutable.adopt(world.service, fleet=fleet)
    expect(done.outcome, Outcome.REFUSED, "adopting a tombstone")


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


def two_ledgers_and_one_switch() -> None:
    """Check: a switch that obeys another ledger is left alone, though it serves nothing."""
    world = World()
    world.deploy("a")
    people.route(world.sim, world.service.name, {})
    other = attrs.evolve(world.service, ledger=SimulatedStore(world.sim.gate))
    with world.sim:
        done = immutable.deploy(other, world.sim.image("b"))
    expect(done.outcome, Outcome.REFUSED, "a deploy by another ledger")


def lost_ledger() -> None:
    """Check: a ledger that is restored goes on counting, and leaves alone what it does not know."""
    stage = Stage(Terms(kind="slot", late=_LATE))
    with stage.sim:
        stage.deploy("a").raise_for_outcome()
        stage.deploy("b").raise_for_outcome()
        stage.lose_the_ledger()
        immutable.restore_ledger(stage.service).raise_for_outcome()
        done = stage.deploy("c")
        expect(done.release and done.release.number, 3, "the next release")
        stage.sim.wait(3 * _LATE)
        immutable.recover(stage.service)
        expect(len(stage.sim.cloud.fleets.now), 3, "fleets, the stray one included")


SCENES: dict[str, Callable[[], object]] = {
    "a blind writer that outlives its lease": blind_writer_that_outlives_its_lease,
    "a launch whose answer is lost": launch_whose_answer_is_lost,
    "a validator that cannot decide": validator_that_cannot_decide,
    "the old side is dead": old_side_is_dead,
    "readings that are old": readings_that_are_old,
    "what a failed deploy says of itself": what_a_failed_deploy_says,
    "a caller who asks to stop": caller_who_asks_to_stop,
    "a launch that comes when all is over": launch_that_comes_when_all_is_over,
    "a resize that is delivered twice": resize_that_is_delivered_twice,
    "a person names a tombstone": person_names_a_tombstone,
    "requests that take a while": requests_that_take_a_while,
    "a smaller fleet": smaller_fleet,
    "two ledgers and one switch": two_ledgers_and_one_switch,
    "a lost ledger": lost_ledger,
}
