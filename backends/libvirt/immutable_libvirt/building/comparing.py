"""What differs between two trees that ought to be one."""

import hashlib
import os
import stat
from pathlib import Path

from immutable_libvirt.building.tree import walk

_BLOCK = 1 << 20


def differing(one: Path, other: Path) -> tuple[str, ...]:
    """Return the paths that only one of two trees has, or that differ in them.

    Modes, owners, contents, links, devices and attributes count; times do not.
    """
    left, right = _names(one), _names(other)
    both = (name for name in left & right if _form(one / name) != _form(other / name))
    return tuple(f"/{name}" for name in sorted({*(left ^ right), *both}))


def _names(root: Path) -> set[Path]:
    return {path.relative_to(root) for path in walk(root)}


def _form(path: Path) -> tuple[object, ...]:
    found = path.lstat()
    attributes = {
        name: os.getxattr(path, name, follow_symlinks=False)
        for name in os.listxattr(path, follow_symlinks=False)
    }
    owner, kind = (found.st_uid, found.st_gid), stat.S_IFMT(found.st_mode)
    return (found.st_mode, owner, attributes, _content(path, kind, found.st_rdev))


def _content(path: Path, kind: int, device: int) -> object:
    if kind == stat.S_IFREG:
        hasher = hashlib.sha256()
        with path.open("rb") as stream:
            while block := stream.read(_BLOCK):
                hasher.update(block)
        return hasher.digest()
    return path.readlink() if kind == stat.S_IFLNK else device
