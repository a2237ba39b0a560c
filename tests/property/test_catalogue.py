"""Any history of decisions about images reads as it was written, whole or from a snapshot."""

from datetime import UTC, datetime
from functools import reduce

from fakes import FakeClock, MemoryStore
from hypothesis import given, settings
from hypothesis import strategies as st

from immutable.images.catalogue import shelf as shelves
from immutable.images.catalogue.codec import decode, encode
from immutable.images.catalogue.fold import fold
from immutable.images.catalogue.records import (
    Deleted,
    Deleting,
    Leased,
    LeaseEnded,
    Marked,
    Overridden,
    Promoted,
    Record,
    Revoked,
    Spared,
    Unrevoked,
    Withdrawn,
)
from immutable.images.catalogue.shelf import STREAM, Shelf
from immutable.images.catalogue.state import EMPTY
from immutable.model import Image

IDS = st.sampled_from(["a", "b", "c"])
WORDS = st.sampled_from(["x/y", "x/z"])
TEXT = st.text(min_size=1, max_size=5)
TIMES = st.integers(1_700_000_000, 1_800_000_000).map(
    lambda seconds: datetime.fromtimestamp(seconds, UTC)
)
IMAGES = st.builds(
    Image,
    id=IDS,
    digest=IDS,
    backend=TEXT,
    size_bytes=st.integers(0, 9),
    parent=st.none() | IDS,
    built_at=st.none() | TIMES,
)
ENTRIES = st.one_of(
    st.builds(Promoted, channel=WORDS, image=IMAGES),
    st.builds(Withdrawn, channel=WORDS),
    st.builds(Revoked, image=IDS, digests=st.tuples(IDS), reason=TEXT),
    st.builds(Unrevoked, image=IDS, reason=TEXT),
    st.builds(
        Overridden,
        image=IDS,
        revoked=IDS,
        service=TEXT,
        deployment=TEXT,
        reason=TEXT,
    ),
    st.builds(Leased, image=IDS, holder=TEXT, until=TIMES),
    st.builds(LeaseEnded, image=IDS, holder=TEXT),
    st.builds(Marked, images=st.lists(st.tuples(IDS, IDS), max_size=2).map(tuple)),
    st.builds(Spared, images=st.lists(IDS, max_size=2).map(tuple)),
    st.builds(Deleting, image=IDS, run=TEXT),
    st.builds(Deleted, image=IDS),
)


@settings(max_examples=200, deadline=None)
@given(ENTRIES, TIMES, TEXT)
def test_every_record_reads_as_it_was_written(entry, at, by):
    """Whatever is in it."""
    record = Record(sequence=1, at=at, by=by, snapshot=0, nonce="n", entry=entry)
    assert decode(encode(record)) == record


@settings(max_examples=60, deadline=None)
@given(st.lists(ENTRIES, max_size=30), st.integers(1, 7))
def test_a_snapshot_says_what_its_history_says(entries, every):
    """Read from the latest snapshot or from the beginning, it is the same catalogue."""
    before, shelves.SNAPSHOT_EVERY = shelves.SNAPSHOT_EVERY, every
    try:
        store = MemoryStore()
        shelf = Shelf(store, FakeClock())
        for entry in entries:
            after = shelf.change(lambda _, entry=entry: entry)
            assert shelf.load() == after
    finally:
        shelves.SNAPSHOT_EVERY = before
    records = [decode(data) for data in store.records.get(STREAM, [])]
    assert reduce(fold, records, EMPTY) == shelf.load()
    assert [r.entry for r in records if r.entry in entries] != [] or not entries


@given(st.lists(ENTRIES, max_size=20))
def test_a_catalogue_never_says_two_things_of_one(entries):
    """One image for each channel, one revocation and one mark for each image."""
    catalogue = EMPTY
    for number, entry in enumerate(entries, start=1):
        at = datetime(2026, 1, 1, tzinfo=UTC)
        record = Record(
            sequence=number, at=at, by="b", snapshot=0, nonce="n", entry=entry
        )
        catalogue = fold(catalogue, record)
    for names in (
        [c.name for c in catalogue.channels],
        [r.image for r in catalogue.revocations],
        [m.image for m in catalogue.marks],
        [(x.image, x.holder) for x in catalogue.leases],
    ):
        assert len(names) == len(set(names))
