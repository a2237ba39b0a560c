"""What an image consists of, as it is kept in the pool."""

from collections.abc import Mapping
from datetime import UTC, datetime
from typing import cast

import attrs

from immutable.model import Digest, Image, ImageId, digest_of
from immutable_libvirt.building.disk import WholeDisk, format_of
from immutable_libvirt.building.intact import (
    disk_is_intact,
    kernel_is_intact,
    layer_is_intact,
)
from immutable_libvirt.durable import read
from immutable_libvirt.pool import Pool

SCHEMA = 2
_ID_DIGITS = 16


@attrs.frozen(kw_only=True)
class Manifest:
    """A kernel, layers (the lowest first) and how they are booted.

    ``trees`` are the names of the unpacked layers, in the same order. ``distribution``
    is what the lowest one is, and ``parent`` the image that this one is layered upon.
    ``disk`` is a whole disk, which the firmware boots: there is then nothing else.
    """

    kernel: Digest
    layers: tuple[Digest, ...]
    trees: tuple[Digest, ...]
    command_line: str
    recipe: Digest
    distribution: str
    parent: ImageId | None = None
    size_bytes: int
    built_at: datetime
    disk: WholeDisk | None = None

    @property
    def digest(self) -> Digest:
        """Return the digest over every byte that an instance can boot from."""
        if self.disk:
            return digest_of("libvirt disk", self.disk.format, self.disk.content)
        return digest_of("libvirt image", self.kernel, self.layers)

    @property
    def id(self) -> ImageId:
        """Return the name that follows from the digest."""
        return ImageId(f"img-{self.digest[:_ID_DIGITS]}")

    @property
    def image(self) -> Image:
        """Return the image as the rest of the library knows it."""
        return Image(
            id=self.id,
            digest=self.digest,
            backend="libvirt",
            size_bytes=self.size_bytes,
            recipe=self.recipe,
            parent=self.parent,
            built_at=self.built_at,
        )

    def is_whole(self, pool: Pool) -> bool:
        """Return whether everything that it names is there, and is what it was."""
        if self.disk:
            return disk_is_intact(pool, self.disk.content, self.disk.format)
        layers = all(layer_is_intact(pool, layer) for layer in self.layers)
        return layers and kernel_is_intact(pool, self.kernel)

    def to_document(self) -> dict[str, object]:
        """Return the manifest as JSON values."""
        return {
            "built_at": self.built_at.isoformat(),
            "command_line": self.command_line,
            "digest": self.digest,
            "disk": attrs.asdict(self.disk) if self.disk else None,
            "distribution": self.distribution,
            "id": self.id,
            "kernel": self.kernel,
            "layers": list(self.layers),
            "parent": self.parent,
            "recipe": self.recipe,
            "schema": SCHEMA,
            "size_bytes": self.size_bytes,
            "trees": list(self.trees),
        }


def load(pool: Pool, image: ImageId) -> Manifest | None:
    """Return an image's manifest; None when it, or a part of the image, is gone."""
    manifest = load_known(pool, image)
    return manifest if manifest and manifest.is_whole(pool) else None


def load_known(pool: Pool, image: ImageId) -> Manifest | None:
    """Return an image's manifest, whether or not all parts of the image are there."""
    document = read(pool.image(image))
    if document is None or document.get("schema") != SCHEMA:
        return None
    manifest = _from_document(document)
    return manifest if manifest.id == image else None


def load_all(pool: Pool) -> tuple[Manifest, ...]:
    """Return the manifests of all images that are whole, the oldest first."""
    names = sorted((pool.root / "images").glob("*.json"))
    found = [load(pool, ImageId(path.stem)) for path in names]
    whole = [manifest for manifest in found if manifest]
    return tuple(sorted(whole, key=lambda manifest: manifest.built_at))


def _from_document(document: Mapping[str, object]) -> Manifest:
    return Manifest(
        kernel=Digest(str(document["kernel"])),
        layers=_digests(document["layers"]),
        trees=_digests(document["trees"]),
        command_line=str(document["command_line"]),
        recipe=Digest(str(document["recipe"])),
        distribution=str(document["distribution"]),
        parent=ImageId(str(document["parent"])) if document["parent"] else None,
        size_bytes=int(str(document["size_bytes"])),
        built_at=datetime.fromisoformat(str(document["built_at"])).astimezone(UTC),
        disk=_disk(cast("Mapping[str, object] | None", document.get("disk"))),
    )


def _disk(fields: Mapping[str, object] | None) -> WholeDisk | None:
    if fields is None:
        return None
    return WholeDisk(
        content=Digest(str(fields["content"])),
        format=format_of(str(fields["format"])),
        virtual_bytes=int(str(fields["virtual_bytes"])),
    )


def _digests(values: object) -> tuple[Digest, ...]:
    return tuple(Digest(str(value)) for value in cast("list[str]", values))
