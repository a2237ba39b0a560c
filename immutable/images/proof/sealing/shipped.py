"""Which files are, byte for byte, what a distribution's package brought.

Everybody has those: what looks like a secret in them is an example or a test's. The lists
are dpkg's own in the image; they are MD5 sums, which is enough against accidents.
"""

import hashlib
import re
from collections.abc import Iterator
from pathlib import Path, PurePosixPath
from typing import BinaryIO

from immutable.images.unbooted import OutOfReach, find, opened

_LISTS, _STATUS = "/var/lib/dpkg/info", "/var/lib/dpkg/status"
_LIST_LIMIT_BYTES = 64 << 20
_BLOCK_BYTES = 1 << 20
_MERGED = re.compile(r"^/(?=s?bin/|lib(?:32|64|x32)?/)")
_LISTED = re.compile(r"([0-9a-f]{32})  (.+)")
# A paragraph of the status names its settings, each with the sum that was brought.
_SETTING = re.compile(r" (/\S+) ([0-9a-f]{32})")


class Shipped:
    """The sums of all files that the packages of a root brought."""

    def __init__(self, root: Path) -> None:
        try:
            self._sums = {merged(name): listed for name, listed in _listed(root)}
        except (OSError, OutOfReach):
            # Without the lists everything is looked at.
            self._sums = {}

    def has_unchanged(self, name: str, stream: BinaryIO) -> bool:
        """Return whether a file is as its package brought it; the stream is at its start."""
        listed = self._sums.get(merged(name))
        if listed is None:
            return False
        hasher = hashlib.md5(usedforsecurity=False)
        while block := stream.read(_BLOCK_BYTES):
            hasher.update(block)
        stream.seek(0)
        return hasher.hexdigest() == listed


def merged(name: str) -> str:
    """Return a path as it is where /bin, /sbin and /lib are links into /usr."""
    return _MERGED.sub("/usr/", name)


def _listed(root: Path) -> Iterator[tuple[str, str]]:
    if lists := find(root, PurePosixPath(_LISTS)):
        for path in sorted(lists.path.glob("*.md5sums")):
            for line in _lines(path):
                if found := _LISTED.fullmatch(line):
                    yield f"/{found[2]}", found[1]
    if status := find(root, PurePosixPath(_STATUS)):
        for line in _lines(status.path):
            if found := _SETTING.match(line):
                yield found[1], found[2]


def _lines(path: Path) -> Iterator[str]:
    with opened(path) as stream:
        yield from stream.read(_LIST_LIMIT_BYTES).decode(errors="replace").splitlines()
