"""What packages a recipe would have in ``memory://``: made of their names, for ever the same."""

from collections.abc import Iterator

from immutable.images.layers import Layer, Packages, Python
from immutable.images.lock import BOOT, Entry, Lock, Pin
from immutable.images.recipe import Recipe
from immutable.model import Digest, digest_of

_VERSION = "1.0"


def lock_of(recipe: Recipe) -> Lock:
    """Return the pins of a recipe; those that it has stay as they are.

    Raises:
        MissingFiles: the recipe names files that are not there.
    """
    held = recipe.pins or Lock()
    keys = recipe.keys()
    found = [held.find(BOOT), held.find(keys[0]) or _of_base(recipe, keys[0])]
    for key, layer in zip(keys[1:], recipe.layers, strict=True):
        found.append(held.find(key) or _of_layer(layer, key))
    return Lock(entries=tuple(entry for entry in found if entry is not None))


def spelled(layer: Layer) -> str:
    """Return in words what a layer is."""
    kind = type(layer).__name__.lower()
    return " ".join((kind, *layer.names)) if isinstance(layer, Packages) else kind


def _of_base(recipe: Recipe, key: Digest) -> Entry | None:
    if not isinstance(recipe.origin, str):
        return None
    pins = (_pin("base-files", recipe.origin.partition(":")[2]),)
    return Entry(layer=key, what=f"base {recipe.origin}", pins=pins)


def _of_layer(layer: Layer, key: Digest) -> Entry | None:
    pins = tuple(_pin(name, version) for name, version in _asked(layer))
    return Entry(layer=key, what=spelled(layer), pins=pins) if pins else None


def _asked(layer: Layer) -> Iterator[tuple[str, str]]:
    match layer:
        case Packages():
            for asked in sorted(set(layer.names)):
                name, _, version = asked.partition("=")
                yield name, version or _VERSION
        case Python():
            yield "python3", layer.version
        case _:
            pass


def _pin(name: str, version: str) -> Pin:
    return Pin(
        name=name,
        version=version,
        architecture="all",
        file=f"{name}_{version}_all.deb",
        sha256=digest_of("memory package", name, version),
        size_bytes=0,
        origin="memory",
    )
