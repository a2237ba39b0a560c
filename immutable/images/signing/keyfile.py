"""The file that holds a private key: where it is, who may read it, how it comes to be."""

import contextlib
import errno
import os
import stat
import tempfile
from collections.abc import Callable
from pathlib import Path

from immutable.errors import ImmutableError, InvalidInput, NotEnough, PermissionDenied

_OTHERS = stat.S_IRWXG | stat.S_IRWXO
_REFUSALS = frozenset({errno.EACCES, errno.EPERM, errno.EROFS})
_FULL = frozenset({errno.ENOSPC, errno.EDQUOT})
_LIMIT_BYTES = 64 << 10


def default_key_path() -> Path:
    """Return where this user's signing key is, beside the ledgers.

    For root that is below ``/var/lib/immutable``; for others below the state directory
    of the XDG Base Directory specification, which says to ignore a relative one.
    """
    if os.geteuid() == 0:
        return Path("/var/lib/immutable/keys/signing.pem")
    state = Path(os.environ.get("XDG_STATE_HOME", ""))
    if not state.is_absolute():
        state = Path.home() / ".local" / "state"
    return state / "immutable" / "keys" / "signing.pem"


def load_or_make(path: Path, new: Callable[[], bytes]) -> bytes:
    """Return what is in a key's file; where there is none, make it first.

    Args:
        path: the file. It is whole from the moment that it has its name, and whoever
            comes second takes what is there.
        new: returns a new key.

    Raises:
        InvalidInput: others can read or write it, or it is no file.
        PermissionDenied: the operating system refuses.
        NotEnough: its disk is full.
    """
    try:
        if not os.path.lexists(path):
            _make(path, new())
        return _read(path)
    except OSError as exc:
        raise _translate(exc, path) from exc


def _make(path: Path, content: bytes) -> None:
    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    # Made by mkstemp with mode 0600, and nobody but us knows its name.
    descriptor, temporary = tempfile.mkstemp(prefix=f".{path.name}-", dir=path.parent)
    try:
        with os.fdopen(descriptor, "wb") as stream:
            stream.write(content)
            stream.flush()
            os.fsync(descriptor)
        with contextlib.suppress(FileExistsError):
            os.link(temporary, path)
    finally:
        Path(temporary).unlink()
    _sync(path.parent)


def _sync(directory: Path) -> None:
    descriptor = os.open(directory, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _read(path: Path) -> bytes:
    # Without O_NONBLOCK, opening a FIFO would wait for somebody who writes.
    flags = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK
    with os.fdopen(os.open(path, flags), "rb") as stream:
        _check(path, os.fstat(stream.fileno()), path.parent.stat())
        return stream.read(_LIMIT_BYTES)


def _check(path: Path, found: os.stat_result, parent: os.stat_result) -> None:
    if not stat.S_ISREG(found.st_mode):
        raise _unsafe(path, "it is no regular file", "name a file")
    if found.st_uid not in {0, os.geteuid()}:
        raise _unsafe(path, "it is somebody else's", "name a file of your own")
    if found.st_mode & _OTHERS:
        raise _unsafe(
            path, "others can read it", f"make a new one, or chmod 600 {path}"
        )
    if parent.st_mode & stat.S_IWOTH and not parent.st_mode & stat.S_ISVTX:
        hint = f"chmod o-w {path.parent}"
        raise _unsafe(path, "everybody may write to its directory", hint)


def _unsafe(path: Path, reason: str, hint: str) -> InvalidInput:
    message = f"{path} is no safe place for a key: {reason}"
    return InvalidInput(message, hint=hint, resource=str(path))


def _translate(exc: OSError, path: Path) -> ImmutableError:
    message = f"the key {path} cannot be used: {exc.strerror or exc}"
    if exc.errno in _REFUSALS:
        hint = "give this user access to the file and its directory"
        return PermissionDenied(message, hint=hint, resource=str(path))
    if exc.errno in _FULL:
        hint = "free some space on its disk"
        return NotEnough(message, hint=hint, resource=str(path), retryable=True)
    hint = "name the file that it points to" if exc.errno == errno.ELOOP else ""
    return InvalidInput(message, hint=hint, resource=str(path))
