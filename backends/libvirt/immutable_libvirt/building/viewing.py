"""The root of an image that is not booted, as a directory to read."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from immutable_libvirt.building.manifest import Manifest
from immutable_libvirt.building.process import Output, capture
from immutable_libvirt.building.trees import require_tree
from immutable_libvirt.pool import Pool


@contextmanager
def viewed(pool: Pool, manifest: Manifest, *, on_output: Output) -> Iterator[Path]:
    """Mount the layers of an image as one tree that nobody can write to, for a while.

    The mount is in a workspace of the pool, so that one whose reader was killed goes with
    the next sweep. Deleting images waits until it is over.
    """
    with pool.lock("pool", shared=True), pool.workspace() as work:
        for content, tree in zip(manifest.layers, manifest.trees, strict=True):
            require_tree(pool, content, tree, on_output=on_output)
        root, empty = work / "root", work / "empty"
        root.mkdir()
        empty.mkdir()  # overlayfs wants two layers, and images may have one
        below = [pool.tree(tree) for tree in reversed(manifest.trees)]
        lower = ":".join(str(path) for path in (*below, empty))
        options = f"ro,nodev,nosuid,lowerdir={lower}"
        capture(
            ["mount", "-t", "overlay", "-o", options, "overlay", str(root)],
            variables={},
        )
        yield root
