"""The ledger's core: records survive the trip, the fold is deaf after an ending."""

from datetime import UTC, datetime, timedelta

import attrs
import pytest
from fakes import FakeClock, MemoryStore
from hypothesis import given
from hypothesis import strategies as st

from immutable import errors
from immutable.deploying.facts import Reason
from immutable.ledger import owner
from immutable.ledger.codec import decode, encode, sealed, unsealed
from immutable.ledger.fold import fold
from immutable.ledger.goals import TidyGoal
from immutable.ledger.journal import LEASE, SNAPSHOT_EVERY, Journal
from immutable.ledger.records import Aborting, Begun, Finished, Renewed, TookOver
from immutable.ledger.state import State
from immutable.model import DeploymentId, FleetName, Outcome, ServiceName

SHOP = ServiceName("shop")
GOAL = TidyGoal(fleets=(FleetName("shop-v1-abcdef"),), drain=timedelta(seconds=1))
ENTRIES = st.sampled_from(
    [
        Begun(deployment=DeploymentId("d"), goal=GOAL),
        Renewed(),
        TookOver(),
        Aborting(reason=Reason(kind="Drift", message="m")),
        Finished(outcome=Outcome.LIVE, live=None),
    ]
)


def journal_of(store):
    """Return a journal with a clock of its own, unread."""
    return Journal(store, SHOP, FakeClock())


def journal(store):
    """Return a journal that has read what there is."""
    made = journal_of(store)
    made.load()
    return made


@given(st.lists(ENTRIES, max_size=30))
def test_loading_gives_the_state_that_was_left(entries):
    """Reading the records back gives the state that appending them gave."""
    store = MemoryStore()
    writer = journal(store)
    for entry in entries:
        writer.append(entry)
    assert journal(store).state == writer.state


@given(st.lists(ENTRIES, min_size=1, max_size=20))
def test_records_survive_the_trip(entries):
    """What is encoded decodes to an equal record."""
    store = MemoryStore()
    writer = journal(store)
    for entry in entries:
        writer.append(entry)
    for data in store.records["service/shop"]:
        assert encode(decode(data)) == data


def test_an_ending_is_absorbing():
    """Whatever is said of a deployment after its ending changes nothing of it."""
    store = MemoryStore()
    writer = journal(store)
    writer.append(Begun(deployment=DeploymentId("d"), goal=GOAL))
    ended = writer.append(Finished(outcome=Outcome.LIVE, live=None))
    later = writer.append(Finished(outcome=Outcome.ROLLED_BACK, live=None))
    assert later.latest == ended.latest


def test_one_of_two_writers_wins():
    """Two journals with the same head cannot both append."""
    store = MemoryStore()
    one, two = journal(store), journal(store)
    one.append(Begun(deployment=DeploymentId("one"), goal=GOAL))
    with pytest.raises(errors.SequenceTaken):
        two.append(Begun(deployment=DeploymentId("two"), goal=GOAL))


@pytest.mark.parametrize("length", [10, 1000])
def test_loading_reads_a_bounded_number_of_records(length):
    """However long the history, loading begins at the latest snapshot."""
    store = MemoryStore()
    writer = journal(store)
    for _ in range(length):
        writer.append(Renewed())
    read = []
    plain = store.read
    store.read = lambda stream, *, after, limit: (
        read.extend(rows := plain(stream, after=after, limit=limit)) or tuple(rows)
    )
    journal(store)
    assert len(read) <= SNAPSHOT_EVERY + 2


def test_an_ambiguous_append_that_landed_counts():
    """The record is known by its nonce when the store's answer was lost."""
    store = MemoryStore()
    writer = journal(store)
    plain = store.append

    def lost(stream, sequence, record):
        plain(stream, sequence, record)
        store.append = plain
        raise errors.Ambiguous("no answer")

    store.append = lost
    assert writer.append(Renewed()).sequence == 1
    assert writer.append(Renewed()).sequence == 2


def test_a_newer_schema_is_refused():
    """A record of a later schema is refused and left alone."""
    store = MemoryStore()
    journal(store).append(Renewed())
    text = unsealed(store.records["service/shop"][0])
    newer = text.replace(b'"schema":1', b'"schema":2').decode()
    with pytest.raises(errors.LedgerTooNew):
        decode(sealed(newer))


