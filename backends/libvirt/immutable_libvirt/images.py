"""The image side of the backend: found by id, built from recipes, booted directly."""

import re
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path

import attrs

from immutable.errors import UnknownImage
from immutable.images.recipe import Recipe
from immutable.model import Digest, Image, ImageId, digest_of
from immutable_libvirt.bootable import BootFiles
from immutable_libvirt.building import collecting
from immutable_libvirt.building.base import codename_of
from immutable_libvirt.building.boot import boot_key, build_kernel
from immutable_libvirt.building.kernel import COMMAND_LINE
from immutable_libvirt.building.layers import Builder, Built, Step, steps_of
from immutable_libvirt.building.manifest import SCHEMA, Manifest, load
from immutable_libvirt.building.needs import check_needs
from immutable_libvirt.building.process import Output
from immutable_libvirt.durable import read
from immutable_libvirt.pool import Pool

_IMAGE_ID = re.compile(r"img-[0-9a-f]{16}")


def boot_files(pool: Path, image: ImageId) -> BootFiles:
    """Return the files that an image boots from.

    Raises:
        UnknownImage: the pool has no such image.
    """
    manifest = _load(Pool(pool), image)
    if manifest is None:
        raise UnknownImage(
            f"the pool {pool} has no image {image}",
            hint="build it, or name the pool that it is in with ?pool=/path",
            operation="images.boot_files",
            resource=image,
            backend="libvirt",
        )
    kernel = Pool(pool).kernel(manifest.kernel)
    return BootFiles(
        kernel=kernel / "vmlinuz",
        initrd=kernel / "initrd",
        layers=tuple(Pool(pool).layer(layer) for layer in manifest.layers),
        command_line=manifest.command_line,
    )


@attrs.frozen(kw_only=True)
class LibvirtImages:
    """Images in a pool: `immutable.protocols.Images`."""

    pool: Path

    def find(self, image: ImageId) -> Image | None:
        """Return the image with exactly this id, or None when there is none."""
        manifest = _load(Pool(self.pool), image)
        return manifest.image if manifest else None

    def build(self, recipe: Recipe, *, on_output: Callable[[str], None]) -> Image:
        """Build a recipe and return its image; one that exists is returned unbuilt.

        Only layers from the first change on are built. What is downloaded stays in the
        pool for the next build.

        Raises:
            InvalidInput: the recipe's base, or its number of layers, is beyond us.
            MissingFiles: the recipe names files that are not there.
            NotEnough: the image would not fit; checked before building.
            PermissionDenied: the pool cannot be written, or the caller is not root.
            Unavailable: a tool is missing, or the mirrors cannot be reached.
            BuildFailed: a layer failed; the message holds its last lines.
        """
        codename, chain, pool = (
            codename_of(recipe.origin),
            recipe.digests(),
            Pool(self.pool),
        )
        index = pool.build(_index(codename, recipe.digest))
        found = _indexed(pool, index)
        if found:
            return found.image
        steps = steps_of(recipe, chain)
        check_needs(pool, steps, boot_key(codename))
        with pool.lock("pool", shared=True):
            manifest = _made(pool, recipe, steps, on_output)
            _record(pool, manifest, index)
        return manifest.image

    def delete(self, image: ImageId) -> None:
        """Delete an image and what only it uses; one that is already gone is no error.

        Bases and kernels stay: they are what takes long to make.
        """
        if _IMAGE_ID.fullmatch(image) and self.pool.is_dir():
            collecting.delete(Pool(self.pool), image)


def _load(pool: Pool, image: ImageId) -> Manifest | None:
    return load(pool, image) if _IMAGE_ID.fullmatch(image) else None


def _index(codename: str, recipe: Digest) -> Digest:
    """Return the digest of all that leads to an image, this library's part included."""
    return digest_of("libvirt recipe", boot_key(codename), COMMAND_LINE, recipe)


def _indexed(pool: Pool, index: Path) -> Manifest | None:
    note = read(index)
    return _load(pool, ImageId(str(note["image"]))) if note else None


def _made(
    pool: Pool, recipe: Recipe, steps: tuple[Step, ...], on_output: Output
) -> Manifest:
    codename = codename_of(recipe.origin)
    kernel = build_kernel(pool, codename, on_output=on_output)
    builder = Builder(pool=pool, codename=codename, on_output=on_output)
    layers = [builder.build(step, steps[:i]) for i, step in enumerate(steps)]
    return Manifest(
        kernel=kernel,
        layers=tuple(layer.content for layer in layers),
        command_line=f"{COMMAND_LINE} immutable.layers={len(layers)}",
        recipe=recipe.digest,
        origin=str(recipe.origin),
        size_bytes=_size(pool, kernel, layers),
        built_at=datetime.now(UTC),
    )


def _size(pool: Pool, kernel: Digest, layers: list[Built]) -> int:
    boot = sum(path.stat().st_size for path in pool.kernel(kernel).iterdir())
    return boot + sum(layer.size_bytes for layer in layers)


def _record(pool: Pool, manifest: Manifest, index: Path) -> None:
    """Publish the manifest, then the index: the note makes the image count as built."""
    if load(pool, manifest.id) is None:
        pool.note(pool.image(manifest.id), manifest.to_document())
    pool.note(index, {"image": manifest.id, "schema": SCHEMA})
