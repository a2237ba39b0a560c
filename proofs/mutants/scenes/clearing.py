"""Stories about what is left over, and about ledgers that are not whole."""

from collections.abc import Callable
from datetime import timedelta
from functools import partial

import immutable
from immutable import Image, Outcome
from immutable.ledger.codec import decode_identity
from immutable.testing import people
from immutable.testing.faults import Script
from immutable.testing.provider import Provider
from immutable.testing.registers import KINDS
from immutable.testing.settling import settle
from proofs.kills.stage import Stage, Terms
from proofs.mutants.telling import Both, Flag, When, World, expect

_LATE = timedelta(minutes=5)
_SEEDS = range(1, 4)


def place_that_comes_twice() -> None:
    """Check: a place that a network makes again, late, is found and taken away."""
    world = World(Provider(switch="slot", late=_LATE), validators=())
    world.deploy("a")
    with world.sim:
        world.sim.wait(3 * _LATE)
        immutable.recover(world.service)
        stop = Flag()
        again = Script("duplicated", "switch.attach")
        world.sim.set_faults(Both(When("switch.attach", stop.raise_), again))
        image = world.sim.image("b", boots_in="50ms")
        done = immutable.deploy(world.service, image, cancel=stop)
        expect(done.outcome, Outcome.ROLLED_BACK, "a cancelled deploy")
        world.sim.wait(2 * _LATE)
        immutable.recover(world.service)
    places = world.sim.cloud.switch("shop").now.places
    expect(len(places), 1, "places")


def place_that_is_not_shown_yet() -> None:
    """Check: no fleet is destroyed that has a place, though a reading shows none."""
    for kind in KINDS:
        for seed in _SEEDS:
            _cancelled_when_joined(
                World(Provider(switch=kind, staleness="20s"), validators=(), seed=seed)
            )


def _cancelled_when_joined(world: World) -> None:
    world.deploy("a")
    stop = Flag()

    def ask() -> None:
        stop.raise_()
        world.sim.set_faults([Script("stale", "switch.read", times=3)])

    with world.sim:
        world.sim.wait("1m")
        world.sim.set_faults(When("switch.join", ask))
        image = world.sim.image("b", boots_in="50ms")
        done = immutable.deploy(world.service, image, cancel=stop)
    expect(done.outcome, Outcome.ROLLED_BACK, "a cancelled deploy")
    settle(world.sim, world.service)


def person_asks_for_a_tombstone() -> None:
    """Check: a release whose fleet is to be retired is rolled back to on a new fleet."""
    world = World()
    for image in ("a", "b"):
        world.deploy(image)
    world.sim.set_faults([Script("refused", "switch.detach", times=None)])
    world.deploy("c")
    world.sim.set_faults(None)
    with world.sim:
        immutable.rollback(world.service, to=1).raise_for_outcome()


def ledger_that_is_not_lost() -> None:
    """Check: a ledger that has records is not written anew."""
    world = World()
    world.deploy("a")
    with world.sim:
        done = immutable.restore_ledger(world.service)
    expect(done.outcome, Outcome.REFUSED, "restoring what is there")


def ledger_lost_in_a_canary() -> None:
    """Check: where two share the traffic, the one that was there before is the live one."""
    stage = Stage(Terms(kind="compare-and-set"))
    with stage.sim:
        for image in ("a", "b"):
            stage.deploy(image).raise_for_outcome()
        old, new = (place.fleet for place in stage.register.places)
        people.route(stage.sim, stage.service.name, {old: 90, new: 10})
        stage.lose_the_ledger()
        done = immutable.restore_ledger(stage.service)
    expect(done.release and done.release.number, 1, "the live release")


def two_that_begin_at_once() -> None:
    """Check: who hears nothing of its record, and finds another's there, has not begun."""
    for seed in _SEEDS:
        world = World(seed=seed)
        world.deploy("a")
        found: dict[str, Outcome] = {}
        for name in ("deaf", "rival"):
            image = world.sim.image(name, boots_in="50ms")
            world.sim.spawn(name, partial(_note, world, image, name, found))
        world.sim.set_faults([Script("error_before", "ledger.append", process="deaf")])
        world.sim.run()
        wanted = [Outcome.LIVE, Outcome.REFUSED]
        expect(sorted(found.values()), wanted, "two deploys at once")


def two_that_found_a_ledger() -> None:
    """Check: two who find no ledger found one, and everything that is made says which."""
    for seed in range(1, 9):
        world = World(seed=seed)
        for name in ("one", "other"):
            image = world.sim.image(name, boots_in="50ms")
            world.sim.spawn(name, partial(_note, world, image, name, {}))
        # whoever founds the ledger is not always the first to begin
        slow = Script("error_before", "ledger.append", process="one", skip=1)
        world.sim.set_faults([slow])
        world.sim.run()
        ((_, record),) = world.sim.store.records("ledger")
        ledger = str(decode_identity(record))
        said = {dict(f.tags)["immutable-ledger"] for f in world.all_fleets()}
        expect(said, {ledger}, "the ledgers of what was made")


def _note(world: World, image: Image, name: str, found: dict[str, Outcome]) -> None:
    found[name] = immutable.deploy(world.service, image).outcome


CLEARING: dict[str, Callable[[], object]] = {
    "a place that comes twice": place_that_comes_twice,
    "a place that is not shown yet": place_that_is_not_shown_yet,
    "a person asks for a tombstone": person_asks_for_a_tombstone,
    "a ledger that is not lost": ledger_that_is_not_lost,
    "a ledger that is lost in a canary": ledger_lost_in_a_canary,
    "two begin at once, and one hears nothing": two_that_begin_at_once,
    "two found a ledger at once": two_that_found_a_ledger,
}
