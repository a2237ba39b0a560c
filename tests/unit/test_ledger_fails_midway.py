"""The ledger fails while a deployment is under way: nothing is done without a record."""

from datetime import timedelta

import pytest

from immutable import errors
from immutable.deploying import caretaking, operations
from immutable.deploying.steps import Launch
from immutable.events import Ended
from immutable.model import Outcome

OVER = timedelta(minutes=12)
"""So long after a death, the lease has run out."""


class Crash(BaseException):
    """The deployer dies here."""


def nothing(_stream, _sequence):
    """Let every record pass."""


def fails(error):
    """Return a store's hook that refuses every record."""

    def refuse(_stream, _sequence):
        raise error

    return refuse


def pending(stage):
    """Return the step whose intent is in the ledger, and whose outcome is not."""
    attempt = stage.engine().journal.load().attempt
    return attempt.pending.step if attempt and attempt.pending else None


def dies_in_the_launch(stage):
    """Deploy "two" and die when the intent to launch is written."""

    def die(_stream, _sequence):
        if isinstance(pending(stage), Launch):
            raise Crash

    stage.store.after_append = die
    with pytest.raises(Crash):
        stage.deploy("two")
    stage.store.after_append = nothing


def test_a_lease_that_cannot_be_renewed_lets_nothing_begin(stage):
    """A call could outlive the lease: it is not made, and recovery takes the rest back."""
    stage.deploy("one")
    stage.world.calls.clear()

    def slow(_stream, _sequence):
        if isinstance(pending(stage), Launch):
            stage.world.clock.time += timedelta(seconds=40)
            stage.store.before_append = fails(errors.LedgerReadOnly("full"))

    stage.store.after_append = slow
    done = stage.deploy("two")
    assert done.outcome is Outcome.NEEDS_RECOVERY
    assert "the ledger could not be written: full" in str(done.error)
    assert isinstance(done.error.__cause__, errors.LedgerReadOnly)
    assert "launch" not in stage.world.calls
    stage.store.before_append = stage.store.after_append = nothing
    stage.world.clock.time += OVER
    assert operations.recover(stage.engine()).outcome is Outcome.ROLLED_BACK
    assert len(stage.world.inventory()) == 1


def test_who_slept_through_its_lease_begins_nothing(stage):
    """Another took over meanwhile: the call is not made, and the outcome says so."""
    stage.deploy("one")
    stage.world.calls.clear()

    def sleep(_stream, _sequence):
        if isinstance(pending(stage), Launch):
            stage.store.after_append = nothing
            stage.world.clock.time += OVER
            rival = operations.recover(stage.engine())
            assert rival.outcome is Outcome.ROLLED_BACK

    stage.store.after_append = sleep
    done = stage.deploy("two")
    assert done.outcome is Outcome.SUPERSEDED
    assert "launch" not in stage.world.calls
    assert len(stage.world.inventory()) == 1


def test_a_ledger_without_its_identity_changes_nothing(stage):
    """Nobody's name stands at the switch: without an id of its own nothing is done."""
    stage.deploy("one")
    dies_in_the_launch(stage)
    kept = stage.store.records.pop("ledger")
    stage.world.clock.time += OVER
    stage.world.calls.clear()
    done = operations.recover(stage.engine())
    assert done.outcome is Outcome.NEEDS_RECOVERY
    assert "no identity" in str(done.error)
    assert set(stage.world.calls) == {"read"}
    stage.store.records["ledger"] = kept
    assert operations.recover(stage.engine()).outcome is Outcome.ROLLED_BACK


def test_who_cannot_know_whether_it_has_begun_says_so(stage):
    """The ledger gives no answer: the deployment may have begun, so recovery is asked for."""
    stage.deploy("one")
    stage.world.calls.clear()
    stage.store.before_append = fails(errors.Ambiguous("no answer"))
    done = stage.deploy("two")
    assert done.outcome is Outcome.NEEDS_RECOVERY
    assert isinstance(done.error, errors.Ambiguous)
    assert done.id is not None
    assert isinstance(stage.events[-1], Ended)
    assert stage.events[-1].outcome is Outcome.NEEDS_RECOVERY
    assert not {"attach", "launch", "write"} & set(stage.world.calls)
    stage.store.before_append = nothing
    assert operations.recover(stage.engine()).outcome is Outcome.LIVE
    assert stage.deploy("two").outcome is Outcome.LIVE


def test_who_cannot_know_whether_it_took_over_goes_no_further(stage):
    """A takeover without an answer does nothing; the next one goes on."""
    stage.deploy("one")
    dies_in_the_launch(stage)
    stage.world.clock.time += OVER
    stage.world.calls.clear()
    stage.store.before_append = fails(errors.Ambiguous("no answer"))
    done = operations.recover(stage.engine())
    assert (done.verb, done.outcome) == ("deploy", Outcome.NEEDS_RECOVERY)
    assert isinstance(done.error, errors.Ambiguous)
    assert stage.world.calls == []
    stage.store.before_append = nothing
    assert operations.recover(stage.engine()).outcome is Outcome.ROLLED_BACK


def test_a_watcher_tells_what_it_cannot_do_and_leaves_it_to_the_next_round(stage):
    """A ledger that cannot be written now is an event, not the end of the watch."""
    stage.deploy("one")
    dies_in_the_launch(stage)
    stage.world.clock.time += OVER
    stage.store.before_append = fails(errors.LedgerReadOnly("full"))
    caretaking.tend(stage.engine(), healing=True)
    last = stage.events[-1]
    assert (last.outcome, last.message) == (Outcome.REFUSED, "full")
    assert stage.engine().journal.load().attempt is not None
    stage.store.before_append = nothing
    caretaking.tend(stage.engine(), healing=True)
    assert stage.engine().journal.load().attempt is None
