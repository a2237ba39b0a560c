"""Reading what a builder left: a tar archive by a stranger, unpacked with every check.

The archive is read from a raw disk that nothing ever mounts. Only what a layer may hold
is accepted: directories, files, links, named pipes, and overlayfs's whiteouts. Every
entry stands in a directory that the archive itself has made before, so no link is ever
followed; no name comes twice; and the size is bounded before anything is written.
"""

import os
import stat
import tarfile
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import BinaryIO

import attrs

from immutable.errors import BuildFailed

_BLOCK = 512
_CHUNK = 1 << 20
_MOST_ENTRIES = 1_000_000
_LONGEST_HEADER = 1 << 20
_LONGEST_PATH, _LONGEST_NAME = 4096, 255
_MOST_ID = (1 << 32) - 2
_MODES = 0o7777
_ENCODING, _ERRORS = "utf-8", "surrogateescape"
_XATTR = "SCHILY.xattr."
_OVERLAY, _OPAQUE = "trusted.overlay.", "trusted.overlay.opaque"
_ATTRIBUTES = ("user.", "trusted.", "system.posix_acl_", "security.capability")
_KEYWORDS = ("path", "linkpath", "size", "uid", "gid", "uname", "gname", "mtime")


@attrs.frozen(kw_only=True)
class Limits:
    """How much a difference may hold."""

    size_bytes: int
    entries: int = _MOST_ENTRIES


@attrs.frozen(kw_only=True)
class _Entry:
    path: str
    link: str
    kind: bytes
    mode: int
    owner: tuple[int, int]
    size: int
    device: tuple[int, int]
    attributes: tuple[tuple[str, bytes], ...]


def unpack(stream: BinaryIO, target: Path, limits: Limits) -> None:
    """Unpack an archive into a directory that does not exist yet.

    Args:
        stream: the disk, at its beginning.
        target: becomes the tree; what is there after an error is to be thrown away.
        limits: how much is accepted.

    Raises:
        BuildFailed: the archive is damaged, or holds what no layer may hold.
    """
    target.mkdir()
    unpacking = _Unpacking(target=target, limits=limits)
    try:
        for entry in _entries(stream):
            unpacking.add(entry, stream)
        unpacking.check()
    except OSError as exc:
        raise _refused(f"cannot be written here: {exc}") from exc


@attrs.define(kw_only=True)
class _Unpacking:
    """A tree in the making, and what has been made of it."""

    target: Path
    limits: Limits
    _directories: set[str] = attrs.field(factory=lambda: {"."}, init=False)
    _others: set[str] = attrs.field(factory=set, init=False)
    _size_bytes: int = attrs.field(default=0, init=False)
    _has_root: bool = attrs.field(default=False, init=False)

    def add(self, entry: _Entry, stream: BinaryIO) -> None:
        """Make one entry; its content is the next thing in the stream."""
        path = self._placed(entry)
        self._count(entry)
        if entry.kind == tarfile.LNKTYPE:
            self._link(entry, path)
            return
        self._make(entry, path, stream)
        os.chown(path, *entry.owner, follow_symlinks=False)
        if entry.kind != tarfile.SYMTYPE:
            path.chmod(entry.mode)
        for name, value in entry.attributes:
            os.setxattr(path, name, value, follow_symlinks=False)

    def check(self) -> None:
        """Check that there was something: an empty disk is no empty difference."""
        if not self._has_root:
            raise _refused("is nothing")

    def _placed(self, entry: _Entry) -> Path:
        """Return where an entry goes, noted as taken."""
        if entry.path == ".":
            if self._has_root or entry.kind != tarfile.DIRTYPE:
                raise _refused("has two roots, or one that is no directory")
            self._has_root = True
            return self.target
        name = _normal(entry.path)
        parent = name.rpartition("/")[0] or "."
        if parent not in self._directories:
            raise _refused(f"has {name!r} in what is no directory of its own")
        if name in self._directories or name in self._others:
            raise _refused(f"has {name!r} twice")
        kept = self._directories if entry.kind == tarfile.DIRTYPE else self._others
        kept.add(name)
        return self.target / name

    def _count(self, entry: _Entry) -> None:
        self._size_bytes += entry.size
        number = len(self._directories) + len(self._others)
        if self._size_bytes > self.limits.size_bytes or number > self.limits.entries:
            raise _refused("is larger than a layer may be")

    def _link(self, entry: _Entry, path: Path) -> None:
        """Give a second name to what the archive has made, which is no directory."""
        name = _normal(entry.link)
        if name not in self._others or self.target / name == path:
            raise _refused(f"has {entry.path!r} as a name of what it does not hold")
        os.link(self.target / name, path, follow_symlinks=False)

    def _make(self, entry: _Entry, path: Path, stream: BinaryIO) -> None:
        match entry.kind:
            case tarfile.DIRTYPE:
                path.mkdir(exist_ok=path == self.target)
            case tarfile.SYMTYPE:
                path.symlink_to(entry.link)
            case tarfile.FIFOTYPE:
                os.mkfifo(path)
            case tarfile.CHRTYPE if entry.device == (0, 0):
                os.mknod(path, stat.S_IFCHR, os.makedev(0, 0))
            case tarfile.REGTYPE:
                _write(path, stream, entry.size)
            case _:
                raise _refused(f"has {entry.path!r}, which is a device or unknown")


