"""Stands between the caller and a part, so that every call can be met on its way."""

import functools
from collections.abc import Callable
from typing import TypeVar, cast

from immutable.protocols import Backend, LedgerStore, Switch

_T = TypeVar("_T")
Way = Callable[[str, Callable[[], object]], object]
"""Gets a call's name and what makes the call; returns what the caller gets."""
_PARTS = frozenset({"images", "fleets", "logs"})


class Passage:
    """Anything, with its calls going by a way."""

    def __init__(self, inner: object, label: str, way: Way) -> None:
        self._inner = inner
        self._label = label
        self._way = way

    def __getattr__(self, name: str) -> object:
        """Return the inner attribute; a method that goes by the way."""
        value = getattr(self._inner, name)
        if name in _PARTS:
            return Passage(value, name, self._way)
        if not callable(value):
            return value
        return _method(value, f"{self._label}.{name}", self._way)


def _method(
    method: Callable[..., object], name: str, way: Way
) -> Callable[..., object]:
    @functools.wraps(method)
    def call(*args: object, **options: object) -> object:
        return way(name, functools.partial(method, *args, **options))

    return call


def by_way(part: _T, label: str, way: Way) -> _T:
    """Return the part, with its calls going by a way."""
    return cast("_T", Passage(part, label, way))


def backend_by(backend: Backend, way: Way) -> Backend:
    """Return the backend, with the calls of all its parts going by a way."""
    return by_way(backend, "backend", way)


def switch_by(switch: Switch, way: Way) -> Switch:
    """Return the switch, with its calls going by a way."""
    return by_way(switch, "switch", way)


def ledger_by(store: LedgerStore, way: Way) -> LedgerStore:
    """Return the store, with its calls going by a way."""
    return by_way(store, "ledger", way)
