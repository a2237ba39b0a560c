"""What was worked out lately, for whoever asks again: bounded, and forgotten at any time."""

from collections.abc import Hashable
from typing import Generic, TypeVar

_K = TypeVar("_K", bound=Hashable)
_V = TypeVar("_V")


class Lately(Generic[_K, _V]):
    """Keeps so many answers; when they are more, it begins anew."""

    def __init__(self, limit: int) -> None:
        """Keep nothing yet."""
        self._limit = limit
        self._kept: dict[_K, _V] = {}

    def get(self, key: _K) -> _V | None:
        """Return what was kept under a key, if it still is."""
        return self._kept.get(key)

    def keep(self, key: _K, value: _V) -> _V:
        """Keep a value, and return it."""
        if len(self._kept) >= self._limit:
            self._kept.clear()
        self._kept[key] = value
        return value
