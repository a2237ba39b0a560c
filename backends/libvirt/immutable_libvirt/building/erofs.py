"""Turning a tree into a layer: an erofs image, equal for equal trees."""

import hashlib
import os
from pathlib import Path

from immutable.model import Digest
from immutable_libvirt.building.process import EPOCH, Output, run
from immutable_libvirt.building.tree import walk

_NO_UUID = "00000000-0000-0000-0000-000000000000"
_BLOCK = 1 << 20


def make(tree: Path, image: Path, *, on_output: Output) -> None:
    """Write a tree, its modes, owners, links, whiteouts and attributes to an image.

    Not compressed: unpacking costs each boot more than reading does, and all instances
    share the host's page cache.

    Raises:
        BuildFailed: mkfs.erofs failed.
    """
    for path in (tree, *walk(tree)):
        # mkfs.erofs -T leaves times alone that lie before the one it is given.
        os.utime(path, (EPOCH, EPOCH), follow_symlinks=False)
    run(
        ["mkfs.erofs", "--quiet", f"-T{EPOCH}", f"-U{_NO_UUID}", image, tree],
        what="mkfs.erofs",
        on_output=on_output,
    )
    image.chmod(0o444)  # its directory is what keeps others from finding it


def content_digest(path: Path) -> Digest:
    """Return the SHA-256 of a file."""
    hasher = hashlib.sha256()
    with path.open("rb") as stream:
        while block := stream.read(_BLOCK):
            hasher.update(block)
    return Digest(hasher.hexdigest())
