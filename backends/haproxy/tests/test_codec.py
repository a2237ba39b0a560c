import attrs
import pytest
from hypothesis import given
from hypothesis import strategies as st

from immutable.errors import InvalidInput, NotEnough
from immutable.model import FleetName, HealthCheck, LedgerId, Routing
from immutable_haproxy.names import from_word, to_word
from immutable_haproxy.routing import (
    Place,
    Table,
    family_of,
    from_entries,
    from_text,
    to_entries,
    to_text,
    with_place,
    without_place,
)
from immutable_haproxy.runtime import payloads

TEXTS = st.text(min_size=1, max_size=40)
PATHS = st.text(st.characters(min_codepoint=33, max_codepoint=126), max_size=60)
CHECKS = st.builds(
    HealthCheck,
    port=st.integers(1, 65535),
    path=st.none() | PATHS.map(lambda text: "/" + text),
)


@st.composite
def tables(draw: st.DrawFn) -> Table:
    """Draw a table as writes could have made it."""
    table = Table(owner=draw(st.none() | TEXTS.map(LedgerId)))
    fleets = draw(st.lists(TEXTS.map(FleetName), max_size=5, unique=True))
    for fleet in fleets:
        table = with_place(table, fleet, draw(CHECKS), slots=6)
    if not fleets:
        return table
    cuts = sorted(draw(st.lists(st.integers(0, 100), max_size=len(fleets) - 1)))
    shares = [b - a for a, b in zip([0, *cuts], [*cuts, 100], strict=True)]
    weights = draw(st.sampled_from([{}, dict(zip(fleets, shares, strict=False))]))
    preview = draw(st.none() | st.sampled_from(fleets))
    return attrs.evolve(table, routing=Routing(weights=weights, preview=preview))


@given(tables())
def test_table_round_trip(table: Table) -> None:
    """A table reads back from its entries, by way of the file, as it was."""
    entries = to_entries(table)
    assert from_text(to_text(entries)) == entries
    assert from_entries(entries) == table


@given(tables())
def test_entries_are_plain_words(table: Table) -> None:
    """Keys and values are printable ASCII without a blank: nothing to inject with."""
    for key, value in to_entries(table).items():
        assert key.isascii()
        assert key.isprintable()
        assert value.isascii()
        assert all("!" <= letter <= "~" for letter in key + value)


@given(tables())
def test_each_share_is_its_weight(table: Table) -> None:
    """Exactly so many of the hundred keys lead to a fleet's slot as it has per cent."""
    entries = to_entries(table)
    shares = [entries[str(number)] for number in range(100) if str(number) in entries]
    for fleet, weight in table.routing.weights:
        assert shares.count(table.slot_of(fleet)) == weight
    assert len(shares) in {0, 100}


@given(st.text(max_size=33))
def test_words_round_trip(text: str) -> None:
    """Any text becomes a word and back; different texts become different words."""
    if text:
        word = to_word(text)
        assert from_word(word) == text
        assert word.isascii()
        assert not set(word) & set(" \n\t\"'\\#;/$%{}[]()<>|&:")


def test_unusable_names() -> None:
    """Nothing, and what is far too long, is refused."""
    for text in ("", "x" * 401, "é" * 70):
        with pytest.raises(InvalidInput):
            to_word(text)


@given(st.text(max_size=10))
def test_foreign_words(word: str) -> None:
    """What was not written by us is refused, or at least stable."""
    try:
        text = from_word(word)
    except ValueError:
        return
    assert from_word(to_word(text)) == text


@given(st.lists(st.sampled_from("abcdef"), max_size=40))
def test_slots_rest_before_reuse(steps: list[str]) -> None:
    """A freed slot is given out again only after every other free one."""
    table, fresh, freed = Table(), [f"http-{n}" for n in range(1, 8)], []
    check = HealthCheck(port=80, path="/")
    for name in steps:
        fleet = FleetName(name)
        if table.place_of(fleet):
            freed.append(table.slot_of(fleet))
            table = without_place(table, fleet)
        else:
            table = with_place(table, fleet, check, slots=7)
            assert table.slot_of(fleet) == (fresh or freed).pop(0)
    assert len({place.slot for place in table.places}) == len(table.places)
    assert without_place(table, FleetName("stranger")) is table


def test_no_slot_left() -> None:
    """The families run out one by one."""
    table = Table()
    for number in range(2):
        table = with_place(table, FleetName(f"f{number}"), HealthCheck(port=1), slots=2)
    with pytest.raises(NotEnough):
        with_place(table, FleetName("f2"), HealthCheck(port=1), slots=2)
    with_place(table, FleetName("f2"), HealthCheck(port=1, path="/"), slots=2)


@pytest.mark.parametrize(
    "path", ["", "health", "/a b", "/a\nb", "/ü", "/" + "a" * 1000, "/\x7f"]
)
def test_bad_health_paths(path: str) -> None:
    """A path that would not survive the map or the request line is refused."""
    with pytest.raises(InvalidInput, match="health path"):
        family_of(HealthCheck(port=80, path=path))


def test_bad_health_port() -> None:
    """A port that does not exist is refused."""
    for port in (0, 65536, -1):
        with pytest.raises(InvalidInput, match="port"):
            family_of(HealthCheck(port=port))


@pytest.mark.parametrize(
    "entries",
    [
        {"5": "http-1"},
        {str(number): "http-1" for number in range(99)}
        | {"fleet.http-1": "f", "port.http-1": "1"},
        {"preview": "http-1"},
        {"fleet.http-1": "f"},
        {"fleet.http-1": "a b", "port.http-1": "80"},
        {"fleet.http-1": "f", "port.http-1": "eighty"},
        {"owner": "not ours"},
    ],
)
def test_contradictions(entries: dict[str, str]) -> None:
    """A map that contradicts itself is an error, never half a routing."""
    with pytest.raises(ValueError, match=r"."):
        from_entries(entries)


def test_place_order_does_not_matter() -> None:
    """Tables with the same places are equal, whatever came first."""
    check = HealthCheck(port=1)
    places = [
        Place(slot=f"tcp-{n}", fleet=FleetName(str(n)), health=check) for n in (1, 2)
    ]
    assert Table(places=tuple(places)) == Table(places=tuple(reversed(places)))


@given(
    st.lists(st.text("ab", max_size=300).map(lambda text: text + "\n"), max_size=300)
)
def test_payloads_fit(lines: list[str]) -> None:
    """Blocks hold all lines in order, and none outgrows HAProxy's buffer."""
    blocks = payloads(lines)
    assert "".join(blocks) == "".join(lines)
    assert all(0 < len(block) <= 8000 for block in blocks)
