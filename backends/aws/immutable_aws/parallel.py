"""Readings beside each other, a few at a time, as threads of the caller's own host."""

from collections.abc import Callable, Sequence
from datetime import timedelta
from typing import TypeVar

from immutable import host
from immutable.errors import Unavailable
from immutable.workers import Raised, Returned

AT_ONCE = 8
"""Fewer than the connections that botocore keeps open."""
_WITHIN = timedelta(minutes=2)
_T = TypeVar("_T")


def beside(calls: Sequence[Callable[[], _T]], *, what: str) -> tuple[_T, ...]:
    """Return what calls return, in their order.

    Args:
        calls: may be made in any order, and beside each other.
        what: is read, for the message where one never answers.

    Raises:
        ImmutableError: the first error of any.
    """
    if len(calls) == 1:
        return (calls[0](),)
    found: list[_T] = []
    for at in range(0, len(calls), AT_ONCE):
        for answer in host.current().run(calls[at : at + AT_ONCE], within=_WITHIN):
            if isinstance(answer, Raised):
                raise answer.error
            if not isinstance(answer, Returned):
                raise Unavailable(f"{what} does not answer", retryable=True)
            found.append(answer.value)
    return tuple(found)
