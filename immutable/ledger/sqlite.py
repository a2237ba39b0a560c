"""Records in one SQLite file on a local disk, shared by processes and threads."""

import contextlib
import os
import sqlite3
import threading
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path
from urllib.parse import unquote

from immutable.durations import duration
from immutable.errors import (
    Ambiguous,
    InvalidInput,
    LedgerError,
    NotALedger,
    SequenceTaken,
)
from immutable.ledger import place
from immutable.ledger.format import RECORD_LIMIT_BYTES, connect, found, is_ledger
from immutable.ledger.place import default_ledger_path
from immutable.ledger.trouble import damaged, is_busy, translate
from immutable.model import ServiceName
from immutable.urls import Url

__all__ = ["SqliteStore", "default_ledger_path", "open_ledger", "open_sqlite"]

_BUSY_TIMEOUT = timedelta(seconds=5)
_APPEND = "INSERT INTO records (stream, sequence, record) VALUES (?, ?, ?)"
_READ = """
    SELECT sequence, record FROM records
    WHERE stream = ? AND sequence > ? ORDER BY sequence LIMIT ?
    """
_LAST = """
    SELECT sequence, record FROM records
    WHERE stream = ? ORDER BY sequence DESC LIMIT 1
    """
_END = """
    SELECT sequence FROM records
    WHERE stream = ? ORDER BY sequence DESC LIMIT 1
    """
# Closing a connection from before a fork could roll back what the parent is writing:
# these stay open for as long as the process lives.
_INHERITED: list[sqlite3.Connection | None] = []

_Rows = tuple[tuple[int, bytes], ...]


