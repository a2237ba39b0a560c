"""Deleting an image, and whatever no other image uses."""

import shutil
from pathlib import Path

from immutable.model import Digest, ImageId
from immutable_libvirt.building.manifest import load
from immutable_libvirt.durable import read
from immutable_libvirt.pool import Pool


def delete(pool: Pool, image: ImageId) -> None:
    """Delete an image that may be there; nobody builds meanwhile."""
    pool.prepare()
    with pool.lock("pool"):
        manifest = load(pool, image)
        pool.image(image).unlink(missing_ok=True)
        if manifest:
            _collect(pool, set(manifest.layers) - _used(pool))


def _used(pool: Pool) -> set[Digest]:
    found = [
        load(pool, ImageId(p.stem))
        for p in pool.image(ImageId("x")).parent.glob("*.json")
    ]
    return {layer for manifest in found if manifest for layer in manifest.layers}


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
    for content in unused:
        pool.layer(content).unlink(missing_ok=True)
        pool.seen(content).unlink(missing_ok=True)


def _notes(pool: Pool) -> list[Path]:
    return sorted(pool.build(Digest("x")).parent.glob("*.json"))
