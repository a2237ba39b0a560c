"""From a recipe to what is known of its image, and from that to the image once more."""

from pathlib import Path

import attrs

from immutable.images.layers import Files, Layer, Unit
from immutable.images.origins import Existing, Origin
from immutable.images.recipe import Recipe
from immutable.images.record import BuiltLayer, Difference, ImageRecord, Rebuilt, Tool
from immutable.model import Image, digest_of
from immutable.testing.backend import image_digest, image_name
from immutable.testing.memory.archive import Archive
from immutable.testing.memory.pinning import lock_of, spelled
from immutable.testing.scheduling import EPOCH

KERNEL = digest_of("memory kernel")
_BUILDER = "memory"


def record_of(recipe: Recipe, archive: Archive) -> ImageRecord:
    """Return what is known of a recipe's image, its local files kept; it is built at once.

    Raises:
        MissingFiles: the recipe names files that are not there.
        BuildFailed: a file changed while it was read.
    """
    origin, layers = archive.take_in(recipe.origin, recipe.layers)
    sizes = [0, *(_size_bytes(layer, archive) for layer in layers)]
    words = [_spelled(origin), *map(spelled, layers)]
    built = tuple(
        BuiltLayer(what=what, recipe=digest, content=digest, size_bytes=size)
        for what, digest, size in zip(words, recipe.digests(), sizes, strict=True)
    )
    return ImageRecord(
        image=_image(recipe, sum(sizes)),
        origin=origin,
        layers=layers,
        lock=lock_of(recipe),
        kernel=KERNEL,
        built=built,
        tools=(Tool(name="memory", version="1"),),
        builder=_BUILDER,
        built_at=EPOCH,
    )


def recipe_from(record: ImageRecord, archive: Archive, into: Path) -> Recipe:
    """Return the recipe of a record, its files written into a directory."""
    origin, layers = archive.put_out(record.origin, record.layers, into)
    recipe = Recipe(origin=origin, layers=layers)
    if recipe.digest == record.image.recipe:
        return recipe
    return recipe.locked(record.lock)


def made_again(record: ImageRecord, archive: Archive, into: Path) -> Rebuilt:
    """Return what comes of a record and of what is kept, written into a directory."""
    found = record_of(recipe_from(record, archive, into), archive)
    differences = tuple(
        Difference(layer=old.what, expected=old.content, found=new.content)
        for old, new in zip(record.built, found.built, strict=True)
        if old.content != new.content
    )
    image = attrs.evolve(record.image, digest=found.image.digest)
    return Rebuilt(record=record, image=image, differences=differences)


def _image(recipe: Recipe, size_bytes: int) -> Image:
    name = image_name(recipe)
    origin = recipe.origin
    return Image(
        id=name,
        digest=image_digest(name),
        backend=_BUILDER,
        size_bytes=size_bytes,
        recipe=recipe.digest,
        parent=origin.image if isinstance(origin, Existing) else None,
    )


def _size_bytes(layer: Layer, archive: Archive) -> int:
    if isinstance(layer, Files | Unit):
        return archive.size_bytes(layer.source)
    return 0


def _spelled(origin: Origin) -> str:
    if isinstance(origin, str):
        return f"base {origin}"
    return origin.image if isinstance(origin, Existing) else f"packer {origin.template}"
