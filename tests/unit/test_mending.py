"""Fleets that are not as the ledger says: too few servers, too many, strangers among them."""

from datetime import timedelta

import attrs
import pytest

from immutable import errors
from immutable.deploying import operations
from immutable.deploying.steps import Launch
from immutable.model import Outcome, Token
from immutable.observing import reading

OVER = timedelta(minutes=12)
"""So long after a death, the lease has run out."""


class Crash(BaseException):
    """The deployer dies here."""


def one_too_many(stage, fleet):
    """Let a server of a fleet come late, when nobody waits for it any more."""
    spec = attrs.evolve(stage.world.specs[fleet], size=3)
    stage.service.backend.fleets.resize(spec, remove=(), token=Token("late"))
    assert len(stage.world.fleets[fleet].instances) == 3


def is_mended(stage, fleet):
    """Return whether the fleet has two servers, which are its members."""
    servers = {i.id for i in stage.world.fleets[fleet].instances}
    members = {m.instance for m in stage.world.places[fleet]}
    return len(servers) == 2 and members == servers


def test_servers_of_which_nothing_is_left_are_made_again(stage):
    """A fleet that is shown with too few servers is filled."""
    stage.deploy("one")
    (fleet,) = stage.world.fleets
    view = stage.world.fleets[fleet]
    stage.world.fleets[fleet] = attrs.evolve(view, instances=view.instances[1:])
    done = operations.heal(stage.engine(), timeout=None)
    assert done.outcome is Outcome.LIVE
    assert [step.step for step in done.steps] == ["resize", "join"]
    assert is_mended(stage, fleet)


def test_servers_beyond_the_size_are_parted_with(stage):
    """A fleet that is shown with too many is brought back to its size."""
    stage.deploy("one")
    (fleet,) = stage.world.fleets
    one_too_many(stage, fleet)
    done = operations.heal(stage.engine(), timeout=None)
    assert done.outcome is Outcome.LIVE
    assert is_mended(stage, fleet)


def crashed(stage):
    """Deploy "two" and die when the intent to launch is written."""

    def die(_stream, _sequence):
        attempt = stage.engine().journal.load().attempt
        if attempt and attempt.pending and isinstance(attempt.pending.step, Launch):
            raise Crash

    stage.store.after_append = die
    with pytest.raises(Crash):
        stage.deploy("two")
    stage.store.after_append = lambda *_: None
    stage.world.clock.time += OVER


def test_who_looks_for_what_was_in_flight_mends_the_live_fleet(stage):
    """Recovery finds a server that came late, and the fleet has its size again."""
    stage.deploy("one")
    (fleet,) = stage.world.fleets
    crashed(stage)
    one_too_many(stage, fleet)
    assert operations.recover(stage.engine()).outcome is Outcome.ROLLED_BACK
    assert is_mended(stage, fleet)
    verbs = [line.verb for line in reading.history(stage.engine())]
    assert verbs == ["deploy", "deploy", "heal"]


def test_a_fleet_that_is_whole_is_not_mended(stage):
    """Recovery of a deployment leaves the live fleet alone when nothing is wrong with it."""
    stage.deploy("one")
    (fleet,) = stage.world.fleets
    before = stage.world.fleets[fleet]
    crashed(stage)
    assert operations.recover(stage.engine()).outcome is Outcome.ROLLED_BACK
    assert stage.world.fleets[fleet] == before
    assert "heal" not in [line.verb for line in reading.history(stage.engine())]


def test_what_cannot_be_looked_for_now_is_looked_for_by_the_next_call(stage):
    """Nothing is refused when nobody can look around; the doubts stay until somebody can."""
    late = timedelta(minutes=5)
    stage.service.backend.capabilities = attrs.evolve(
        stage.service.backend.capabilities, late=late
    )
    stage.deploy("one")
    (fleet,) = stage.world.fleets
    stage.world.clock.time += late
    spec = attrs.evolve(stage.world.specs[fleet], name="shop-v9-stray0")
    stage.service.backend.fleets.launch(spec, token=Token("late"))
    stage.world.faults["list"] = [errors.Unavailable("struck")] * 9
    done = operations.recover(stage.engine())
    assert (done.outcome, done.warnings) == (Outcome.LIVE, ())
    assert stage.engine().journal.load().doubted_at is not None
    stage.world.faults.clear()
    operations.recover(stage.engine())
    assert set(stage.world.fleets) == {fleet}


def test_a_fleet_that_cannot_be_looked_at_is_mended_once_it_can_be(stage):
    """Recovery ends well without; what was in flight is looked for again in any case."""
    late = timedelta(minutes=5)
    stage.service.backend.capabilities = attrs.evolve(
        stage.service.backend.capabilities, late=late
    )
    stage.deploy("one")
    (fleet,) = stage.world.fleets
    crashed(stage)
    one_too_many(stage, fleet)
    stage.world.faults["observe"] = [errors.Unavailable("struck")] * 9
    assert operations.recover(stage.engine()).outcome is Outcome.ROLLED_BACK
    assert not is_mended(stage, fleet)
    stage.world.faults.clear()
    stage.world.clock.time += late
    assert operations.recover(stage.engine()).outcome is Outcome.LIVE
    assert is_mended(stage, fleet)


def test_doubts_are_not_settled_by_a_look_that_failed(stage):
    """A server that came late into a known fleet is found by whoever can look."""
    late = timedelta(minutes=5)
    stage.service.backend.capabilities = attrs.evolve(
        stage.service.backend.capabilities, late=late
    )
    stage.deploy("one")
    (fleet,) = stage.world.fleets
    stage.world.clock.time += late
    one_too_many(stage, fleet)
    stage.world.faults["observe"] = [errors.Unavailable("struck")] * 9
    assert operations.recover(stage.engine()).outcome is Outcome.LIVE
    assert stage.engine().journal.load().doubted_at is not None
    stage.world.faults.clear()
    operations.recover(stage.engine())
    assert is_mended(stage, fleet)
