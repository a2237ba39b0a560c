"""What a local file or tree consists of: names, modes and contents, and nothing else.

Times, owners and the place on this machine are left out, so that equal trees have equal
inventories wherever and whenever they were written.
"""

import fnmatch
import hashlib
import posixpath
import stat
from collections.abc import Iterator
from pathlib import Path
from typing import Literal

import attrs

from immutable.errors import InvalidInput, MissingFiles
from immutable.model import Digest

_BLOCK = 1 << 20


@attrs.frozen(kw_only=True)
class Entry:
    """A file, directory or link of a tree.

    ``name`` is relative to the tree, with slashes; ``"."`` where the source is one file.
    ``content`` is a file's SHA-256, a link's target, and empty for a directory.
    """

    name: str
    kind: Literal["directory", "file", "link"]
    mode: int
    content: str = ""


def inventory(source: Path, exclude: tuple[str, ...] = ()) -> tuple[Entry, ...]:
    """Return what a file or tree consists of, parents first, in order of name.

    Args:
        source: a file (through a link: what is copied is the file) or a directory.
        exclude: shell patterns of names, or of paths below the source, that are left
            out with all that is below them.

    Raises:
        MissingFiles: the source is not there.
        InvalidInput: something in it cannot be copied: a device, a socket, or a link
            that leads out of the tree.
    """
    if not source.exists():
        raise MissingFiles(
            f"{source} is not there",
            hint="the path is relative to the working directory",
        )
    if not source.is_dir():
        return (_entry(source.resolve(), "."),)
    entries = tuple(_walked(source, "", exclude))
    for entry in entries:
        _check_link(source, entry)
    return entries


def digest_of_file(path: Path) -> Digest:
    """Return the SHA-256 of a file's contents."""
    hasher = hashlib.sha256()
    with path.open("rb") as stream:
        while block := stream.read(_BLOCK):
            hasher.update(block)
    return Digest(hasher.hexdigest())


def _walked(directory: Path, prefix: str, exclude: tuple[str, ...]) -> Iterator[Entry]:
    for path in sorted(directory.iterdir()):
        relative = f"{prefix}{path.name}"
        if _is_excluded(path.name, relative, exclude):
            continue
        entry = _entry(path, relative)
        yield entry
        if entry.kind == "directory":
            yield from _walked(path, f"{relative}/", exclude)


def _is_excluded(name: str, relative: str, exclude: tuple[str, ...]) -> bool:
    return any(
        fnmatch.fnmatchcase(name, pattern) or fnmatch.fnmatchcase(relative, pattern)
        for pattern in exclude
    )


def _entry(path: Path, name: str) -> Entry:
    status = path.lstat()
    mode = stat.S_IMODE(status.st_mode)
    if stat.S_ISLNK(status.st_mode):
        return Entry(name=name, kind="link", mode=0, content=str(path.readlink()))
    if stat.S_ISDIR(status.st_mode):
        return Entry(name=name, kind="directory", mode=mode)
    if not stat.S_ISREG(status.st_mode):
        raise InvalidInput(
            f"{path} is no file, directory or link", hint="leave it out of the tree"
        )
    return Entry(name=name, kind="file", mode=mode, content=digest_of_file(path))


def _check_link(source: Path, entry: Entry) -> None:
    """Refuse a link that leads elsewhere: what it would find there is not in the digest."""
    if entry.kind != "link":
        return
    reached = posixpath.normpath(
        posixpath.join(posixpath.dirname(entry.name), entry.content)
    )
    if reached.startswith("/") or reached.split("/")[0] == "..":
        raise InvalidInput(
            f"{source / entry.name} is a link to {entry.content}, out of the tree",
            hint="copy what it leads to, or make the link in the image with"
            " .run('ln -s …')",
        )
