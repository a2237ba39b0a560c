"""Going back when the way back is hard: what is undone, what is left alone, what is told."""

from datetime import timedelta

import attrs
import pytest
from fakes import FakeBackend, FakeSwitch, boom

from immutable import errors
from immutable.deploying import operations
from immutable.deploying.steps import Fence, Resize
from immutable.ledger.records import Intended
from immutable.model import Outcome, Routing
from immutable.strategies import Canary

OVER = timedelta(minutes=12)
"""So long after a death, the lease has run out."""


class Crash(BaseException):
    """The deployer dies here."""


def nothing(_stream, _sequence):
    """Let every record pass."""


def pending(stage):
    """Return the step whose intent is in the ledger, and whose outcome is not."""
    attempt = stage.engine().journal.load().attempt
    return attempt.pending.step if attempt and attempt.pending else None


def dies_in_the_bake(stage):
    """Deploy "two" and die as soon as it has the traffic."""

    def die(_stream, _sequence):
        attempt = stage.engine().journal.load().attempt
        if attempt is not None and attempt.staged_at is not None:
            raise Crash

    stage.store.before_append = die
    with pytest.raises(Crash):
        stage.deploy("two")
    stage.store.before_append = nothing
    stage.world.clock.time += OVER


def shrunk(stage, fleet, size):
    """Let a fleet have fewer servers, of which nothing is left to be seen."""
    view = stage.world.fleets[fleet]
    stage.world.fleets[fleet] = attrs.evolve(view, instances=view.instances[:size])


def test_what_a_person_routed_stays_and_only_the_preview_ends(stage):
    """The failed fleet leaves the preview route; production stays as the person wants."""
    stage.deploy("zero")
    stage.deploy("one")
    standby = stage.engine().journal.load().standby.name

    def move(target):
        preview = stage.world.routing.preview
        stage.world.routing = Routing(weights={standby: 100}, preview=preview)
        stage.world.version += 1
        return preview == target.fleet

    done = stage.deploy("two", validators=(move,))
    assert isinstance(done.error, errors.Drift)
    assert done.outcome is Outcome.ROLLED_BACK
    assert stage.world.routing == Routing(weights={standby: 100})
    assert len(stage.world.inventory()) == 2


def test_a_preview_is_taken_back_without_asking_the_old_side(stage):
    """Leaving the preview route moves no traffic: the old side need not prove itself."""
    stage.deploy("one")
    old = stage.world.routing

    def break_the_old(_target):
        stage.world.sick.update(dict(old.weights))
        return False

    done = stage.deploy("two", validators=(break_the_old,))
    assert done.outcome is Outcome.ROLLED_BACK
    assert stage.world.routing == old


def test_servers_that_vanished_are_made_again_before_going_back(stage):
    """The provider shows nothing of the old side: it is filled, proven, and gone back to."""
    stage.deploy("one")
    (old,) = stage.world.fleets

    def vanish(target):
        if target.live:
            shrunk(stage, old, 0)
        return not target.live

    canary = Canary(steps=[10], hold="2s", bake="2s")
    done = stage.deploy("two", validators=(vanish,), strategy=canary)
    assert done.outcome is Outcome.ROLLED_BACK, done.error
    assert dict(stage.world.routing.weights) == {old: 100}
    assert len(stage.world.fleets[old].instances) == 2
    assert "resize" in [step.step for step in done.steps if step.fleet == old]


def test_a_shrinking_that_is_stopped_gives_the_servers_their_place_again(stage):
    """Asked to stop before anything was destroyed, every server is a member as before."""
    stage.deploy("one", size=3)
    (fleet,) = stage.world.fleets
    before = set(stage.world.places[fleet])

    def stop(_stream, _sequence):
        if len(stage.world.places[fleet]) == 1:
            stage.asked.interrupt()

    stage.store.before_append = stop
    done = operations.scale(stage.engine(), 1, timeout=None)
    assert done.outcome is Outcome.ROLLED_BACK
    assert isinstance(done.error, errors.Cancelled)
    assert set(stage.world.places[fleet]) == before
    assert stage.engine().journal.load().live.size == 3


def test_a_shrinking_that_destroyed_servers_is_gone_through_with(stage):
    """What has been asked to go cannot be called back: nothing that is left has no place."""
    stage.deploy("one", size=3)
    (fleet,) = stage.world.fleets
    stage.world.late_faults["resize"] = [boom(errors.Unavailable)] * 4
    done = operations.scale(stage.engine(), 1, timeout=None)
    assert done.outcome is Outcome.LIVE, done.error
    left = {i.id for i in stage.world.fleets[fleet].instances}
    assert {m.instance for m in stage.world.places[fleet]} == left
    assert len(left) == 1
    assert stage.engine().journal.load().live.size == 1


