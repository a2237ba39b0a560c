"""Where builders are kept while they are on: one directory each, held by its owner.

    bakes/<name>/      a builder's disks and sockets
    bakes/.lock        held while one is made or swept

QEMU runs as another user, who opens files in these by name and cannot list them. What
nobody holds belonged to somebody who died.
"""

import fcntl
import os
import shutil
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import attrs

from immutable_libvirt.locks import exclusive
from immutable_libvirt.store import make_passable

_PASSABLE = 0o711
_READ = os.O_RDONLY | os.O_CLOEXEC | os.O_DIRECTORY


@attrs.frozen(kw_only=True)
class Place:
    """A builder's directory; while the descriptor is open it is held."""

    path: Path
    descriptor: int

    def remove(self) -> None:
        """Remove the directory with all that is in it."""
        shutil.rmtree(self.path, ignore_errors=True)
        with suppress(OSError):  # removed before
            os.close(self.descriptor)


def make(pool: Path, name: str) -> Place:
    """Make a builder's directory, and hold it; there is none of this name."""
    bakes = pool / "bakes"
    make_passable(bakes)
    with exclusive(bakes / ".lock"):
        path = bakes / name
        path.mkdir(mode=_PASSABLE)
        path.chmod(_PASSABLE)
        descriptor = os.open(path, _READ)
        fcntl.flock(descriptor, fcntl.LOCK_EX)
    return Place(path=path, descriptor=descriptor)


def is_held(path: Path) -> bool:
    """Return whether a builder's directory has an owner who lives."""
    try:
        descriptor = os.open(path, _READ)
    except FileNotFoundError:
        return False
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return True
    finally:
        os.close(descriptor)
    return False


def is_any(pool: Path) -> bool:
    """Return whether there is any builder's directory, held or not."""
    bakes = pool / "bakes"
    return bakes.is_dir() and any(path.is_dir() for path in bakes.iterdir())


def abandoned(pool: Path) -> Iterator[str]:
    """Remove every directory without an owner, and yield their names."""
    bakes = pool / "bakes"
    if not bakes.is_dir():
        return
    with exclusive(bakes / ".lock"):
        for path in sorted(bakes.iterdir()):
            if path.is_dir() and not is_held(path):
                shutil.rmtree(path, ignore_errors=True)
                yield path.name
