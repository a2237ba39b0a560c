"""Whether a lock holds all that its recipe needs, so that nothing is looked up anew."""

from collections.abc import Iterator

from immutable.errors import InvalidInput
from immutable.images.layers import Layer, Packages, Python
from immutable.images.lock import Lock
from immutable.images.origins import digest_of_origin
from immutable.images.recipe import Recipe
from immutable.model import Digest


def check_locked(recipe: Recipe) -> None:
    """Refuse a recipe that is bound to a lock of another one, or of what it was before.

    A recipe without a lock is not meant: its build finds out what it is made of.

    Raises:
        InvalidInput: the lock has nothing of a layer that needs packages; names it.
        MissingFiles: a source below such a layer is not there.
    """
    if recipe.pins is None:
        return
    for what, key in _needing(recipe):
        if recipe.pins.find(key) is None:
            _refuse(what, recipe.pins)


def _refuse(what: str, lock: Lock) -> None:
    known = ", ".join(entry.what for entry in lock.entries) or "nothing"
    raise InvalidInput(
        f"the lock has nothing of {what!r}, as it is now: it has {known}",
        hint="the layer, or what lies below it, is another one; look up only what is"
        " missing: recipe.locked(recipe.lock(backend=…))",
    )


def _needing(recipe: Recipe) -> Iterator[tuple[str, Digest]]:
    """Yield what needs packages, in words, with the key that it has in a lock."""
    key = digest_of_origin(recipe.origin)
    if isinstance(recipe.origin, str):
        yield f"base {recipe.origin}", key
    wanting = [at for at, layer in enumerate(recipe.layers) if _needs_packages(layer)]
    # what lies above the last of them is not read: it can be large
    for layer in recipe.layers[: max(wanting, default=-1) + 1]:
        key = layer.digest(key)
        if _needs_packages(layer):
            yield _described(layer), key


def _needs_packages(layer: Layer) -> bool:
    return isinstance(layer, Packages | Python)


def _described(layer: Layer) -> str:
    match layer:
        case Packages(names=names):
            return " ".join(("packages", *names))
        case Python(version=version):
            return f"python {version}"
        case _:
            return type(layer).__name__.lower()
