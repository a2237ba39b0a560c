"""moto's way of finding the members of an answer, with what it finds anew remembered.

A description of 300 instances asks for 40,000 attributes by up to six names each, and compares
each with every path that has a transformation. Which names there are depends on the kinds of
the object and of the member alone.
"""

import functools
from collections.abc import Callable, Iterator, Mapping
from typing import Protocol

import moto.core.responses
from moto.core.constants import MISSING
from moto.core.serialize import (
    AttributePicker,
    AttributePickerContext,
    XFormedAttributePicker,
)
from moto.core.utils import get_value, method_names_from_class

Transform = Callable[[object], object]


class Picker(Protocol):
    """What moto's picker has that is used here."""

    response_transformers: Mapping[str, Transform]

    def get_possible_keys(self, context: AttributePickerContext) -> Iterator[str]:
        """Return the names by which an attribute may be found."""


def remember() -> None:
    """Have moto remember names, and a class's methods, which it lists for each request."""
    cached = functools.cache(method_names_from_class)
    setattr(moto.core.responses, "method_names_from_class", cached)  # noqa: B010 - moto exports no such name
    original = XFormedAttributePicker.get_possible_keys
    names: dict[object, tuple[str, ...]] = {}

    def get_possible_keys(
        self: XFormedAttributePicker, context: AttributePickerContext
    ) -> tuple[str, ...]:
        kind = type(context.obj), context.key, context.shape
        if kind not in names:
            names[kind] = tuple(dict.fromkeys(original(self, context)))
        return names[kind]

    setattr(XFormedAttributePicker, "get_possible_keys", get_possible_keys)  # noqa: B010 - mypy lets no method be assigned
    setattr(AttributePicker, "__call__", _pick)  # noqa: B010 - as above


def _pick(self: Picker, context: AttributePickerContext) -> object:
    """Find a member's value as moto does, looking at those transformations that can fit."""
    value: object = None
    for name in self.get_possible_keys(context):
        found: object = get_value(context.obj, name, MISSING)
        if found is not MISSING:
            value = found
            break
    for path, transform in _ending_with(self, context.key):
        if f"{context.key_path}.{context.key}".endswith(path):
            return transform(value)
    return value


def _ending_with(picker: Picker, key: str) -> list[tuple[str, Transform]]:
    paths = picker.response_transformers
    known = _ENDINGS.get(id(paths))
    if known is None or known[0] is not paths or known[1] != len(paths):
        by_end: dict[str, list[tuple[str, Transform]]] = {}
        for path, transform in paths.items():
            end = path.rpartition(".")[2]
            by_end.setdefault(end, []).append((path, transform))
        known = _ENDINGS[id(paths)] = paths, len(paths), by_end
    return known[2].get(key, [])


_Paths = Mapping[str, Transform]
_ENDINGS: dict[int, tuple[_Paths, int, dict[str, list[tuple[str, Transform]]]]] = {}
