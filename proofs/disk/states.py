"""Choosing, of all that may be on a disk after a power cut, what to look at."""

import random
from collections.abc import Iterator, Sequence

from proofs.disk.nodes import Change, Choose
from proofs.disk.power import Disk, Image

_FEW = 6
"""So many operations are tried in all combinations."""
_GARBAGE = 0.3
_TORN = 0.1


def certain(disk: Disk) -> Iterator[Image]:
    """Yield the states of whole operations that are always looked at.

    All combinations where few are pending; else all, none, all but one, only one, and
    all up to one.
    """
    numbers = sorted({change.number for change in disk.pending()})
    chosen = _all(numbers) if len(numbers) <= _FEW else _telling(numbers)
    for kept in chosen:
        yield disk.image(_keeping(kept))


def drawn(disk: Disk, draw: random.Random) -> Image:
    """Return a state by chance: sectors lost, torn, or grown without their data."""
    return disk.image(_chance(draw))


def _all(numbers: Sequence[int]) -> Iterator[frozenset[int]]:
    for bits in range(2 ** len(numbers)):
        yield frozenset(n for place, n in enumerate(numbers) if bits >> place & 1)


def _telling(numbers: Sequence[int]) -> Iterator[frozenset[int]]:
    every = frozenset(numbers)
    yield every
    yield frozenset()
    for place, number in enumerate(numbers):
        yield every - {number}
        yield frozenset({number})
        yield frozenset(numbers[:place])


def _keeping(kept: frozenset[int]) -> Choose:
    return lambda change: change.data if change.number in kept else None


def _chance(draw: random.Random) -> Choose:
    # How much is lost, and whether it is lost by operation, differs from state to state.
    share = draw.choice((0.0, 0.1, 0.3, 0.5, 0.7, 0.9))
    whole = draw.random() < share
    fates: dict[int, bool] = {}

    def choose(change: Change) -> bytes | None:
        kept = draw.random() < share
        if whole:
            kept = fates.setdefault(change.number, kept)
        if kept and change.data and draw.random() < _TORN:
            return change.data[: draw.randrange(len(change.data))]
        if not kept and change.grows and draw.random() < _GARBAGE:
            return draw.randbytes(len(change.data))
        return change.data if kept else None

    return choose
