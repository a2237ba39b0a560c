"""Comparing two unbooted roots path by path, without following a link.

Contents are compared as they are read, and only where all that is known of two files
leaves it open. Both roots are taken to be still.
"""

import errno
import os
import stat
from collections.abc import Iterator
from pathlib import Path

import attrs

from immutable.images import unbooted
from immutable.images.diffing.changes import Facts, Kind, PathChange

_BLOCK = 1 << 20
_KINDS: dict[int, Kind] = {
    stat.S_IFREG: "file",
    stat.S_IFDIR: "directory",
    stat.S_IFLNK: "link",
    stat.S_IFBLK: "device",
    stat.S_IFCHR: "device",
    stat.S_IFIFO: "pipe",
    stat.S_IFSOCK: "socket",
}
# Notes of the file system that the root is mounted by: they are not in the image.
_OVERLAY = "trusted.overlay."
_NO_ATTRIBUTES = frozenset({errno.ENOTSUP, errno.EOPNOTSUPP, errno.ENODATA})


@attrs.define
class Side:
    """One of the two roots, and what its files add up to so far."""

    root: Path
    size_bytes: int = 0
    _counted: set[tuple[int, int]] = attrs.field(factory=set)

    def count(self, status: os.stat_result) -> None:
        """Add a file's size; one with several names is one file."""
        if not stat.S_ISREG(status.st_mode):
            return
        identity = (status.st_dev, status.st_ino)
        if status.st_nlink > 1 and identity in self._counted:
            return
        self._counted.add(identity)
        self.size_bytes += status.st_size


@attrs.frozen
class Node:
    """A path of one side with all that is known without reading it."""

    path: Path
    status: os.stat_result
    facts: Facts


def changes(before: Side, after: Side) -> Iterator[PathChange]:
    """Yield every path that differs, in no certain order.

    Both sides have counted their files when this has ended.

    Raises:
        PermissionDenied: the operating system refuses to read something.
        InvalidInput: something cannot be read for another reason.
    """
    tops = (_found(before.root), _found(after.root))
    waiting: list[tuple[str, Node | None, Node | None]] = [("/", *tops)]
    while waiting:
        path, old, new = waiting.pop()
        if change := _change(path, old, new):
            yield change
        inside = _inside(before, old), _inside(after, new)
        prefix = path.rstrip("/")
        waiting += [
            (f"{prefix}/{name}", inside[0].get(name), inside[1].get(name))
            for name in inside[0].keys() | inside[1].keys()
        ]


def _change(path: str, old: Node | None, new: Node | None) -> PathChange | None:
    content = old is not None and new is not None and _has_other_content(old, new)
    change = PathChange(
        path=path,
        before=old.facts if old else None,
        after=new.facts if new else None,
        has_other_content=content,
    )
    return change if change.what else None


def _inside(side: Side, found: Node | None) -> dict[str, Node]:
    if found is None or found.facts.kind != "directory":
        return {}
    entries = {entry.name: _found(entry) for entry in unbooted.listed(found.path)}
    for each in entries.values():
        side.count(each.status)
    return entries


def _found(entry: Path | os.DirEntry[str]) -> Node:
    path = Path(entry)
    try:
        status = entry.stat(follow_symlinks=False)
        target = _target(path) if stat.S_ISLNK(status.st_mode) else ""
        facts = _facts(status, target, _attributes(path))
    except OSError as exc:
        raise unbooted.unreadable(path, exc) from exc
    return Node(path, status, facts)


def _target(path: Path) -> str:
    return os.readlink(path)  # noqa: PTH115 - pathlib's spells some targets alike


def _facts(
    status: os.stat_result, target: str, attributes: tuple[tuple[str, bytes], ...]
) -> Facts:
    kind = _KINDS[stat.S_IFMT(status.st_mode)]
    if kind == "device":
        letter = "b" if stat.S_ISBLK(status.st_mode) else "c"
        target = f"{letter} {os.major(status.st_rdev)}:{os.minor(status.st_rdev)}"
    return Facts(
        kind=kind,
        mode=stat.S_IMODE(status.st_mode),
        uid=status.st_uid,
        gid=status.st_gid,
        size_bytes=status.st_size if kind == "file" else 0,
        target=target,
        attributes=attributes,
    )


def _attributes(path: Path) -> tuple[tuple[str, bytes], ...]:
    try:
        names = sorted(os.listxattr(path, follow_symlinks=False))
        return tuple(
            (name, os.getxattr(path, name, follow_symlinks=False))
            for name in names
            if not name.startswith(_OVERLAY)
        )
    except OSError as exc:
        if exc.errno in _NO_ATTRIBUTES:
            return ()
        raise


def _has_other_content(old: Node, new: Node) -> bool:
    if not old.facts.kind == new.facts.kind == "file":
        return False
    if os.path.samestat(old.status, new.status):
        return False
    if old.facts.size_bytes != new.facts.size_bytes:
        return True
    return old.facts.size_bytes > 0 and _reads_otherwise(old.path, new.path)


def _reads_otherwise(old: Path, new: Path) -> bool:
    try:
        with (
            os.fdopen(_opened(old), "rb", buffering=0) as left,
            os.fdopen(_opened(new), "rb", buffering=0) as right,
        ):
            while (block := left.read(_BLOCK)) == right.read(_BLOCK):
                if not block:
                    return False
            return True
    except OSError as exc:
        raise unbooted.unreadable(old, exc) from exc


def _opened(path: Path) -> int:
    return os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK)
