"""What a switch's capabilities allow beyond the strict specification."""

from collections.abc import Iterable
from datetime import timedelta
from typing import TypeVar

import attrs

from immutable.testing.linearizability.calls import Read
from immutable.testing.linearizability.history import Operation

_C = TypeVar("_C")
_A = TypeVar("_A")


def with_stale_reads(
    history: Iterable[Operation[_C, _A]], staleness: timedelta
) -> tuple[Operation[_C, _A], ...]:
    """Return the history such that a reading may show what was true a while before.

    "At most so old" means: at some instant from ``staleness`` before the call up to the
    return, the register was as the reading says. Exactly that is checked when the call
    is moved to the earlier time. Writes stay as they are: the contract refuses a write
    that expects an old version, whatever its writer was shown.
    """
    earlier_s = staleness.total_seconds()
    return tuple(
        attrs.evolve(operation, called=operation.called - earlier_s)
        if isinstance(operation.call, Read)
        else operation
        for operation in history
    )


def with_late_effects(
    history: Iterable[Operation[_C, _A]], late: timedelta
) -> tuple[Operation[_C, _A], ...]:
    """Return the history such that an unanswered call lands soon or never.

    Without this it may land at any time. Call it only where no caller was stopped
    between the recorded call and the moment it really sent something.
    """
    late_s = late.total_seconds()
    return tuple(
        attrs.evolve(operation, returned=operation.called + late_s)
        if operation.answer is None and operation.returned is None
        else operation
        for operation in history
    )
