"""Reading an unbooted root as its own system would, and never leaving it.

A link in an image may point anywhere, and an absolute one means a place in the image.
The root is taken to be still: nobody changes it while it is read.
"""

import contextlib
import os
import stat
from collections.abc import Iterator
from pathlib import Path, PurePosixPath
from typing import BinaryIO

import attrs

from immutable.errors import ImmutableError, InvalidInput, PermissionDenied

_MOST_LINKS = 40
_LIMIT_BYTES = 64 << 20


class OutOfReach(Exception):
    """A path inside the root leads nowhere that could be looked at."""


@attrs.frozen(kw_only=True)
class Found:
    """Something inside the root: its real path there, and here, and what it is."""

    name: PurePosixPath
    path: Path
    status: os.stat_result


def find(root: Path, name: PurePosixPath | str, *, follow: bool = True) -> Found | None:
    """Return what a path means inside the root, or None when nothing is there.

    Links are followed as the image's own system would: an absolute one begins at the
    root, and ``..`` ends there. No link is left in what is found.

    Args:
        root: the directory that is ``/`` in the image.
        name: a path in the image, with or without a leading slash.
        follow: whether the last part is followed where it is a link.

    Raises:
        OutOfReach: the links go round in circles.
        OSError: something on the way cannot be read.
    """
    done, left, links = PurePosixPath("/"), _parts(name), 0
    while left:
        part, *left = left
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
        target = PurePosixPath(_here(root, done / part).readlink())
        done = PurePosixPath("/") if target.is_absolute() else done
        left = [*_parts(target), *left]
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
    found = find(root, name)
    if found is None:
        return ()
    with opened(found.path) as stream:
        data = stream.read(limit_bytes + 1)
    if len(data) > limit_bytes:
        raise OutOfReach(f"{name} is longer than {limit_bytes} bytes")
    return tuple(data.decode(errors="replace").splitlines())


def located(root: Path, name: str) -> Found | None:
    """Return what `find` does, where links in a circle lead to nothing.

    Raises:
        InvalidInput: something on the way cannot be read.
        PermissionDenied: the operating system refuses to.
    """
    try:
        return find(root, name)
    except OutOfReach:
        return None
    except OSError as exc:
        raise unreadable(root / name, exc) from exc


def read(root: Path, name: str) -> str | None:
    """Return the text of a file of any size; None where there is none, or no file.

    What is not UTF-8 is replaced: it is about names and versions, which are.

    Raises:
        InvalidInput: the file is larger than any that this is for, or cannot be read.
        PermissionDenied: the operating system refuses.
    """
    found = located(root, name)
    if found is None or not stat.S_ISREG(found.status.st_mode):
        return None
    if (size := found.status.st_size) > _LIMIT_BYTES:
        raise InvalidInput(f"{name} in the image has {size} bytes", hint="remove it")
    try:
        return found.path.read_text(encoding="utf-8", errors="replace")
    except OSError as exc:
        raise unreadable(found.path, exc) from exc


def walk(root: Path) -> Iterator[os.DirEntry[str]]:
    """Yield everything below a directory, parents first, in order of name.

    Links are yielded and not followed.

    Raises:
        InvalidInput: a directory cannot be listed.
        PermissionDenied: the operating system refuses to.
    """
    waiting = list(reversed(listed(root)))
    while waiting:
        entry = waiting.pop()
        yield entry
        if entry.is_dir(follow_symlinks=False):
            waiting.extend(reversed(listed(Path(entry.path))))


def listed(directory: Path) -> list[os.DirEntry[str]]:
    """Return what is in a directory, in order of name.

    Raises:
        InvalidInput: it cannot be listed.
        PermissionDenied: the operating system refuses to.
    """
    try:
        with os.scandir(directory) as entries:
            return sorted(entries, key=lambda entry: entry.name)
    except OSError as exc:
        raise unreadable(directory, exc) from exc


def unreadable(path: Path, exc: OSError) -> ImmutableError:
    """Return the error for a place of an image that cannot be read."""
    message = f"{path} cannot be read: {exc.strerror or exc}"
    if isinstance(exc, PermissionError):
        hint = "run as the user that owns the image, mostly root"
        return PermissionDenied(message, hint=hint, resource=str(path))
    return InvalidInput(message, resource=str(path))


def _parts(name: PurePosixPath | str) -> list[str]:
    return [part for part in PurePosixPath(name).parts if part.strip("/")]


def _here(root: Path, name: PurePosixPath) -> Path:
    return root.joinpath(*name.parts[1:])


def _status(path: Path) -> os.stat_result | None:
    try:
        return path.lstat()
    except (FileNotFoundError, NotADirectoryError):
        return None
