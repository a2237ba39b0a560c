"""Everything below a root, one thing at a time, in order of name; nothing left out silently."""

import os
import stat
from collections.abc import Iterator
from pathlib import Path

import attrs


@attrs.frozen(kw_only=True)
class Seen:
    """One thing below the root: its name inside, where it is, and what it is."""

    name: str
    path: Path
    status: os.stat_result

    @property
    def mode(self) -> int:
        """Return its type and permissions."""
        return self.status.st_mode

    @property
    def is_file(self) -> bool:
        """Return whether it is a regular file."""
        return stat.S_ISREG(self.mode)

    @property
    def has_content(self) -> bool:
        """Return whether it is a regular file that is not empty."""
        return self.is_file and self.status.st_size > 0


@attrs.frozen(kw_only=True)
class Unread:
    """Something that could not be looked at, and why."""

    name: str
    reason: str


def walk(root: Path) -> Iterator[Seen | Unread]:
    """Yield everything below a directory, itself excepted, parents first.

    No link is followed. A directory on which something else is mounted is named as
    unread rather than entered: it is not part of the image.
    """
    device = root.lstat().st_dev
    # Only the directories that are still to be entered are held.
    waiting = [(root, "")]
    while waiting:
        directory, name = waiting.pop()
        inner = []
        for seen in _entries(directory, name):
            yield seen
            if isinstance(seen, Seen) and stat.S_ISDIR(seen.mode):
                if seen.status.st_dev == device:
                    inner.append((seen.path, seen.name))
                else:
                    yield Unread(name=seen.name, reason="something is mounted here")
        waiting += reversed(inner)


def _entries(directory: Path, name: str) -> Iterator[Seen | Unread]:
    try:
        with os.scandir(directory) as found:
            entries = sorted(entry.name for entry in found)
    except OSError as exc:
        yield Unread(name=name or "/", reason=_words(exc))
        return
    for entry in entries:
        path = directory / entry
        try:
            yield Seen(name=f"{name}/{entry}", path=path, status=path.lstat())
        except OSError as exc:
            yield Unread(name=f"{name}/{entry}", reason=_words(exc))


def _words(exc: OSError) -> str:
    return exc.strerror or type(exc).__name__