class SqliteStore:
    """Numbered records in a file that the first append makes: a `LedgerStore`.

    There is no I/O before the first call. One connection is kept, for one thread at a
    time; it is made anew where the file was replaced or the process has forked.

    Args:
        path: the file; SQLite keeps its journal beside it.
        busy_timeout: how long to wait for other processes before `LedgerLocked`.
    """

    def __init__(self, path: Path, *, busy_timeout: timedelta = _BUSY_TIMEOUT) -> None:
        self._connection: sqlite3.Connection | None = None
        self._identity: place.Identity | None = None
        self._pid = os.getpid()
        self._lock = threading.Lock()
        self._unsettled = False
        self._busy_timeout = busy_timeout
        self.path = path.absolute()

    def append(self, stream: str, sequence: int, record: bytes) -> None:
        """Store a record durably under the next number of its stream.

        Raises:
            SequenceTaken: the number is in use; nothing was changed.
            Ambiguous: it may or may not be stored; read to know.
            InvalidInput: the number is below 1, or the record too large.
            LedgerError: nothing was changed. It is a `NotALedger` where the number
                would leave a gap: the file was replaced or cut short.
        """
        _check(sequence, record)
        with self._session():
            connection = self._open()
            if connection is None:
                self._check_next(stream, sequence, end=0)
                connection = self._make()
            connection.execute("BEGIN IMMEDIATE")
            if not is_ledger(connection, self.path):
                place.settle(self.path)
                found(connection)
            row = connection.execute(_END, (stream,)).fetchone()
            self._check_next(stream, sequence, end=row[0] if row else 0)
            connection.execute(_APPEND, (stream, sequence, record))
            # SQLite commits without syncing a directory that it cannot open.
            place.require_syncable(self.path)
            self._commit(connection, stream, sequence, record)

    def read(self, stream: str, *, after: int, limit: int) -> _Rows:
        """Return at most ``limit`` records with higher numbers, in ascending order.

        Raises:
            LedgerError: the records cannot be read or trusted.
        """
        with self._session():
            rows = self._rows(_READ, (stream, after, max(limit, 0)))
            first = max(after, 0) + 1
            if any(number != at for at, (number, _) in enumerate(rows, start=first)):
                raise damaged(self.path, f"records of {stream} are missing")
        return rows

    def last(self, stream: str) -> tuple[int, bytes] | None:
        """Return the record with the highest number, at a cost that does not grow.

        Raises:
            LedgerError: the records cannot be read or trusted.
        """
        with self._session():
            rows = self._rows(_LAST, (stream,))
        return rows[0] if rows else None

    def close(self) -> None:
        """Close the connection; the next call opens another."""
        with self._session():
            self._drop()

    def __del__(self) -> None:
        self._leave_parent()
        self._drop()

    @contextlib.contextmanager
    def _session(self) -> Iterator[None]:
        """Keep other threads out, and after trouble leave no transaction behind."""
        self._leave_parent()
        with self._lock:
            try:
                yield
            except SequenceTaken:
                # The ordinary end of a lost race; the connection is sound.
                if self._connection is not None:
                    self._connection.rollback()
                raise
            # It is Python that fails to decode a name in a damaged file.
            except (sqlite3.Error, UnicodeDecodeError) as exc:
                self._drop()
                raise translate(exc, self.path) from exc
            except BaseException:
                self._drop()
                raise

    def _leave_parent(self) -> None:
        if self._pid != os.getpid():
            _INHERITED.append(self._connection)
            self._connection, self._pid = None, os.getpid()
            # A thread that held it was not taken along.
            self._lock = threading.Lock()

    def _open(self) -> sqlite3.Connection | None:
        """Return a connection to the file that is there now, None when none is."""
        if self._connection and not place.is_still(self.path, self._identity):
            self._drop()
        if self._connection is None:
            self._identity = place.look(self.path)
            if self._identity is not None:
                self._settle()
                self._connection = connect(self.path, busy_timeout=self._busy_timeout)
        return self._connection

    def _settle(self) -> None:
        """Sync what a failed commit may have left unsynced, before anybody reads it."""
        if self._unsettled:
            place.settle(self.path)
            self._unsettled = False

    def _make(self) -> sqlite3.Connection:
        place.make(self.path)
        connection = self._open()
        if connection is None:
            raise LedgerError(f"the ledger {self.path} was removed while being made")
        return connection

    def _drop(self) -> None:
        connection, self._connection = self._connection, None
        if connection is not None:
            connection.close()

    def _rows(self, statement: str, values: tuple[str | int, ...]) -> _Rows:
        connection = self._open()
        if connection is None:
            return ()
        connection.execute("BEGIN")
        known = is_ledger(connection, self.path)
        rows = connection.execute(statement, values).fetchall() if known else []
        connection.execute("COMMIT")
        if not all(isinstance(record, bytes) for _, record in rows):
            raise damaged(self.path, "a record is no bytes")
        return tuple(rows)

    def _check_next(self, stream: str, sequence: int, *, end: int) -> None:
        if sequence <= end:
            raise SequenceTaken(
                f"record {sequence} of {stream} is taken: somebody else was first",
                resource=str(self.path),
            )
        if sequence > end + 1:
            raise NotALedger(
                f"{stream} ends at record {end}, so {sequence} cannot follow",
                hint=f"{self.path} was replaced or cut short; restore it",
                resource=str(self.path),
            )

    def _commit(
        self, connection: sqlite3.Connection, stream: str, sequence: int, record: bytes
    ) -> None:
        try:
            connection.execute("COMMIT")
        except sqlite3.Error as exc:
            if is_busy(exc) or not self._was_kept(stream, sequence, record, exc):
                raise

    def _was_kept(
        self, stream: str, sequence: int, record: bytes, cause: sqlite3.Error
    ) -> bool:
        """Return whether a record is stored whose commit failed, by reading it back."""
        self._drop()
        self._unsettled = True
        try:
            rows = self._rows(_READ, (stream, sequence - 1, 1))
        except (sqlite3.Error, LedgerError):
            message = f"record {sequence} of {stream} may or may not be stored: {cause}"
            raise Ambiguous(message, resource=str(self.path)) from cause
        return rows == ((sequence, record),)


def open_sqlite(url: Url) -> SqliteStore:
    """Return the store at ``sqlite:////absolute/path`` or ``sqlite:///relative/path``.

    Args:
        url: its one option is ``busy_timeout``, a duration such as ``2s``.

    Raises:
        InvalidInput: it names a host, no file, or an option that nobody knows.
    """
    path = unquote(url.path[1:])
    if url.host or not path or path.endswith("/") or "\0" in path or path == ":memory:":
        raise InvalidInput(
            f"{url} names no file on this machine",
            hint="write sqlite:////absolute/path or sqlite:///relative/path",
        )
    url.require_known("busy_timeout")
    busy_timeout = duration(url.option("busy_timeout", "5s"))
    return SqliteStore(Path(path), busy_timeout=busy_timeout)


def open_ledger(url: Url, *, service: ServiceName) -> SqliteStore:  # noqa: ARG001 - a file has a stream for each service
    """Return the store at an address: what the entry point ``sqlite`` names."""
    return open_sqlite(url)


def _check(sequence: int, record: bytes) -> None:
    if sequence < 1:
        raise InvalidInput(f"record {sequence}: the first is number 1")
    # SQLite's own limit is for the row, which is slightly larger.
    if len(record) > RECORD_LIMIT_BYTES - 4096:
        raise InvalidInput(f"a record of {len(record)} bytes is too large")
