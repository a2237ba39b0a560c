"""Stories of one call or two, each of which must end in one way."""

from collections.abc import Callable
from datetime import timedelta

import attrs

import immutable
from immutable import Outcome, errors
from immutable.testing import people
from immutable.testing.faults import Script
from immutable.testing.provider import Provider
from immutable.testing.settling import settle
from immutable.testing.simulation import Simulation
from immutable.testing.store import SimulatedStore
from proofs.kills.stage import Stage, Terms
from proofs.mutants.telling import World, expect

_LATE = timedelta(minutes=5)


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


PLAIN: dict[str, Callable[[], object]] = {
    "a launch whose answer is lost": launch_whose_answer_is_lost,
    "a validator that cannot decide": validator_that_cannot_decide,
    "the old side is dead": old_side_is_dead,
    "readings that are old": readings_that_are_old,
    "what a failed deploy says of itself": what_a_failed_deploy_says,
    "a caller who asks to stop": caller_who_asks_to_stop,
    "a person names a tombstone": person_names_a_tombstone,
    "two ledgers and one switch": two_ledgers_and_one_switch,
    "a lost ledger": lost_ledger,
}
