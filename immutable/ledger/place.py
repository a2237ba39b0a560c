"""Where a ledger's file may be, and making room for it there.

The file itself is never opened here: in one process, closing any other descriptor of a
file drops the locks that SQLite holds on it.
"""

import contextlib
import errno
import functools
import os
import stat
from collections.abc import Iterable
from pathlib import Path
from urllib.parse import quote

from immutable.errors import LedgerError, LedgerReadOnly, NotALedger
from immutable.model import ServiceName
from immutable.names import check_service_name

Identity = tuple[int, int]
"""Device and inode: which file it is, whatever its name."""

_MOUNTS = Path("/proc/self/mountinfo")
# Locks and fsync of others do not reach us there. 9p and virtiofs lie between a virtual
# machine and its host, where the same holds.
_SHARED = frozenset(
    {
        *("9p", "afs", "beegfs", "ceph", "cifs", "coda", "fuse", "gfs2", "glusterfs"),
        *("lustre", "ncpfs", "nfs", "nfs4", "ocfs2", "smb3", "smbfs", "virtiofs"),
    }
)
_REFUSALS = frozenset({errno.EACCES, errno.EPERM, errno.EROFS})
_FULL = frozenset({errno.ENOSPC, errno.EDQUOT})


def default_ledger_path(service: ServiceName) -> Path:
    """Return where a service's ledger is when the user names none.

    For root that is ``/var/lib/immutable/ledgers``; for others the state directory of
    the XDG Base Directory specification, which says to ignore a relative one.

    Raises:
        InvalidInput: the name is not a service's.
    """
    name = f"{check_service_name(service)}.db"
    if os.geteuid() == 0:
        return Path("/var/lib/immutable/ledgers", name)
    state = Path(os.environ.get("XDG_STATE_HOME", ""))
    if not state.is_absolute():
        state = Path.home() / ".local" / "state"
    return state / "immutable" / "ledgers" / name


def look(path: Path) -> Identity | None:
    """Return which file is there, None when there is none, after judging the place.

    Raises:
        NotALedger: something else than a file is there, or a link to one.
        LedgerError: the place is not safe for a ledger, or cannot be looked at.
    """
    try:
        found = path.lstat()
        _check_file(path, found)
        _check_directory(path.parent.resolve())
    except FileNotFoundError:
        return None
    except OSError as exc:
        raise _translate(exc, path) from exc
    return found.st_dev, found.st_ino


def is_still(path: Path, identity: Identity | None) -> bool:
    """Return whether the same file is still there."""
    try:
        found = path.lstat()
    except OSError:
        return False
    return (found.st_dev, found.st_ino) == identity


def make(path: Path) -> None:
    """Create an empty file that only its owner can read, and the directories above it.

    A file that is there already stays as it is. Nothing is synced: see `settle`.

    Raises:
        LedgerReadOnly: the directory cannot be written.
        LedgerError: the place is not safe for a ledger.
    """
    try:
        missing = [parent for parent in path.parents if not parent.exists()]
        _check_directory(path.parents[len(missing)].resolve())
        for directory in reversed(missing):
            directory.mkdir(mode=0o700, exist_ok=True)
        # It has its mode from the first moment, and there is no descriptor to close.
        with contextlib.suppress(FileExistsError):
            os.mknod(path, 0o600 | stat.S_IFREG)
    except OSError as exc:
        raise _translate(exc, path) from exc


def settle(path: Path) -> None:
    """Make the names of a file, and of the directories above it, survive a power cut.

    Whoever made them may have died before that, or be about to do it.

    Raises:
        LedgerError: that cannot be said of them.
    """
    try:
        device = path.parent.stat().st_dev
        for directory in path.parents:
            if directory.stat().st_dev != device:
                return
            _sync(directory, required=directory == path.parent)
    except OSError as exc:
        raise _translate(exc, path) from exc


def _sync(directory: Path, *, required: bool) -> None:
    try:
        descriptor = _open(directory)
    except PermissionError:
        # What was made for the ledger, its owner can open.
        if required:
            raise
        return
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def require_syncable(path: Path) -> None:
    """Check that the directory of a file can be opened, as it must be to be synced.

    Raises:
        LedgerReadOnly: this user may not.
        LedgerError: it cannot be opened, as where too many files are open.
    """
    try:
        os.close(_open(path.parent))
    except OSError as exc:
        raise _translate(exc, path) from exc


def _open(directory: Path) -> int:
    return os.open(directory, os.O_RDONLY | os.O_DIRECTORY)


def is_writable(path: Path) -> bool:
    """Return whether this user may write a file, and make others beside it."""
    mine = functools.partial(os.access, effective_ids=True)
    return mine(path, os.R_OK | os.W_OK) and mine(path.parent, os.W_OK | os.X_OK)


def has_journal(path: Path) -> bool:
    """Return whether a journal lies beside the file: somebody is writing, or died."""
    try:
        return path.with_name(f"{path.name}-journal").lstat().st_size > 0
    except OSError:
        return False


def uri_of(path: Path) -> str:
    """Return the address by which SQLite opens a file that exists, and creates none."""
    return f"file:{quote(os.fsencode(path))}?mode=rw"


def _check_file(path: Path, found: os.stat_result) -> None:
    if stat.S_ISLNK(found.st_mode):
        hint = "name the file that it points to"
        raise NotALedger(f"{path} is a symbolic link", hint=hint, resource=str(path))
    if not stat.S_ISREG(found.st_mode):
        hint = "name a file"
        raise NotALedger(f"{path} is no regular file", hint=hint, resource=str(path))
    if found.st_mode & stat.S_IWOTH:
        raise _unsafe(path, "everybody may write to it", f"chmod 600 {path}")
    if found.st_uid not in {0, os.geteuid(), path.parent.stat().st_uid}:
        # As in /tmp, where somebody else can put a file of that name.
        raise _unsafe(
            path, "it is somebody else's", "name a file in your own directory"
        )


def _check_directory(directory: Path) -> None:
    for each in (directory, *directory.parents):
        mode = each.stat().st_mode
        if mode & stat.S_IWOTH and not mode & stat.S_ISVTX:
            raise _unsafe(each, "everybody may write to it", f"chmod o-w {each}")
    kind = _filesystem(directory.stat().st_dev, _mounts())
    if kind.partition(".")[0] in _SHARED:
        hint = "keep the ledger on a local disk"
        raise _unsafe(directory, f"locks on {kind} cannot be relied on", hint)


def _mounts() -> list[str]:
    try:
        return _MOUNTS.read_text(errors="surrogateescape").splitlines()
    except OSError:
        return []


def _filesystem(device: int, mounts: Iterable[str]) -> str:
    """Return the type of a mounted file system; empty when the kernel does not say."""
    wanted = f"{os.major(device)}:{os.minor(device)}"
    for line in mounts:
        fields = line.split()
        if fields[2] == wanted:
            return fields[fields.index("-") + 1]
    return ""


def _unsafe(place: Path, reason: str, hint: str) -> LedgerError:
    message = f"{place} is no safe place for a ledger: {reason}"
    return LedgerError(message, hint=hint, resource=str(place))


def _translate(exc: OSError, path: Path) -> LedgerError:
    message = f"the ledger {path} cannot be used: {exc.strerror or exc}"
    if exc.errno in _REFUSALS:
        hint = "give this user access to the file and its directory"
        return LedgerReadOnly(message, hint=hint, resource=str(path))
    full = exc.errno in _FULL
    hint = "free some space on its disk" if full else ""
    return LedgerError(message, hint=hint, resource=str(path), retryable=full)