def test_one_flipped_bit_is_noticed():
    """Every bit of a record counts, those of its digest too."""
    store = MemoryStore()
    journal(store).append(Renewed())
    data = store.records["service/shop"][0]
    for place in range(len(data) * 8):
        flipped = bytearray(data)
        flipped[place // 8] ^= 1 << place % 8
        with pytest.raises(errors.NotALedger):
            decode(bytes(flipped))


def test_records_that_are_missing_at_the_end_are_noticed():
    """The last number says how many there must be."""
    store = MemoryStore()
    writer = journal(store)
    writer.append(Renewed())
    writer.append(Renewed())
    store.last = lambda stream, rows=store.last: (3, rows(stream)[1])
    with pytest.raises(errors.NotALedger):
        journal(store).load()


@pytest.mark.parametrize("missing", [1, 3, 5])
def test_a_hole_in_the_middle_is_noticed(missing):
    """A record that is not there is not read over, and nothing is written upon it."""
    store = MemoryStore()
    writer = journal(store)
    for _ in range(6):
        writer.append(Renewed())
    rows = store.read

    def without(stream, *, after, limit):
        found = rows(stream, after=after, limit=limit)
        return tuple(row for row in found if row[0] != missing)

    store.read = without
    with pytest.raises(errors.NotALedger, match=f"record {missing} is missing"):
        journal(store).load()
    with pytest.raises(errors.NotALedger, match=f"record {missing} is missing"):
        list(journal_of(store).history())


@pytest.mark.parametrize("data", [b"", b"{}", b"[]", b'{"schema":1}', b"\xff", b"null"])
def test_damage_is_a_typed_error(data):
    """What is no record is refused in words."""
    with pytest.raises(errors.NotALedger):
        decode(data)


def test_folding_is_pure():
    """The state that was folded upon is what it was."""
    store = MemoryStore()
    writer = journal(store)
    before = attrs.evolve(writer.state)
    state = writer.state
    writer.append(Begun(deployment=DeploymentId("d"), goal=GOAL))
    fold(state, decode(store.records["service/shop"][0]))
    assert state == before


def test_what_was_folded_is_known():
    """The same record upon the same state is not folded again; upon another it is."""
    store = MemoryStore()
    journal(store).append(Begun(deployment=DeploymentId("d"), goal=GOAL))
    record = decode(store.records["service/shop"][0])
    first, other = State(), State(next_release=7)
    assert fold(first, record) is fold(first, record)
    assert fold(other, record).next_release == 7


def test_the_living_are_not_dead():
    """This process is alive; a process of another start is not this one."""
    me = owner.this_process()
    assert not owner.is_dead(me)
    host, boot, pid, _ = me.split("/")
    assert owner.is_dead(f"{host}/{boot}/{pid}/1")
    assert not owner.is_dead(f"elsewhere/{boot}/{pid}/1")
    assert not owner.is_dead("")


def test_times_are_aware():
    """Times come back aware, in UTC."""
    store = MemoryStore()
    journal(store).append(Renewed())
    record = decode(store.records["service/shop"][0])
    assert record.at == datetime(2026, 1, 1, tzinfo=UTC)
    assert record.at.utcoffset() == timedelta()


@pytest.mark.parametrize(
    ("by", "after", "dated"),
    [("other", 5, 5), ("other", -5, -5), ("other", 11, 0), ("first", 5, 0)],
)
def test_a_shift_is_dated_by_the_clock_of_whoever_goes_on(by, after, dated):
    """Clocks are minutes apart at most: settling is counted by one's own."""
    began = datetime(2026, 1, 1, tzinfo=UTC)
    store, clock = MemoryStore(), FakeClock()
    writer = Journal(store, SHOP, clock)
    record = attrs.evolve(
        writer._record(Begun(deployment=DeploymentId("d"), goal=GOAL), LEASE),
        at=began + timedelta(minutes=after),
        by=by,
    )
    state = fold(State(shifted_at=began, owner="first"), record)
    assert state.shifted_at == began + timedelta(minutes=dated)
