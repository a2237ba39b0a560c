"""Archives for the initramfs (cpio, "newc"): equal contents give equal bytes."""

import stat
from collections.abc import Iterable
from pathlib import PurePosixPath

import attrs

_ALIGNMENT = 4
_TRAILER = "TRAILER!!!"


@attrs.frozen(kw_only=True)
class Entry:
    """A file owned by root; a link's content is its target."""

    path: PurePosixPath
    mode: int
    content: bytes = b""
    device: tuple[int, int] = (0, 0)


def directory(path: str) -> Entry:
    """Return a directory."""
    return Entry(path=PurePosixPath(path), mode=stat.S_IFDIR | 0o755)


def program(path: str, content: bytes) -> Entry:
    """Return an executable file."""
    return Entry(path=PurePosixPath(path), mode=stat.S_IFREG | 0o755, content=content)


def link(path: str, target: str) -> Entry:
    """Return a symbolic link."""
    mode = stat.S_IFLNK | 0o777
    return Entry(path=PurePosixPath(path), mode=mode, content=target.encode())


def device(path: str, major: int, minor: int) -> Entry:
    """Return a character device; nothing is made on the host."""
    mode = stat.S_IFCHR | 0o600
    return Entry(path=PurePosixPath(path), mode=mode, device=(major, minor))


def archive(entries: Iterable[Entry]) -> bytes:
    """Return the archive; entries keep their order, so parents come first."""
    parts = [_record(number, entry) for number, entry in enumerate(entries, start=1)]
    parts.append(_record(0, Entry(path=PurePosixPath(_TRAILER), mode=0)))
    return b"".join(parts)


def _record(number: int, entry: Entry) -> bytes:
    name = str(entry.path).encode() + b"\0"
    # inode, mode, uid, gid, links, mtime, size, device, special device, name, checksum
    fields = [number, entry.mode, 0, 0, 1, 0, len(entry.content), 0, 0]
    fields += [*entry.device, len(name), 0]
    header = b"070701" + b"".join(b"%08X" % field for field in fields)
    return _padded(header + name) + _padded(entry.content)


def _padded(data: bytes) -> bytes:
    return data + b"\0" * (-len(data) % _ALIGNMENT)
