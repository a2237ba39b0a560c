"""Images of one whole disk: made by a Packer template, or told of by its manifest."""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path

import attrs

from immutable.errors import InvalidInput, PermissionDenied, Unsupported
from immutable.images.lock import Lock
from immutable.images.origins import Packer
from immutable.images.recipe import Recipe
from immutable.images.record import Difference, ImageRecord, Rebuilt, Tool
from immutable.model import Digest, digest_of
from immutable_libvirt.acceleration import decide_alone
from immutable_libvirt.building import packer
from immutable_libvirt.building.disk import Taking, WholeDisk
from immutable_libvirt.building.keeping import recipe_from
from immutable_libvirt.building.layers import Built
from immutable_libvirt.building.making import Made, Workshop
from immutable_libvirt.building.manifest import Manifest
from immutable_libvirt.building.process import require
from immutable_libvirt.pool import Pool

ADOPTED = "adopted from a manifest of Packer's"
_PROGRAMS = ("cp", "prlimit", "qemu-img", "unshare")


def check(recipe: Recipe) -> None:
    """Check that a recipe that begins from a Packer template can be built.

    Raises:
        Unsupported: it has layers, which a whole disk cannot have.
        PermissionDenied: the caller is not root.
        Unavailable: a program is not installed.
    """
    if recipe.layers:
        raise Unsupported(
            "the libvirt backend puts no layers upon what Packer makes",
            hint="let the template's own provisioners do it",
            operation="images.build",
            backend="libvirt",
        )
    _require_root()
    require("packer", "qemu-system-x86_64", *_PROGRAMS)


def packed(workshop: Workshop, recipe: Recipe, origin: Packer) -> Made:
    """Run a template and keep the disk that it makes, as an image.

    Whoever calls holds what excludes other builds of the recipe.

    Args:
        workshop: where; its directories are made.
        recipe: what the image is known by.
        origin: the template, the recipe's origin.

    Raises:
        InvalidInput: the template does not make one disk that stands for itself.
        MissingFiles: the template is not there.
        BuildFailed: Packer failed; holds its last lines.
        NotEnough: the pool has no room for the disk, or it is larger than is allowed.
    """
    what = f"packer {origin.template}"
    with _taking(workshop) as taking:
        made = packer.build(
            origin,
            expected=recipe.keys()[0],
            accelerator=decide_alone(workshop.config),
            cache=workshop.pool.cache("packer"),
            work=taking.work,
            on_output=workshop.on_output,
        )
        disk = taking.take(made.path, made.format)
    tools = (packer.version(),)
    return _made(workshop.pool, disk, recipe.digest, what=what, tools=tools)


def adopted(workshop: Workshop, path: Path) -> Made:
    """Keep the disk that a manifest of Packer's tells of, as an image.

    Raises:
        InvalidInput: it is no such manifest, or the disk is not taken.
        NotEnough: the pool has no room for the disk, or it is larger than is allowed.
        PermissionDenied: the caller is not root.
        Unavailable: a program is not installed.
    """
    _require_root()
    require(*_PROGRAMS)
    found = packer.artefact_of(path, path.parent)
    with _taking(workshop) as taking:
        disk = taking.take(found.path, found.format)
    recipe = digest_of("packer manifest", disk.format, disk.content)
    return _made(workshop.pool, disk, recipe, what=ADOPTED, tools=())


def packed_again(workshop: Workshop, record: ImageRecord, directory: Path) -> Rebuilt:
    """Run the template of a record again, and say how the disk differs.

    A disk that a machine wrote does: what comes of it is not kept.

    Args:
        workshop: where the image was made; it is made again in a pool of its own.
        record: of an image of one whole disk.
        directory: an empty one, for pool and template.

    Raises:
        Unsupported: it was adopted, and nothing is known of how it was made.
        MissingFiles: the template is kept nowhere any more.
        BuildFailed: Packer failed.
    """
    if not isinstance(record.origin, Packer):
        raise Unsupported(
            f"{record.image.id} was adopted: nothing is known of how it was made",
            hint="adopt it again from its manifest, if Packer's disk is still there",
            operation="images.rebuild",
            resource=record.image.id,
            backend="libvirt",
        )
    sources = directory / "sources"
    sources.mkdir()
    recipe = recipe_from(record, workshop.archive, sources)
    aside = attrs.evolve(workshop, pool=Pool(directory / "pool"))
    aside.pool.prepare()
    origin = recipe.origin
    if not isinstance(origin, Packer):
        raise InvalidInput(f"the record of {record.image.id} is damaged")
    check(recipe)
    made = packed(aside, recipe, origin)
    return Rebuilt(
        record=record,
        image=made.manifest.image,
        differences=tuple(_differences(record, made)),
    )


def is_whole_disk(record: ImageRecord) -> bool:
    """Return whether an image is one disk: it then has no kernel beside it."""
    return not record.kernel


def _differences(record: ImageRecord, made: Made) -> Iterator[Difference]:
    for before, after in zip(record.built, made.layers, strict=True):
        if before.content != after.content:
            yield Difference(
                layer=before.what, expected=before.content, found=after.content
            )


@contextmanager
def _taking(workshop: Workshop) -> Iterator[Taking]:
    with workshop.pool.workspace() as work:
        yield Taking(
            pool=workshop.pool,
            work=work,
            limit_bytes=workshop.limit_bytes,
            on_output=workshop.on_output,
        )


def _made(
    pool: Pool, disk: WholeDisk, recipe: Digest, *, what: str, tools: tuple[Tool, ...]
) -> Made:
    size_bytes = pool.disk(disk.content, disk.format).stat().st_size
    built = Built(
        what=what,
        step=recipe,
        name=disk.content,
        content=disk.content,
        size_bytes=size_bytes,
        tools=tools,
    )
    manifest = Manifest(
        kernel=Digest(""),
        layers=(),
        trees=(),
        command_line="",
        recipe=recipe,
        distribution="",
        size_bytes=size_bytes,
        built_at=datetime.now(UTC),
        disk=disk,
    )
    return Made(manifest=manifest, lock=Lock(), layers=(built,))


def _require_root() -> None:
    if os.geteuid() != 0:
        raise PermissionDenied(
            "only root can build images on this backend",
            hint="build with libvirt:///system as root, then deploy by the image's id",
            operation="images.build",
            backend="libvirt",
        )
