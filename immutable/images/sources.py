"""The local files that a recipe names: as a list, and in another place. Pure."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import cast

import attrs

from immutable.errors import InvalidInput
from immutable.images.content import Entry
from immutable.images.layers import (
    Ansible,
    Cfengine,
    Chef,
    Files,
    Layer,
    Puppet,
    Python,
    Unit,
)
from immutable.images.origins import Origin, Packer

Moved = Callable[[Path, tuple[str, ...]], Path]
"""From a source and what is left out of it to where it is instead."""


def layer_elsewhere(layer: Layer, moved: Moved) -> Layer:
    """Return a layer with its source in another place; itself where it has none."""
    match layer:
        case Files():
            return attrs.evolve(layer, source=moved(layer.source, layer.exclude))
        case Unit() | Ansible() | Puppet() | Cfengine() | Chef():
            return attrs.evolve(layer, source=moved(layer.source, ()))
        case Python(requirements=Path() as requirements):
            return attrs.evolve(layer, requirements=moved(requirements, ()))
        case _:
            return layer


def origin_elsewhere(origin: Origin, moved: Moved) -> Origin:
    """Return an origin with its source in another place; itself where it has none."""
    if isinstance(origin, Packer):
        return attrs.evolve(origin, source=moved(origin.source, ()))
    return origin


def listing(entries: tuple[Entry, ...]) -> bytes:
    """Return an inventory as a document, the same for equal inventories."""
    rows = [[e.name, e.kind, e.mode, e.content] for e in entries]
    return json.dumps(rows, separators=(",", ":")).encode()


def listed(document: bytes) -> tuple[Entry, ...]:
    """Return the inventory that `listing` wrote.

    Raises:
        InvalidInput: it is something else.
    """
    try:
        rows = cast("list[list[object]]", json.loads(document))
        return tuple(_entry(*row) for row in rows)
    except (ValueError, TypeError, RecursionError) as exc:
        raise InvalidInput("this is no list of files", hint="build anew") from exc


def _entry(name: object, kind: object, mode: object, content: object) -> Entry:
    if kind not in {"directory", "file", "link"}:
        raise ValueError(kind)
    if str(name).startswith("/") or ".." in Path(str(name)).parts:
        raise ValueError(name)
    return Entry(
        name=str(name),
        kind=kind,
        mode=int(str(mode)),
        content=str(content),
    )
