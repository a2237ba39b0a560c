"""How an image was made, in enough detail to make it again and to compare."""

from datetime import UTC, datetime
from typing import Literal

import attrs

from immutable.images.brief import count
from immutable.images.layers import Layer
from immutable.images.lock import Lock
from immutable.images.origins import Origin
from immutable.model import Digest, Image


@attrs.frozen(kw_only=True)
class Tool:
    """A program that took part in a build."""

    name: str
    version: str


@attrs.frozen(kw_only=True)
class Unpinned:
    """Something that the bytes of an image depend on and that no lock can hold.

    ``layer`` says which one, in words; ``reason`` why another build may differ.
    """

    layer: str
    reason: str


@attrs.frozen(kw_only=True)
class BuiltLayer:
    """A layer as it was built: the recipe's digest, and that of the bytes."""

    what: str
    recipe: Digest
    content: Digest
    size_bytes: int


@attrs.frozen(kw_only=True)
class ImageRecord:
    """An image with its recipe, what went into it, and who made it.

    ``origin`` and ``layers`` are the recipe. In the place of each local source is the
    digest of its list of files, under which the backend keeps both; see
    `immutable.images.sources`. What an image was layered upon is ``image.parent``.
    ``built`` are the image's layers, the lowest first; ``kernel`` what it boots.
    """

    image: Image
    origin: Origin
    layers: tuple[Layer, ...]
    lock: Lock
    kernel: Digest
    built: tuple[BuiltLayer, ...]
    tools: tuple[Tool, ...] = ()
    unpinned: tuple[Unpinned, ...] = ()
    builder: str = ""
    built_at: datetime

    def __str__(self) -> str:
        """Return what the image is and how it was made, in a line for each layer."""
        when = f"{self.built_at.astimezone(UTC):%Y-%m-%d %H:%M} UTC"
        pins = count(sum(len(entry.pins) for entry in self.lock.entries), "package")
        lines = [
            f"image {self.image.id}, built {when} by {self.builder or '(unknown)'}"
        ]
        lines += [f"  {layer.what} ({layer.size_bytes} bytes)" for layer in self.built]
        lines += [
            f"  {pins} by hash; {'all' if self.is_reproducible else 'not all'} pinned"
        ]
        lines += [
            f"  not pinned: {each.layer}: {each.reason}" for each in self.unpinned
        ]
        return "\n".join(lines)

    @property
    def is_reproducible(self) -> bool:
        """Return whether all that went into it is pinned."""
        return not self.unpinned


@attrs.frozen(kw_only=True)
class Difference:
    """What a rebuilt image has otherwise: a layer, and the paths that differ in it."""

    layer: str
    expected: Digest
    found: Digest
    paths: tuple[str, ...] = ()


@attrs.frozen(kw_only=True)
class Rebuilt:
    """What came of building a historical image again."""

    record: ImageRecord
    image: Image
    differences: tuple[Difference, ...] = ()

    @property
    def is_identical(self) -> bool:
        """Return whether every byte is the same."""
        return self.image.digest == self.record.image.digest and not self.differences

    def __str__(self) -> str:
        """Return the verdict as people read it, a line for each difference."""
        if self.is_identical:
            return f"{self.record.image.id}: identical"
        lines = [f"{self.record.image.id}: differs"]
        lines += [
            f"  {d.layer}: {', '.join(d.paths) or d.found}" for d in self.differences
        ]
        return "\n".join(lines)


Kept = Literal["proof.json", "provenance.dsse.json", "sbom.json"]
"""Documents that are kept beside a record."""
