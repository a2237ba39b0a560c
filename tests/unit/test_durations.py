from datetime import timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from immutable.durations import duration, spell
from immutable.errors import InvalidInput

DURATIONS = st.timedeltas(min_value=timedelta())


@given(DURATIONS)
def test_round_trip(value: timedelta) -> None:
    """Whatever is spelt is read back exactly, to the microsecond."""
    assert duration(spell(value)) == value


@pytest.mark.parametrize(
    ("text", "seconds"),
    [
        ("90s", 90),
        ("2m", 120),
        ("1h", 3600),
        ("500ms", 0.5),
        ("1h30m", 5400),
        ("2d", 172_800),
        ("0s", 0),
        ("250us", 0.000_25),
        ("1d1h1m1s1ms1us", 90_061.001_001),
    ],
)
def test_reads(text: str, seconds: float) -> None:
    """Each unit counts for what it says, and units add up."""
    assert duration(text) == timedelta(seconds=seconds)


def test_takes_timedelta() -> None:
    """A timedelta is taken as it is."""
    assert duration(timedelta(minutes=3)) == timedelta(minutes=3)


@pytest.mark.parametrize(
    "value",
    [
        "",
        " ",
        "5",
        "s",
        "-5s",
        "+5s",
        "5 s",
        " 5s",
        "5s\n",
        "1.5h",
        "30m1h",
        "1m1m",
        "5S",
        "\u0665s",
        "soon",
        "999999999999d",
        "9" * 5000 + "s",
        5,
        5.0,
        True,
        None,
        b"5s",
        timedelta(seconds=-1),
    ],
)
def test_refuses(value: object) -> None:
    """What is no duration is refused, with words on how to write one."""
    with pytest.raises(InvalidInput, match='"90s"'):
        duration(value)  # type: ignore[arg-type]


def test_message_is_bounded() -> None:
    """A huge input is not echoed whole."""
    with pytest.raises(InvalidInput) as caught:
        duration("x" * 10_000)
    assert len(str(caught.value)) < 300


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (timedelta(), "0s"),
        (timedelta(minutes=90), "1h30m"),
        (timedelta(seconds=5), "5s"),
        (timedelta(days=2, milliseconds=500), "2d500ms"),
        (timedelta(seconds=-5), "-5s"),
    ],
)
def test_spells(value: timedelta, text: str) -> None:
    """Units that count nothing are left out, largest first."""
    assert spell(value) == text
