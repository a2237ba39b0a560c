"""Locks between threads and processes, given back by the kernel when a holder dies."""

import fcntl
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

# No following of links: the directory may be one that others can write to.
_FLAGS = os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW
_OWNER_ONLY = 0o600


@contextmanager
def exclusive(path: Path) -> Iterator[int]:
    """Hold the file's lock, waiting for it; yield the descriptor of the open file.

    The file may be removed by whoever holds the lock.
    """
    descriptor = _locked(path)
    try:
        yield descriptor
    finally:
        os.close(descriptor)


@contextmanager
def exclusive_now(path: Path) -> Iterator[bool]:
    """Hold the file's lock unless somebody else does; yield whether it is held.

    The file may be removed by whoever holds the lock.
    """
    descriptor = os.open(path, _FLAGS, _OWNER_ONLY)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        is_ours = _is_still(path, descriptor)
    except BlockingIOError:
        is_ours = False
    try:
        yield is_ours
    finally:
        os.close(descriptor)


def _locked(path: Path) -> int:
    while True:
        descriptor = os.open(path, _FLAGS, _OWNER_ONLY)
        fcntl.flock(descriptor, fcntl.LOCK_EX)
        if _is_still(path, descriptor):
            return descriptor
        # The last holder removed the file: this lock excludes nobody who comes now.
        os.close(descriptor)


def _is_still(path: Path, descriptor: int) -> bool:
    try:
        return os.path.samestat(path.lstat(), os.fstat(descriptor))
    except FileNotFoundError:
        return False


def is_held(path: Path) -> bool:
    """Return whether somebody holds the file's lock at this moment."""
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NOFOLLOW)
    except FileNotFoundError:
        return False
    try:
        fcntl.flock(descriptor, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except BlockingIOError:
        return True
    finally:
        os.close(descriptor)
    return False
