"""What SQLite's errors mean for the ledger."""

import sqlite3
from pathlib import Path

from immutable.errors import LedgerError, LedgerLocked, LedgerReadOnly, NotALedger
from immutable.ledger import place

_PRIMARY = 0xFF
_BUSY = frozenset({sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED})
_DAMAGED = frozenset(
    {sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB, sqlite3.SQLITE_TOOBIG}
)
# Where a directory cannot be written, SQLite says that it cannot open the journal.
_REFUSED = frozenset({sqlite3.SQLITE_READONLY, sqlite3.SQLITE_CANTOPEN})


def is_busy(exc: sqlite3.Error) -> bool:
    """Return whether somebody else's lock is the only trouble."""
    return _code_of(exc) in _BUSY


def translate(exc: sqlite3.Error | UnicodeDecodeError, path: Path) -> LedgerError:
    """Return the ledger's error for one of SQLite's that left nothing changed."""
    if isinstance(exc, UnicodeDecodeError):
        return damaged(path, "a name in it is no text")
    code, where = _code_of(exc), str(path)
    if code in _BUSY:
        return LedgerLocked(
            f"the ledger {path} is locked by another process",
            hint="wait until that one is done, or end it",
            resource=where,
            retryable=True,
        )
    if code in _REFUSED:
        return _refused(exc, path)
    if code in _DAMAGED:
        return damaged(path, str(exc))
    full = code == sqlite3.SQLITE_FULL
    return LedgerError(
        f"the ledger {path} cannot be used: {exc}",
        hint="free some space on its disk" if full else "",
        resource=where,
        retryable=full,
    )


def _refused(exc: sqlite3.Error, path: Path) -> LedgerError:
    message = f"the ledger {path} cannot be opened or written: {exc}"
    if place.is_writable(path):
        # SQLite says the same of a full disk and of too many open files.
        hint = "see whether its disk is full or failing, or too many files are open"
        return LedgerError(message, hint=hint, resource=str(path), retryable=True)
    hint = "give this user write access to the file and its directory"
    return LedgerReadOnly(message, hint=hint, resource=str(path))


def _code_of(exc: sqlite3.Error) -> int:
    # Errors that Python raises itself, as for a value out of range, have no code.
    return getattr(exc, "sqlite_errorcode", 0) & _PRIMARY


def damaged(path: Path, reason: str) -> NotALedger:
    """Return the error for a file that is no ledger, or not a whole one any more."""
    return NotALedger(
        f"{path} is no ledger, or a damaged one: {reason}",
        # SQLite calls what the disk fails to read malformed, too.
        hint="name another file; or check its disk, and restore it from a backup",
        resource=str(path),
    )
