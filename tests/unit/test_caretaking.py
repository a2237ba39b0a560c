"""Drift, lost ledgers and watchers: what is accepted, written anew, and kept at."""

import threading
from datetime import timedelta

import attrs
import pytest
from fakes import MemoryStore

from immutable import errors
from immutable.deploying import caretaking, operations
from immutable.deploying.interrupting import Asked
from immutable.ledger.journal import SNAPSHOT_EVERY
from immutable.ledger.records import Intended
from immutable.ledger.state import FleetStatus
from immutable.model import Outcome, Routing
from immutable.observing import reading
from immutable.strategies import Canary

HALF = 50


class Crash(BaseException):
    """The deployer dies here."""


def moved(stage, weights):
    """Let a human move the switch."""
    stage.world.routing = Routing(weights=weights)
    stage.world.version += 1


def two_deployed(stage):
    """Return the standby's and the live fleet's names."""
    stage.deploy("one")
    stage.deploy("two")
    state = stage.engine().journal.load()
    return state.standby.name, state.live.name


def crashed(stage, when):
    """Deploy "two" and die before the first record for which ``when`` is true."""

    def maybe(_stream, _sequence):
        entry = stage.engine().journal.load().attempt
        if entry is not None and when(entry):
            raise Crash

    stage.store.before_append = maybe
    with pytest.raises(Crash):
        stage.deploy("two")
    stage.store.before_append = lambda *_: None


def test_a_moved_switch_is_drift_until_it_is_adopted(stage):
    """Nothing overwrites what a human did; adopting makes the ledger agree."""
    standby, live = two_deployed(stage)
    moved(stage, {standby: 100})
    assert isinstance(stage.deploy("three").error, errors.Drift)
    done = caretaking.adopt(stage.engine(), None)
    assert done.outcome is Outcome.LIVE
    state = stage.engine().journal.load()
    assert (state.live.name, state.fleet(live).status) == (
        standby,
        FleetStatus.STANDBY,
    )
    assert reading.status(stage.engine()).drift is None
    assert stage.deploy("three").outcome is Outcome.LIVE


def test_adopting_what_agrees_changes_nothing(stage):
    """Without drift there is nothing to accept."""
    two_deployed(stage)
    before = stage.engine().journal.load()
    assert caretaking.adopt(stage.engine(), None).outcome is Outcome.LIVE
    assert stage.engine().journal.load() == before


def test_split_traffic_is_adopted_by_name_only(stage):
    """With two fleets serving, the caller says which one stays."""
    standby, live = two_deployed(stage)
    moved(stage, {standby: HALF, live: HALF})
    refused = caretaking.adopt(stage.engine(), None)
    assert refused.outcome is Outcome.REFUSED
    assert "fleet=" in str(refused.error)
    assert caretaking.adopt(stage.engine(), "nobody").outcome is Outcome.REFUSED
    assert caretaking.adopt(stage.engine(), live).outcome is Outcome.LIVE
    assert dict(stage.world.routing.weights) == {live: 100}


def test_an_unready_fleet_is_not_given_split_traffic(stage):
    """Adopting moves traffic only onto a side that is whole and ready."""
    standby, live = two_deployed(stage)
    moved(stage, {standby: HALF, live: HALF})
    stage.world.sick.add(standby)
    done = caretaking.adopt(stage.engine(), standby)
    assert done.outcome is Outcome.ROLLED_BACK
    assert dict(stage.world.routing.weights) == {standby: HALF, live: HALF}


def test_another_ledgers_switch_is_adopted_explicitly(stage):
    """An empty ledger beside live traffic is refused until it is adopted."""
    stage.deploy("one")
    (fleet,) = stage.world.fleets
    other = attrs.evolve(stage, store=MemoryStore())
    assert isinstance(other.deploy("two").error, errors.Drift)
    assert caretaking.adopt(other.engine(), None).outcome is Outcome.LIVE
    state = other.engine().journal.load()
    assert (state.live.name, state.live.release.number) == (fleet, 1)
    assert stage.world.owner == other.engine().journal.identity()
    assert isinstance(stage.deploy("two").error, errors.Drift)
    done = other.deploy("two")
    assert (done.outcome, done.release.number) == (Outcome.LIVE, 2)


