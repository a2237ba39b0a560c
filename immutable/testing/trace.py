"""What happened in a simulation, line by line: the same seed gives the same text."""

import hashlib
from collections.abc import Iterable
from typing import NamedTuple

from immutable.deploying.telling import spell_routing
from immutable.model import FleetSpec, Member, Routing

TAIL_LINES = 25
_LINE_CHARS = 160
_ROUND = 3
"""So many readings go together when something is waited for."""
_STAMP = 13
"""How many characters of a line say when it was."""


class Line(NamedTuple):
    """One thing that happened: when, by whom, what, about what, and how it went."""

    at_us: int
    process: str
    what: str
    about: tuple[object, ...] = ()
    result: object = ""

    def __str__(self) -> str:
        """Return the line as text; nothing in it depends on this run of Python."""
        about = " ".join(spell(item) for item in self.about)
        result = f" → {spell(self.result)}" if self.result != "" else ""
        return (
            f"{self.at_us / 1e6:12.6f} {self.process:<12} {self.what} {about}{result}"
        )


class Trace:
    """Every line so far. Lines are kept as values and spelt when somebody asks."""

    def __init__(self) -> None:
        self.lines: list[Line] = []

    def add(
        self,
        at_us: int,
        process: str,
        what: str,
        about: tuple[object, ...] = (),
        result: object = "",
    ) -> None:
        """Add a line."""
        # past the named tuple's own constructor, which takes three times as long
        line = tuple.__new__(Line, (at_us, process, what, about, result))
        self.lines.append(line)

    def text(self) -> str:
        """Return everything."""
        return "\n".join(map(str, self.lines))

    def digest(self) -> str:
        """Return a fingerprint of everything, to compare two runs by."""
        return hashlib.sha256(self.text().encode()).hexdigest()

    def tail(self, count: int = TAIL_LINES) -> str:
        """Return the last lines, each cut short; what repeats is said once."""
        found: list[str] = []
        for line in reversed(self.lines):
            if len(found) == count:
                break
            said = _cut(str(line))
            if said[_STAMP:] not in {one[_STAMP:] for one in found[-_ROUND:]}:
                found.append(said)
        return "\n".join(reversed(found))


def spell(item: object) -> str:
    """Return one value in words that are the same in every run."""
    match item:
        case Routing():
            return f"[{spell_routing(item)}]"
        case FleetSpec(name=name, size=size):
            return f"{name} of {size}"
        case Member(instance=instance):
            return instance
        case BaseException():
            return f"{type(item).__name__}: {item}"
        case str() | int() | float() | None:
            return str(item)
        case bytes():
            return item.decode(errors="replace")
        case tuple():
            return _spell_all(item)
        case _:
            return repr(item)


def _spell_all(items: Iterable[object]) -> str:
    return f"({', '.join(map(spell, items))})"


def _cut(line: str) -> str:
    return line if len(line) <= _LINE_CHARS else f"{line[:_LINE_CHARS]}…"
