"""The ledger's codec: the bytes alone say everything, of every kind of entry."""

import typing
from datetime import UTC, datetime, timedelta

import attrs
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from immutable.errors import LedgerError
from immutable.ledger import codec
from immutable.ledger.codec import decode, decode_anew, encode
from immutable.ledger.lately import Lately
from immutable.ledger.records import Entry, Record, Renewed
from immutable.model import WHOLE, FleetName, Routing

KINDS = typing.get_args(Entry)
FLEETS = st.text(min_size=1).map(FleetName)
ROUTINGS = st.builds(
    Routing,
    weights=st.just({}) | st.dictionaries(FLEETS, st.just(WHOLE), max_size=1),
    preview=st.none() | FLEETS,
)
st.register_type_strategy(datetime, st.datetimes(timezones=st.just(UTC)))
st.register_type_strategy(timedelta, st.timedeltas(timedelta(), timedelta(days=1000)))
st.register_type_strategy(Routing, ROUTINGS)


def record(nonce: str) -> Record:
    """Return some record."""
    at = datetime(2026, 1, 1, tzinfo=UTC)
    return Record(
        sequence=1,
        at=at,
        by="b",
        lease_until=None,
        snapshot=0,
        nonce=nonce,
        entry=Renewed(),
    )


@pytest.mark.parametrize("kind", KINDS)
@settings(max_examples=20)
@given(data=st.data())
def test_the_bytes_say_what_was_encoded(kind, data):
    """Decoded from its bytes and nothing else, a record is equal, and of equal bytes."""
    at, entry = data.draw(st.from_type(datetime)), data.draw(st.from_type(kind))
    written = attrs.evolve(record("drawn"), at=at, lease_until=at, entry=entry)
    found = decode_anew(encode(written))
    assert found == written
    assert repr(found) == repr(written).replace(", fold=1", "")
    assert encode(found) == encode(written)


def test_a_known_record_is_not_decoded_again():
    """The record of bytes that were written or read here is known."""
    data = encode(written := record("known"))
    assert decode(data) is written
    codec._known._kept.clear()
    found = decode(data)
    assert found == written
    assert found is not written
    assert decode(data) is found


def test_what_is_known_is_bounded():
    """No more than a number of answers are kept, and no large records."""
    lately = Lately(3)
    for number in range(8):
        assert lately.keep(number, -number) == -number
        assert len(lately._kept) <= 3
    assert lately.get(7) == -7
    assert lately.get(0) is None
    large = encode(record("x" * codec._KEPT_BYTES))
    assert decode(large) is not decode(large)


def test_what_could_not_be_read_is_not_written():
    """A record that is too long is refused before any store sees it."""
    longest = "x" * (codec.SIZE_LIMIT_BYTES - len(codec.sealed("")))
    assert codec.unsealed(codec.sealed(longest)) == longest.encode()
    with pytest.raises(LedgerError, match="is longer than") as caught:
        codec.sealed(f"{longest}x")
    assert "fewer instances" in str(caught.value)