def test_a_switch_that_was_emptied_is_adopted_as_empty(stage):
    """Nothing serves, as the human wanted; the old fleet waits as standby."""
    stage.deploy("one")
    moved(stage, {})
    done = caretaking.adopt(stage.engine(), None)
    assert done.outcome is Outcome.LIVE, done.error
    state = stage.engine().journal.load()
    assert state.live is None
    assert state.standby is not None


def test_a_lost_ledger_is_written_anew_from_tags_and_switch(stage):
    """Release, numbering and identity come back; nothing is destroyed unasked."""
    standby, live = two_deployed(stage)
    lost = stage.engine().journal
    identity, before = lost.identity(), lost.load().live
    anew = attrs.evolve(stage, store=MemoryStore())
    done = caretaking.restore(anew.engine())
    assert (done.outcome, done.leftovers) == (Outcome.LIVE, (f"fleet {standby}",))
    state = anew.engine().journal.load()
    assert anew.engine().journal.identity() == identity
    assert (state.live.name, state.live.release) == (live, before.release)
    operations.recover(anew.engine())
    assert stage.world.inventory() == {standby, live}
    assert anew.deploy("three").release.number == 3
    operations.sweep(anew.engine())
    assert standby not in stage.world.inventory()


def test_a_restored_ledger_does_not_overwrite_another(stage):
    """A ledger with records is not lost, and an unowned switch says nothing."""
    assert caretaking.restore(stage.engine()).outcome is Outcome.REFUSED
    stage.deploy("one")
    before = stage.engine().journal.load()
    assert caretaking.restore(stage.engine()).outcome is Outcome.REFUSED
    assert stage.engine().journal.load() == before


def test_a_changed_service_does_not_restore_another_release(stage):
    """What the instances carry must hash to the digest that they were tagged with."""
    stage.deploy("one")
    (name, view), *_ = stage.world.fleets.items()
    forged = tuple(
        attrs.evolve(i, document=i.document.replace("8080", "8081"))
        for i in view.instances
    )
    stage.world.fleets[name] = attrs.evolve(view, instances=forged)
    anew = attrs.evolve(stage, store=MemoryStore())
    assert caretaking.restore(anew.engine()).outcome is Outcome.REFUSED
    assert not anew.store.records


def test_a_watcher_finishes_what_a_dead_deployer_left(stage):
    """After the lease has run out, one round takes the work back."""
    stage.deploy("one")
    crashed(stage, lambda attempt: attempt.pending is not None)
    caretaking.tend(stage.engine(), healing=False)
    assert stage.engine().journal.load().attempt is not None
    stage.world.clock.time += timedelta(minutes=12)
    caretaking.tend(stage.engine(), healing=False)
    state = stage.engine().journal.load()
    assert (state.attempt, state.latest.outcome) == (None, Outcome.ROLLED_BACK)
    assert len(stage.world.inventory()) == 1


def test_a_bake_is_resumed_not_taken_back(stage):
    """A deployer that dies in the bake leads to the new side when that is healthy."""
    stage.deploy("one")
    crashed(stage, lambda attempt: attempt.staged_at is not None)
    stage.world.clock.time += timedelta(minutes=12)
    caretaking.tend(stage.engine(), healing=False)
    state = stage.engine().journal.load()
    assert state.live.release.image.id == "two"


@pytest.mark.parametrize("sick", [{"two"}, {"one", "two"}])
def test_after_the_bake_the_proven_side_wins(stage, sick):
    """New side bad: the old one when it is healthy, else routing is left alone."""
    stage.deploy("one")
    (old,) = stage.world.fleets
    crashed(stage, lambda attempt: attempt.staged_at is not None)
    stage.world.clock.time += timedelta(minutes=12)
    stage.world.sick_images.update(sick)
    done = operations.recover(stage.engine())
    serving = dict(stage.world.routing.weights)
    if "one" in sick:
        assert done.outcome is Outcome.NEEDS_RECOVERY
        assert old not in serving
    else:
        assert done.outcome is Outcome.ROLLED_BACK
        assert serving == {old: 100}


def test_a_watcher_that_is_stopped_leaves_the_bake_open(stage):
    """Stopping a watcher takes nothing back: the next one goes on."""
    stage.deploy("one")
    crashed(stage, lambda attempt: attempt.staged_at is not None)
    stage.world.clock.time += timedelta(minutes=12)
    stop = threading.Event()
    stop.set()
    engine = attrs.evolve(stage.engine(), stop=Asked(stop))
    caretaking.tend(engine, healing=False)
    assert stage.engine().journal.load().attempt.aborting is None
    caretaking.tend(stage.engine(), healing=False)
    assert stage.engine().journal.load().live.release.image.id == "two"


