"""Reading an unbooted root as its own system would, and never leaving it.

A link in an image may point anywhere, and an absolute one means a place in the image.
The root is taken to be still: nobody changes it while it is read.
"""

import errno
import os
import stat
from collections.abc import Iterator
from pathlib import Path, PurePosixPath

from immutable.errors import ImmutableError, InvalidInput, PermissionDenied

_MOST_LINKS = 40
_LIMIT_BYTES = 64 << 20


def find(root: Path, path: str) -> Path | None:
    """Return where a path of the image really is, None when it is not there.

    Links are followed as in a chroot: none leads out of the root. What is returned has
    no link in it below the root.

    Args:
        root: the directory that is ``/`` in the image.
        path: a path in the image, with or without a leading slash.

    Raises:
        PermissionDenied: the operating system refuses to look.
    """
    done, left = PurePosixPath("/"), _parts(path)
    links = 0
    while left:
        part = left.pop(0)
        if part == "..":
            done = done.parent
            continue
        target = _target(root / (done / part).relative_to("/"))
        if target is None or links == _MOST_LINKS:
            return None
        if target:
            links += 1
            done = PurePosixPath("/") if target.startswith("/") else done
            left = _parts(target) + left
        else:
            done /= part
    return root / done.relative_to("/")


def read(root: Path, path: str) -> str | None:
    """Return the text of a file in the image, None when there is no such file.

    What is not UTF-8 is replaced: it is about names and versions, which are.

    Raises:
        InvalidInput: the file is larger than any that this is for.
        PermissionDenied: the operating system refuses.
    """
    found = find(root, path)
    if found is None:
        return None
    try:
        status = found.lstat()
        if not stat.S_ISREG(status.st_mode):
            return None
        if status.st_size > _LIMIT_BYTES:
            raise InvalidInput(
                f"{path} in the image has {status.st_size} bytes", hint="remove it"
            )
        return found.read_text(encoding="utf-8", errors="replace")
    except OSError as exc:
        raise unreadable(found, exc) from exc


def walk(root: Path) -> Iterator[os.DirEntry[str]]:
    """Yield everything below a directory, parents first, in order of name.

    Links are yielded and not followed.

    Raises:
        PermissionDenied: the operating system refuses to list a directory.
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
        PermissionDenied: the operating system refuses.
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


def _target(path: Path) -> str | None:
    """Return where a link leads; empty for what is no link, None for what is not there."""
    try:
        return str(path.readlink())
    except (FileNotFoundError, NotADirectoryError):
        return None
    except OSError as exc:
        # What the kernel says of anything that is no link.
        if exc.errno == errno.EINVAL:
            return ""
        raise unreadable(path, exc) from exc


def _parts(path: str) -> list[str]:
    return [part for part in path.split("/") if part not in {"", "."}]
