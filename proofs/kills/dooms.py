"""How processes die: at which crash point, and what is left of them."""

import enum
import re
from collections.abc import Iterable, Sequence
from datetime import timedelta

import attrs

from immutable.testing.scheduling import to_us
from proofs.kills.stage import EFFECTS

_WRITTEN = re.compile(r"(\d+)([a-z]?)(\d*)")
_CHANGES = ("after-write:", *(f"after:{call}" for call in sorted(EFFECTS)))


class Death(enum.Enum):
    """How a process dies, by what is left of it."""

    KNOWN = ""
    """Others know at once."""
    SILENT = "s"
    """Only the end of its lease tells."""
    SOON = "f"
    """Its last call is still in flight, and lands while others clear up."""
    LATE = "l"
    """Its last call is still in flight, and lands when all seems over."""
    TIMED = "t"
    """Its last call is still in flight, and lands at a chosen instant."""


FLIGHTS = {
    Death.SOON: timedelta(milliseconds=300),
    Death.LATE: timedelta(minutes=5),
    Death.TIMED: timedelta(minutes=5),
}
"""How late the last call may land."""


@attrs.frozen
class Doom:
    """A death: at which crash point of a process, and how."""

    at: int
    death: Death = Death.KNOWN
    latest_us: int = 0
    """Where the instant is chosen: the latest that the last call may land, of which the
    seed draws a part that is always the same."""

    @property
    def is_flying(self) -> bool:
        """Return whether something is still in flight."""
        return self.death in FLIGHTS

    @property
    def late(self) -> timedelta:
        """Return how late the provider says that effects may land."""
        return FLIGHTS.get(self.death, timedelta())

    @property
    def late_us(self) -> int:
        """Return how late the last call may land."""
        return self.latest_us or to_us(self.late)

    def __str__(self) -> str:
        """Return it as ``--path`` takes it."""
        return f"{self.at}{self.death.value}{self.latest_us or ''}"


def parse(text: str) -> tuple[Doom, ...]:
    """Return the deaths that ``37,12f`` stands for; nothing stands for none.

    Raises:
        ValueError: it stands for nothing.
    """
    return tuple(_doom(part.strip()) for part in text.split(",") if part)


def _doom(text: str) -> Doom:
    found = _WRITTEN.fullmatch(text)
    if found is None:
        raise ValueError(f"{text!r} is no death: write 37, 37s, 37f, 37l or 37t1000")
    return Doom(int(found[1]), Death(found[2]), int(found[3] or 0))


def dooms_of(
    points: Sequence[str], deaths: Iterable[Death], among: Iterable[int] | None = None
) -> tuple[Doom, ...]:
    """Return every death that a process with these crash points can die.

    Args:
        points: the crash points, in order.
        deaths: how.
        among: only at the points with these numbers.
    """
    numbers = range(1, len(points) + 1) if among is None else sorted(among)
    return tuple(
        Doom(at, death)
        for at in numbers
        for death in deaths
        if death not in FLIGHTS or points[at - 1] in _CHANGES
    )


def distinct(points: Sequence[str]) -> frozenset[int]:
    """Return the numbers of the points at which a death leaves a world of its own.

    Nothing changes between two effects but the time: of all the points in between, the
    first and the last stand for the rest.
    """
    firsts = {at for at, point in enumerate(points, 1) if point.startswith(_CHANGES)}
    return frozenset({1, *firsts, *(at - 1 for at in firsts if at > 1), len(points)})