def test_a_watcher_heals_when_asked(stage):
    """Dead instances are replaced by a round with healing, and only then."""
    stage.deploy("one")
    (fleet,) = stage.world.fleets
    stage.world.kill(stage.world.fleets[fleet].instances[0].id)
    caretaking.tend(stage.engine(), healing=False)
    assert any(i.state == "gone" for i in stage.world.fleets[fleet].instances)
    caretaking.tend(stage.engine(), healing=True)
    assert all(i.state != "gone" for i in stage.world.fleets[fleet].instances)


def test_watching_ends_when_asked(stage):
    """The watcher looks until it is told to stop."""
    stage.deploy("one")
    stop = threading.Event()
    stage.world.clock.at_times.append(
        (stage.world.clock.now() + timedelta(seconds=35), stop.set)
    )
    caretaking.keep_tending(
        stage.engine(), every=timedelta(seconds=10), healing=False, asked=stop
    )
    assert stop.is_set()


def test_an_unknown_route_is_fenced_before_it_is_believed(stage):
    """An answer that got lost is read back only after a write that refuses late ones."""
    stage.deploy("one")
    stage.world.late_faults["write"] = [errors.Ambiguous("lost")]
    assert stage.deploy("two").outcome is Outcome.LIVE
    steps = [
        record.entry.step
        for record in stage.engine().journal.history()
        if isinstance(record.entry, Intended)
    ]
    names = [type(step).__name__ for step in steps]
    assert names[names.index("Fence") - 1] == "Route"


def test_a_deployer_that_wakes_after_a_takeover_destroys_nothing(stage):
    """Stopped before it retires, it finds its lease lost and its work done by another."""
    stage.deploy("one")
    stage.deploy("two")
    stage.world.clock.time += timedelta(hours=2)
    asleep = stage.engine()
    woken = []

    def rivals(_fleet, *, token):
        retire = type(asleep.backend.fleets).retire
        asleep.backend.fleets.__dict__.pop("retire")
        stage.world.clock.time += timedelta(minutes=30)
        operations.recover(stage.engine())
        woken.append(stage.rollback().outcome)
        retire(asleep.backend.fleets, _fleet, token=token)

    asleep.backend.fleets.__dict__["retire"] = rivals
    operations.recover(asleep)
    assert woken == [Outcome.LIVE]
    (live,) = dict(stage.world.routing.weights)
    assert live in stage.world.fleets
    assert stage.world.fleets[live].instances


def test_what_was_in_flight_is_looked_for_again(stage):
    """A fleet that lands after recovery is found by the first call after the bound."""
    late = timedelta(minutes=5)
    stage.service.backend.capabilities = attrs.evolve(
        stage.service.backend.capabilities, late=late
    )
    stage.deploy("one")
    specs = []

    def vanish(spec, *, token):
        specs.append((spec, token))
        raise Crash

    stage.service.backend.fleets.__dict__["launch"] = vanish
    with pytest.raises(Crash):
        stage.deploy("two")
    del stage.service.backend.fleets.__dict__["launch"]
    stage.world.clock.time += timedelta(minutes=12)
    operations.recover(stage.engine())
    (spec, token), *_ = specs
    stage.service.backend.fleets.launch(spec, token=token)
    assert spec.name in stage.world.inventory()
    stage.world.clock.time += late
    operations.recover(stage.engine())
    assert spec.name not in stage.world.inventory()
    assert stage.engine().journal.load().doubted_at is not None
    stage.world.clock.time += late
    operations.recover(stage.engine())
    assert stage.engine().journal.load().doubted_at is None


def test_versions_come_from_the_write_itself(stage):
    """After a route the switch is known without another reading."""
    stage.deploy("one")
    stage.world.calls.clear()
    stage.deploy("two")
    calls = stage.world.calls
    assert all(
        calls[i + 1] != "read" for i, call in enumerate(calls[:-1]) if call == "write"
    )


