"""A value and its past, so that readings can be stale and oracles can look back."""

from bisect import bisect_right
from typing import Generic, TypeVar

_T = TypeVar("_T")
_KEPT = 4096


class Past(Generic[_T]):
    """A value that never changes in place: each change is a new value with its time."""

    def __init__(self, value: _T) -> None:
        self._times_us = [0]
        self._values = [value]

    @property
    def now(self) -> _T:
        """Return the value as it is."""
        return self._values[-1]

    def at(self, when_us: int) -> _T:
        """Return the value as it was; the oldest that is kept, for any time before."""
        return self._values[max(bisect_right(self._times_us, when_us) - 1, 0)]

    def put(self, when_us: int, value: _T) -> None:
        """Change the value. Times never run backwards."""
        self._times_us.append(when_us)
        self._values.append(value)
        if len(self._times_us) > _KEPT:
            del self._times_us[: _KEPT // 2], self._values[: _KEPT // 2]

    def changes(self, from_us: int, until_us: int) -> list[int]:
        """Return when the value changed, both ends included."""
        first = bisect_right(self._times_us, from_us - 1)
        return self._times_us[first : bisect_right(self._times_us, until_us)]
