"""Paths inside an image's root, followed as inside and never out of it."""

import contextlib
import os
import stat
from collections.abc import Iterator
from pathlib import Path, PurePosixPath
from typing import BinaryIO

import attrs

_MOST_LINKS = 40


class OutOfReach(Exception):
    """A path inside the root leads nowhere that could be looked at."""


@attrs.frozen(kw_only=True)
class Found:
    """Something inside the root: its real path there, and here, and what it is."""

    name: PurePosixPath
    path: Path
    status: os.stat_result


def find(root: Path, name: PurePosixPath, *, follow: bool = True) -> Found | None:
    """Return what a path means inside the root, or None when nothing is there.

    Links are followed as the image's own system would: an absolute one begins at the
    root, and ``..`` ends there. ``follow=False`` leaves the last one unfollowed.

    Raises:
        OutOfReach: the links go round in circles.
        OSError: something on the way cannot be read.
    """
    done, left, links = PurePosixPath("/"), list(name.parts), 0
    while left:
        part, *left = left
        if part in {"/", "."}:
            continue
        if part == "..":
            done = done.parent
            continue
        status = _status(_here(root, done / part))
        if status is None:
            return None
        if not stat.S_ISLNK(status.st_mode) or not (left or follow):
            done /= part
            continue
        links += 1
        if links > _MOST_LINKS:
            raise OutOfReach(f"{name} leads through too many links")
        link = PurePosixPath(_here(root, done / part).readlink())
        done, left = (
            (PurePosixPath("/") if link.is_absolute() else done),
            [
                *link.parts,
                *left,
            ],
        )
    path = _here(root, done)
    return Found(name=done, path=path, status=path.lstat())


@contextlib.contextmanager
def opened(path: Path) -> Iterator[BinaryIO]:
    """Open a regular file that has been found; never through a link, never waiting.

    Raises:
        OSError: it cannot be read.
        OutOfReach: it is no regular file.
    """
    flags = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC
    with open(os.open(path, flags), "rb", buffering=0) as stream:  # noqa: PTH123 - of a descriptor
        if not stat.S_ISREG(os.fstat(stream.fileno()).st_mode):
            raise OutOfReach(f"{path.name} is no regular file")
        yield stream


def read_lines(root: Path, name: str, *, limit_bytes: int) -> tuple[str, ...]:
    """Return the lines of a small file inside the root; none where it is not there.

    Raises:
        OSError, OutOfReach: it cannot be read.
    """
    found = find(root, PurePosixPath(name))
    if found is None:
        return ()
    with opened(found.path) as stream:
        data = stream.read(limit_bytes + 1)
    if len(data) > limit_bytes:
        raise OutOfReach(f"{name} is longer than {limit_bytes} bytes")
    return tuple(data.decode(errors="replace").splitlines())


def _here(root: Path, name: PurePosixPath) -> Path:
    return root.joinpath(*name.parts[1:])


def _status(path: Path) -> os.stat_result | None:
    try:
        return path.lstat()
    except (FileNotFoundError, NotADirectoryError):
        return None
