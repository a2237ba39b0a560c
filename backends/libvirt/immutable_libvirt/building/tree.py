"""Trees of files that become layers: walking, finding and cleaning them."""

import os
import shutil
import stat
from collections.abc import Iterator, Sequence
from pathlib import Path, PurePosixPath

_OVERLAY = "trusted.overlay."
_OPAQUE = "trusted.overlay.opaque"


def clean(root: Path, leftovers: Sequence[str]) -> None:
    """Remove what an installation leaves behind that is of no use in an image.

    Args:
        root: the tree; an overlay's upper directory, or a whole root.
        leftovers: patterns relative to it.
    """
    for pattern in leftovers:
        for path in root.glob(pattern):
            if path.is_dir() and not path.is_symlink():
                shutil.rmtree(path)
            else:
                path.unlink()
    for path in (root, *walk(root)):
        _forget_the_host(path)


def _forget_the_host(path: Path) -> None:
    """Drop what differs by the kernel that kept a difference, and not by what was done.

    Those are overlayfs's notes on where a file came from, which name inodes, and whether
    whiteouts are one file with many names: by kernel, and by how something was deleted.
    """
    if _is_whiteout(path) and path.lstat().st_nlink > 1:
        path.unlink()
        os.mknod(path, stat.S_IFCHR, os.makedev(0, 0))
    for name in os.listxattr(path, follow_symlinks=False):
        if name.startswith(_OVERLAY) and name != _OPAQUE:
            os.removexattr(path, name, follow_symlinks=False)


def walk(root: Path) -> Iterator[Path]:
    """Yield everything below a directory, parents first, in order of name."""
    for path in sorted(root.iterdir()):
        yield path
        if path.is_dir() and not path.is_symlink():
            yield from walk(path)


def find(trees: tuple[Path, ...], path: PurePosixPath) -> Path | None:
    """Return the path in the uppermost of several trees that has it.

    None when none has it, or when a layer above deleted it.
    """
    relative = path.relative_to("/")
    for tree in trees:
        found = tree / relative
        if os.path.lexists(found):
            return None if _is_whiteout(found) else found
        if _hides(tree, relative):
            return None
    return None


def _hides(tree: Path, relative: PurePosixPath) -> bool:
    """Return whether a tree hides this path of the trees below it."""
    for parent in list(relative.parents)[:-1]:
        path = tree / parent
        if os.path.lexists(path):
            return not path.is_dir() or _is_opaque(path)
    return False


def _is_whiteout(path: Path) -> bool:
    status = path.lstat()
    return stat.S_ISCHR(status.st_mode) and status.st_rdev == 0


def _is_opaque(path: Path) -> bool:
    return _OPAQUE in os.listxattr(path, follow_symlinks=False)
