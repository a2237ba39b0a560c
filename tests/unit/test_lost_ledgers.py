"""A ledger that is lost, and a switch that is to be adopted: what cannot be made out."""

import attrs
import pytest
from fakes import MemoryStore

from immutable import errors
from immutable.deploying import caretaking
from immutable.model import Outcome


def anew(stage):
    """Return the stage with a ledger in which nothing was ever written."""
    return attrs.evolve(stage, store=MemoryStore())


def carried(stage, **changes):
    """Let the instances carry something else than they were launched with."""
    for name, view in stage.world.fleets.items():
        forged = tuple(attrs.evolve(i, **changes) for i in view.instances)
        stage.world.fleets[name] = attrs.evolve(view, instances=forged)


def refused(done, *words):
    """Check that a call was refused, in these words."""
    assert done.outcome is Outcome.REFUSED
    assert isinstance(done.error, errors.Refused)
    assert all(word in str(done.error) for word in words), done.error


def test_a_ledger_of_another_identity_is_not_restored(stage):
    """Where the file founds another ledger, the switch's own must be elsewhere."""
    stage.deploy("one")
    other = anew(stage)
    theirs = other.engine().journal.found_identity()
    refused(caretaking.restore(other.engine()), theirs, stage.world.owner)
    assert set(other.store.records) == {"ledger"}


def test_a_stream_that_is_lost_is_restored_under_the_same_identity(stage):
    """The ledger's own id survived: it is kept, and the release is found again."""
    stage.deploy("one")
    before = stage.engine().journal
    identity, live = before.identity(), before.load().live
    del stage.store.records["service/shop"]
    assert caretaking.restore(stage.engine()).outcome is Outcome.LIVE
    after = stage.engine().journal
    assert (after.identity(), after.load().live.name) == (identity, live.name)
    assert len(stage.store.records["ledger"]) == 1


def test_a_fleet_that_serves_and_cannot_be_found_is_not_restored(stage):
    """Traffic to what the backend does not have: the address must be wrong."""
    stage.deploy("one")
    (live,) = stage.world.fleets
    stage.world.fleets.clear()
    other = anew(stage)
    refused(caretaking.restore(other.engine()), live, "cannot be found")
    assert not other.store.records


def test_a_fleet_that_serves_and_cannot_be_found_is_not_adopted(stage):
    """What another backend launched cannot become this ledger's own."""
    stage.deploy("one")
    stage.world.fleets.clear()
    other = anew(stage)
    refused(caretaking.adopt(other.engine(), None), "fake lacks it")
    assert not other.store.records


@pytest.mark.parametrize(
    ("lost", "words"),
    [
        ({"document": None}, "no instance says"),
        ({"image": None}, "no instance says"),
        ({"document": "{"}, "is damaged"),
        ({"document": "{}"}, "is damaged"),
        ({"image": "deleted"}, "image deleted is gone"),
    ],
)
def test_instances_that_do_not_say_enough_are_not_guessed_at(stage, lost, words):
    """A release is restored from what its instances carry, or not at all."""
    stage.deploy("one")
    carried(stage, **lost)
    other = anew(stage)
    refused(caretaking.restore(other.engine()), words, "cannot be made out")
    assert not other.store.records
    refused(caretaking.adopt(other.engine(), None), words)


def test_a_fleet_that_is_being_retired_is_not_adopted(stage):
    """A tombstone gets no traffic again, not even when a person asks for it by name."""
    for image in ("one", "two"):
        stage.deploy(image)
    doomed = stage.engine().journal.load().standby.name
    stage.world.faults["detach"] = [errors.Unavailable("struck")] * 99
    stage.deploy("three")
    assert doomed in stage.world.places
    before = stage.world.routing
    refused(caretaking.adopt(stage.engine(), doomed), doomed, "being retired")
    assert stage.world.routing == before


def test_an_adoption_that_cannot_be_written_changes_nothing(stage):
    """The switch refuses every write: what was live stays so, and the reason is told."""
    stage.deploy("one")
    stage.deploy("two")
    state = stage.engine().journal.load()
    stage.world.routing = attrs.evolve(
        stage.world.routing, weights={state.standby.name: 50, state.live.name: 50}
    )
    found = stage.world.routing
    stage.world.faults["write"] = [errors.Unavailable("struck")] * 99
    done = caretaking.adopt(stage.engine(), state.standby.name)
    assert done.outcome is Outcome.ROLLED_BACK
    assert isinstance(done.error, errors.Unavailable)
    assert stage.world.routing == found
    after = stage.engine().journal.load()
    assert (after.attempt, after.live.name) == (None, state.live.name)