def test_one_dead_server_does_not_keep_a_bad_release(stage):
    """Going back needs half of the old side, not all of it."""
    stage.deploy("one")
    (old,) = stage.world.fleets

    def fails_live(target):
        if target.live:
            stage.world.kill(stage.world.fleets[old].instances[0].id)
        return not target.live

    done = stage.deploy("two", validators=(fails_live,))
    assert done.outcome is Outcome.ROLLED_BACK, done.error
    assert dict(stage.world.routing.weights) == {old: 100}


def test_what_somebody_else_serves_is_kept_without_a_word_more(stage):
    """A tombstone that a person gave traffic is not tried again and again."""
    standby, _ = two_deployed(stage)
    stage.world.clock.time += timedelta(hours=2)
    moved(stage, {standby: 100})
    operations.recover(stage.engine())
    before = stage.engine().journal.load().sequence
    operations.recover(stage.engine())
    assert stage.engine().journal.load().sequence == before
    assert standby in stage.world.inventory()


def test_a_service_that_is_opened_again_is_not_closed_twice(stage):
    """Destroying closes what it found; what a person routes afterwards stays."""
    stage.deploy("one")
    (live,) = stage.world.fleets
    opened = []

    def person(_stream, _sequence):
        if stage.world.routing == Routing() and not opened:
            opened.append(1)
            moved(stage, {live: 100})

    stage.store.before_append = person
    done = operations.destroy(stage.engine())
    assert opened
    assert done.outcome is Outcome.NEEDS_RECOVERY
    assert dict(stage.world.routing.weights) == {live: 100}
    assert live in stage.world.fleets


def test_going_back_heals_what_it_goes_back_to(stage):
    """With the whole old side dead, a failed canary revives it and then goes back."""
    stage.deploy("one")
    (old,) = stage.world.fleets

    def fails_live(target):
        for instance in stage.world.fleets[old].instances:
            if target.live:
                stage.world.kill(instance.id)
        return not target.live

    canary = Canary(steps=[10], hold="2s", bake="2s")
    done = stage.deploy("two", validators=(fails_live,), strategy=canary)
    assert done.outcome is Outcome.ROLLED_BACK, done.error
    assert dict(stage.world.routing.weights) == {old: 100}


def test_a_deployment_that_cannot_be_finished_is_ended_by_naming_a_side(stage):
    """Neither side of a canary comes back; the standby of before does."""
    stage.deploy("zero")
    stage.deploy("one")
    state = stage.engine().journal.load()
    standby, live = state.standby.name, state.live.name

    def fails_live(target):
        if target.live:
            stage.world.sick.update({live, target.fleet})
        return not target.live

    canary = Canary(steps=[10], hold="2s", bake="2s")
    done = stage.deploy("two", validators=(fails_live,), strategy=canary)
    assert done.outcome is Outcome.NEEDS_RECOVERY
    refused = stage.rollback()
    assert "adopt" in str(refused.error)
    assert caretaking.adopt(stage.engine(), None).outcome is Outcome.REFUSED
    assert caretaking.adopt(stage.engine(), standby).outcome is Outcome.LIVE
    assert dict(stage.world.routing.weights) == {standby: 100}
    assert stage.deploy("three").outcome is Outcome.LIVE


def test_a_slow_ledger_is_given_up(stage):
    """Readings that grew old while the intent was written are no reason for traffic."""
    stage.deploy("one")
    (old,) = stage.world.fleets

    def slow(_stream, _sequence):
        stage.world.clock.time += timedelta(seconds=6)

    stage.store.after_append = slow
    done = stage.deploy("two")
    assert done.outcome in {Outcome.ROLLED_BACK, Outcome.NEEDS_RECOVERY}
    assert "ledger" in str(done.error)
    assert len(stage.engine().journal.load().fleets) <= 2
    assert dict(stage.world.routing.weights) == {old: 100}


def test_a_snapshot_that_fails_does_not_fail_what_came_before(stage):
    """What is in the ledger is not reported as refused."""
    stage.deploy("one")

    def refuses(_stream, sequence):
        snapshot = stage.engine().journal.load().snapshot
        if sequence - snapshot > SNAPSHOT_EVERY:
            raise errors.LedgerReadOnly("full")

    stage.store.before_append = refuses
    deployed = (stage.deploy(f"image-{n}") for n in range(9))
    done = next(d for d in deployed if d.outcome is not Outcome.LIVE)
    begun = stage.engine().journal.load().attempt is not None
    assert begun == (done.outcome is Outcome.NEEDS_RECOVERY)
