"""What each verb answers when there is nothing to do, and when it may not begin."""

from datetime import timedelta

import pytest

from immutable import errors
from immutable.deploying import operations
from immutable.model import Outcome, Routing
from immutable.strategies import Canary

VERBS = {
    "deploy": lambda stage: stage.deploy("two"),
    "rollback": lambda stage: stage.rollback(to=1),
    "scale": lambda stage: operations.scale(stage.engine(), 3, timeout=None),
    "heal": lambda stage: operations.heal(stage.engine(), timeout=None),
    "sweep": lambda stage: operations.sweep(stage.engine()),
    "destroy": lambda stage: operations.destroy(stage.engine()),
    "recover": lambda stage: operations.recover(stage.engine()),
}


class Crash(BaseException):
    """The deployer dies here."""


def crashed(stage):
    """Deploy another image and die after the first record of it."""
    stage.store.after_append = die
    with pytest.raises(Crash):
        stage.deploy("crashed")
    stage.store.after_append = lambda *_: None


def die(_stream, _sequence):
    """Die."""
    raise Crash


@pytest.mark.parametrize("verb", sorted(set(VERBS) - {"recover"}))
def test_while_the_switch_is_moved_nothing_begins(stage, verb):
    """Every verb that changes something is refused, and touches nothing."""
    stage.deploy("one")
    records = len(stage.store.records["service/shop"])
    stage.world.routing = theirs = Routing()
    done = VERBS[verb](stage)
    assert (done.verb, done.outcome) == (verb, Outcome.REFUSED)
    assert isinstance(done.error, errors.Drift)
    assert len(stage.store.records["service/shop"]) == records
    assert stage.world.routing == theirs
    assert len(stage.world.inventory()) == 1


@pytest.mark.parametrize("verb", sorted(VERBS))
def test_while_another_is_at_work_nothing_begins(stage, verb):
    """Against a lease that holds every verb is refused, saying who is at work."""
    stage.deploy("one")
    crashed(stage)
    done = VERBS[verb](stage)
    assert (done.verb, done.outcome) == (verb, Outcome.REFUSED)
    assert isinstance(done.error, errors.Contention)
    assert stage.world.clock.name in str(done.error)


@pytest.mark.parametrize("verb", sorted(set(VERBS) - {"recover"}))
def test_once_the_lease_is_over_the_next_call_finishes_and_goes_on(stage, verb):
    """What a dead deployer left is taken back first, then the call does its own work."""
    stage.deploy("zero")
    stage.deploy("one")
    crashed(stage)
    stage.world.clock.time += timedelta(minutes=12)
    done = VERBS[verb](stage)
    assert (done.verb, done.outcome) == (verb, Outcome.LIVE), done.error
    assert stage.engine().journal.load().attempt is None


@pytest.mark.parametrize("verb", ["sweep", "destroy", "recover"])
def test_with_nothing_there_nothing_is_done(stage, verb):
    """Nothing was ever deployed: no record, no change."""
    done = VERBS[verb](stage)
    assert (done.verb, done.outcome, done.steps) == (verb, Outcome.LIVE, ())
    assert not stage.store.records
    assert "list" not in stage.world.calls


def test_of_two_that_begin_at_once_one_does(stage):
    """Who comes second at the very record that begins is refused, and touches nothing."""
    stage.deploy("one")

    def rival(_stream, _sequence):
        stage.store.before_append = lambda *_: None
        assert stage.deploy("theirs").outcome is Outcome.LIVE

    stage.store.before_append = rival
    done = stage.deploy("ours")
    assert done.outcome is Outcome.REFUSED
    assert isinstance(done.error, errors.Contention)
    assert "began first" in str(done.error)
    assert stage.engine().journal.load().live.release.image.id == "theirs"
    assert len(stage.world.inventory()) == 2


def test_what_is_as_it_was_asked_to_be_is_left_alone(stage):
    """The same size, the same release: live at once, without a record."""
    stage.deploy("one")
    records = len(stage.store.records["service/shop"])
    same = operations.scale(stage.engine(), 2, timeout=None)
    back = stage.rollback(to=1)
    assert (same.outcome, back.outcome) == (Outcome.LIVE, Outcome.LIVE)
    assert (same.steps, back.steps) == ((), ())
    assert len(stage.store.records["service/shop"]) == records


def test_a_release_that_was_never_live_is_nothing_to_go_back_to(stage):
    """The whole history is read, and what was turned away is not among the releases."""
    stage.deploy("one")
    stage.world.sick_images.add("bad")
    assert stage.deploy("bad").outcome is Outcome.ROLLED_BACK
    assert stage.deploy("three").release.number == 3
    with pytest.raises(errors.UnknownRelease, match="that were: v1, v3"):
        stage.rollback(to=2)
    with pytest.raises(errors.UnknownRelease, match="that were: v1, v3"):
        stage.rollback(to=0)
    assert stage.rollback().release.number == 1


def test_the_same_release_in_another_size_is_scaled(stage):
    """Deploying what is live with size= changes the size and nothing else."""
    image = stage.world.image("one")
    stage.deploy(image)
    (fleet,) = stage.world.fleets
    done = stage.deploy(image, size=3)
    assert (done.verb, done.outcome) == ("scale", Outcome.LIVE)
    assert list(stage.world.fleets) == [fleet]
    assert len(stage.world.fleets[fleet].instances) == 3


def test_a_switch_without_weights_refuses_a_canary(stage):
    """The missing capability is named before any effect."""
    stage.service.switch.capabilities = _without(stage, weighted=False)
    with pytest.raises(errors.Unsupported, match="capability: weighted"):
        stage.deploy("one", strategy=Canary(steps=[5]))
    assert not stage.world.inventory()


def test_a_switch_without_preview_is_warned_of(stage):
    """Validators then see the release under live traffic first."""
    stage.service.switch.capabilities = _without(stage, preview=False)
    seen = []

    def note(target):
        seen.append(target.live)
        return True

    done = stage.deploy("one", validators=(note,))
    assert done.outcome is Outcome.LIVE
    assert any("no preview route" in warning for warning in done.warnings)
    assert set(seen) == {True}


def _without(stage, **changed):
    return type(stage.service.switch)(stage.world, **changed).capabilities


def test_a_heal_that_fails_says_what_is_left(stage):
    """Nothing is undone of a healing: what was dead before is no worse now."""
    stage.deploy("one")
    (fleet,) = stage.world.fleets
    before = stage.world.routing
    stage.world.kill(stage.world.fleets[fleet].instances[0].id)
    stage.world.faults["replace"] = [errors.Unavailable("struck")] * 99
    done = operations.heal(stage.engine(), timeout=None)
    assert (done.outcome, done.leftovers) == (
        Outcome.NEEDS_RECOVERY,
        (f"fleet {fleet}",),
    )
    assert isinstance(done.error, errors.Unavailable)
    assert stage.world.routing == before
    stage.world.faults.clear()
    assert operations.heal(stage.engine(), timeout=None).outcome is Outcome.LIVE


def test_a_backends_bug_is_read_back_like_a_lost_answer(stage):
    """An error of no known kind may hide an effect: what happened is looked at."""
    stage.world.late_faults["launch"] = [KeyError("a backend's bug")]
    done = stage.deploy("one")
    assert done.outcome is Outcome.LIVE, done.error
    launched = next(step for step in done.steps if step.step == "launch")
    assert (launched.result, "a backend's bug" in launched.detail) == ("unknown", True)
    (fleet,) = stage.world.fleets.values()
    assert len(fleet.instances) == 2