def test_a_blind_switch_that_moves_under_the_fence_is_read_again(stage):
    """Nothing is believed of a switch that moved while it was looked at."""
    blind = FakeSwitch(stage.world, fencing="blind", late=timedelta(seconds=30))
    stage = stage.with_(switch=blind)
    stage.deploy("one")
    dies_in_the_bake(stage)
    theirs = Routing(weights=dict.fromkeys(sorted(stage.world.places), 50))

    def move(_stream, _sequence):
        if isinstance(pending(stage), Fence) and stage.world.routing != theirs:
            stage.world.routing = theirs
            stage.world.version += 1

    stage.store.after_append = move
    done = operations.recover(stage.engine())
    fences = [step.result for step in done.steps if step.step == "fence"]
    assert fences == ["not applied", "applied"]
    assert stage.world.routing == theirs


def test_a_switch_that_cannot_be_fenced_leaves_everything_to_recovery(stage):
    """With a write in doubt and no answer to the fence, nothing else is done."""
    stage.deploy("one")
    old = stage.world.routing
    stage.world.faults["write"] = [
        boom(errors.Ambiguous),
        *[boom(errors.Unavailable)] * 50,
    ]
    done = stage.deploy("two")
    assert done.outcome is Outcome.NEEDS_RECOVERY
    assert isinstance(done.error, errors.Unavailable)
    assert [step.step for step in done.steps[-4:]] == ["route", *["fence"] * 3]
    assert stage.world.routing == old
    stage.world.faults.clear()
    assert operations.recover(stage.engine()).outcome is Outcome.ROLLED_BACK
    assert stage.world.routing == old
    assert len(stage.world.inventory()) == 1


def test_a_validator_that_only_the_dead_deployer_had_is_no_pass(stage):
    """Recovery without it cannot decide, and takes the release back when time is over."""
    passing = stage.with_(validators=(lambda target: target is not None,))
    passing.deploy("one")
    old = stage.world.routing
    dies_in_the_bake(passing)
    done = operations.recover(stage.engine())
    assert done.outcome is Outcome.ROLLED_BACK
    assert isinstance(done.error, errors.ValidationFailed)
    assert "does not have the validator" in str(done.error)
    assert stage.world.routing == old


def test_a_validator_that_recovery_has_decides(stage):
    """With the validator at hand, the proven release goes live."""
    passing = stage.with_(validators=(lambda target: target is not None,))
    passing.deploy("one")
    dies_in_the_bake(passing)
    assert operations.recover(passing.engine()).outcome is Outcome.LIVE
    assert stage.engine().journal.load().live.release.image.id == "two"


def test_a_first_release_that_fails_under_traffic_leaves_nothing(stage):
    """There is no old side to be proven: production is empty again, as it was."""
    done = stage.deploy("one", validators=(lambda target: not target.live,))
    assert done.outcome is Outcome.ROLLED_BACK
    assert stage.world.routing == Routing()
    assert not stage.world.inventory()


def test_a_standby_survives_a_rollback_that_fails(stage):
    """The warm fleet was there before: it goes back to being the standby."""
    stage.deploy("one")
    stage.deploy("two")
    before, standby = stage.world.routing, stage.engine().journal.load().standby
    rejecting = stage.with_(validators=(lambda target: target.release.number != 1,))
    done = rejecting.rollback()
    assert isinstance(done.error, errors.ValidationFailed)
    assert done.outcome is Outcome.ROLLED_BACK
    assert stage.world.routing == before
    assert len(stage.world.places[standby.name]) == 2
    assert stage.engine().journal.load().standby == standby


def test_a_backend_that_keeps_no_logs_is_not_asked_for_them(stage):
    """A failed fleet is destroyed without evidence where there is none to be had."""
    forgetful = stage.with_(backend=FakeBackend(stage.world, keeps_logs=False))
    stage.world.sick_images.add("bad")
    done = forgetful.deploy("bad")
    assert (done.outcome, done.evidence) == (Outcome.ROLLED_BACK, ())
    assert "logs" not in stage.world.calls
    assert not stage.world.inventory()


def test_every_step_back_is_in_the_ledger(stage):
    """What is resized on the way back was intended first, with its exact size."""
    stage.deploy("one", size=2)
    stage.world.boot = timedelta(days=1)
    operations.scale(stage.engine(), 3, timeout=None)
    steps = [
        record.entry.step
        for record in stage.engine().journal.history()
        if isinstance(record.entry, Intended)
    ]
    resizes = [step for step in steps if isinstance(step, Resize)]
    assert [(step.spec.size, len(step.remove)) for step in resizes] == [(3, 0), (2, 1)]
