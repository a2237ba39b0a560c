"""Durations as people write them: ``"90s"``, ``"2m"``, ``"1h30m"``, ``"500ms"``."""

import re
from datetime import timedelta

from immutable.errors import InvalidInput

_UNITS = {
    "d": timedelta(days=1),
    "h": timedelta(hours=1),
    "m": timedelta(minutes=1),
    "s": timedelta(seconds=1),
    "ms": timedelta(milliseconds=1),
    "us": timedelta(microseconds=1),
}
# Largest unit first, each at most once; the digits are bounded before they are read.
_PATTERN = re.compile("".join(f"(?:([0-9]{{1,15}}){unit})?" for unit in _UNITS))
_ZERO = timedelta()


def duration(value: timedelta | str) -> timedelta:
    """Return a duration that was given as a ``timedelta`` or as short text.

    Args:
        value: a ``timedelta``, or whole numbers with their units, largest first: ``d``,
            ``h``, ``m``, ``s``, ``ms``, ``us``. Zero is a duration.

    Raises:
        InvalidInput: it is negative, empty, a number without a unit, or something else.

    Example:
        >>> duration("1h30m")
        datetime.timedelta(seconds=5400)
        >>> duration("90s") == duration("1m30s")
        True
    """
    parsed = value if isinstance(value, timedelta) else _parse(value)
    if parsed is None or parsed < _ZERO:
        raise InvalidInput(
            f"{value!r:.80} is no duration",
            hint='write whole numbers with units, as in "90s", "1h30m" or "500ms"',
        )
    return parsed


def _parse(text: object) -> timedelta | None:
    match = _PATTERN.fullmatch(text) if isinstance(text, str) and text else None
    if match is None:
        return None
    counts = zip(_UNITS.values(), match.groups(default="0"), strict=True)
    try:
        return sum((unit * int(count) for unit, count in counts), start=_ZERO)
    except OverflowError:
        return None


def spell(value: timedelta) -> str:
    """Return a duration as short text that `duration` reads back exactly.

    A negative one, which `duration` refuses, is spelt with a leading minus.
    """
    if value < _ZERO:
        return f"-{spell(-value)}"
    parts = []
    for name, unit in _UNITS.items():
        count, value = divmod(value, unit)
        parts += [f"{count}{name}"] if count else []
    return "".join(parts) or "0s"