def _entries(stream: BinaryIO) -> Iterator[_Entry]:
    """Yield what the archive holds; the content must be read before the next one."""
    extended: Mapping[str, bytes] = {}
    while (block := _exactly(stream, _BLOCK)) != bytes(_BLOCK):
        try:
            header = tarfile.TarInfo.frombuf(block, _ENCODING, _ERRORS)
        except tarfile.HeaderError as exc:
            raise _refused(f"is no tar archive: {exc}") from exc
        if header.type == tarfile.XHDTYPE and not extended:
            extended = _extended(stream, header.size)
            continue
        yield _entry(header, extended)
        extended = {}


def _extended(stream: BinaryIO, size: int) -> dict[str, bytes]:
    """Return the fields of a header that stands before another: ``LENGTH NAME=VALUE``."""
    if not 0 < size <= _LONGEST_HEADER:
        raise _refused("has a header that is too large")
    data, fields, position = _padded(stream, size), {}, 0
    while position < size:
        digits, _, _ = data[position : position + 20].partition(b" ")
        if not digits.isdigit():
            raise _refused("has a header that cannot be read")
        end = position + int(digits)
        record = data[position + len(digits) + 1 : end]
        name, equals, value = record.partition(b"=")
        if end > size or end <= position or not equals or record[-1:] != b"\n":
            raise _refused("has a header that cannot be read")
        fields[name.decode(_ENCODING, _ERRORS)] = value[:-1]
        position = end
    return fields


def _entry(header: tarfile.TarInfo, extended: Mapping[str, bytes]) -> _Entry:
    unknown = [n for n in extended if n not in _KEYWORDS and not n.startswith(_XATTR)]
    if unknown:
        raise _refused(f"has headers that are not known: {unknown[0]!r}")
    numbers = {
        name: _number(extended, name, getattr(header, name)) for name in _NUMBERS
    }
    is_file = header.type == tarfile.REGTYPE
    if numbers["size"] and not is_file:
        raise _refused(f"has content of {header.name!r}, which is no file")
    return _Entry(
        path=_text(extended, "path", header.name),
        link=_text(extended, "linkpath", header.linkname),
        kind=header.type,
        mode=header.mode & _MODES,
        owner=(numbers["uid"], numbers["gid"]),
        size=numbers["size"],
        device=(header.devmajor, header.devminor),
        attributes=tuple(_attributes(extended)),
    )


_NUMBERS = {"size": 1 << 62, "uid": _MOST_ID, "gid": _MOST_ID}


def _number(extended: Mapping[str, bytes], name: str, usual: int) -> int:
    given = extended.get(name, b"%d" % usual)
    number = int(given) if given.isdigit() and len(given) < _BLOCK else -1
    if not 0 <= number <= _NUMBERS[name]:
        raise _refused(f"has an impossible {name}")
    return number


def _text(extended: Mapping[str, bytes], name: str, usual: str) -> str:
    given = extended.get(name)
    text = usual if given is None else given.decode(_ENCODING, _ERRORS)
    if "\0" in text or len(text) > _LONGEST_PATH:
        raise _refused("has a path that cannot be one")
    return text


def _attributes(extended: Mapping[str, bytes]) -> Iterator[tuple[str, bytes]]:
    for keyword, value in extended.items():
        if not keyword.startswith(_XATTR):
            continue
        # So GNU tar escapes what would end the keyword.
        name = keyword.removeprefix(_XATTR).replace("%3D", "=").replace("%25", "%")
        if not name.startswith(_ATTRIBUTES):
            raise _refused(f"has the attribute {name!r}")
        # Of overlayfs's own notes a layer needs one; others could point elsewhere.
        if not name.startswith(_OVERLAY) or (name == _OPAQUE and value == b"y"):
            yield name, value


def _normal(path: str) -> str:
    """Return a path as it is below the target, as tar writes it: ``./a/b``."""
    bare = path.removeprefix("./").removesuffix("/")
    parts = bare.split("/")
    if any(p in {"", ".", ".."} or len(os.fsencode(p)) > _LONGEST_NAME for p in parts):
        raise _refused(f"has {path!r}, which leads elsewhere")
    return bare


def _write(path: Path, stream: BinaryIO, size: int) -> None:
    flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC
    with os.fdopen(os.open(path, flags, 0o600), "wb") as made:
        left = size
        while left:
            data = _exactly(stream, min(left, _CHUNK))
            made.write(data)
            left -= len(data)
    _exactly(stream, -size % _BLOCK)


def _padded(stream: BinaryIO, size: int) -> bytes:
    data = _exactly(stream, size)
    _exactly(stream, -size % _BLOCK)
    return data


def _exactly(stream: BinaryIO, size: int) -> bytes:
    data = stream.read(size)
    if len(data) != size:
        raise _refused("ends in the middle")
    return data


def _refused(what: str) -> BuildFailed:
    return BuildFailed(
        f"what the builder left {what}",
        hint="a command inside wrote this; a layer holds files, directories, links",
        operation="images.build",
        backend="libvirt",
    )
