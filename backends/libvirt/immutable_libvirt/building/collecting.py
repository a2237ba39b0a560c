"""Deleting an image, and whatever no other image uses."""

import shutil
from collections.abc import Iterator
from pathlib import Path

from immutable.model import Digest, ImageId
from immutable_libvirt.building.manifest import Manifest, load_known
from immutable_libvirt.durable import read
from immutable_libvirt.pool import Pool


def delete(pool: Pool, image: ImageId) -> None:
    """Delete an image that may be there; nobody builds meanwhile."""
    pool.prepare()
    with pool.lock("pool"):
        manifest = load_known(pool, image)
        pool.image(image).unlink(missing_ok=True)
        if manifest:
            _collect(pool, set(manifest.layers) - _used(pool))
        _collect_disks(pool)


def _used(pool: Pool) -> set[Digest]:
    return {layer for manifest in _manifests(pool) for layer in manifest.layers}


def _manifests(pool: Pool) -> Iterator[Manifest]:
    for path in pool.image(ImageId("x")).parent.glob("*.json"):
        manifest = load_known(pool, ImageId(path.stem))
        if manifest:
            yield manifest


def sweep(pool: Pool) -> tuple[str, ...]:
    """Remove what builds published that were killed before it counted; name it.

    That is nothing while somebody builds: it may be about to count.
    """
    if not (pool.root / "locks").is_dir():
        return ()
    with pool.free("pool") as alone:
        unknown = sorted(_unknown(pool)) if alone else []
        for path in unknown:
            shutil.rmtree(path) if path.is_dir() else path.unlink()
    return tuple(map(str, unknown))


def _unknown(pool: Pool) -> Iterator[Path]:
    """Yield what no note and no image tells of."""
    notes = {path.stem: read(path) or {} for path in _notes(pool)}
    told = {str(note.get("content")) for note in notes.values()}
    manifests = tuple(_manifests(pool))
    for manifest in manifests:
        told |= {manifest.kernel, *manifest.layers}
    disks = {each.disk.content for each in manifests if each.disk}
    trees = {*notes, *(tree for manifest in manifests for tree in manifest.trees)}
    for directory, names in (
        ("disks", disks),
        ("kernels", told),
        ("layers", told),
        ("seen", told | disks | trees),
        ("trees", trees),
    ):
        for path in (pool.root / directory).glob("*"):
            if path.stem not in names:
                yield path


def _collect_disks(pool: Pool) -> None:
    """Remove whole disks that no image has; a build that was killed may leave one."""
    found = [manifest.disk for manifest in _manifests(pool)]
    used = {pool.disk(disk.content, disk.format) for disk in found if disk}
    for path in pool.disk("x", "raw").parent.iterdir():
        if path not in used:
            path.unlink()
            pool.seen(Digest(path.stem)).unlink(missing_ok=True)


def _collect(pool: Pool, unused: set[Digest]) -> None:
    """Remove layers with their trees and notes, except those of bases."""
    for path in _notes(pool):
        note = read(path) or {}
        if note.get("content") in unused:
            if note.get("is_base"):
                unused.discard(Digest(str(note["content"])))
                continue
            path.unlink(missing_ok=True)
            # What it was resolved to: built again, it is resolved again.
            pool.build(Digest(str(note.get("pins")))).unlink(missing_ok=True)
            shutil.rmtree(pool.tree(Digest(path.stem)), ignore_errors=True)
            pool.seen(Digest(path.stem)).unlink(missing_ok=True)
    for content in unused:
        pool.layer(content).unlink(missing_ok=True)
        pool.seen(content).unlink(missing_ok=True)


def _notes(pool: Pool) -> list[Path]:
    return sorted(pool.build(Digest("x")).parent.glob("*.json"))
