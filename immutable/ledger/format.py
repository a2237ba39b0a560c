"""What a ledger looks like inside SQLite: opening, telling and founding one."""

import sqlite3
from datetime import timedelta
from pathlib import Path

from immutable.errors import LedgerError, LedgerTooNew
from immutable.ledger import place
from immutable.ledger.trouble import damaged

APPLICATION_ID = 0x696D6D75
"""``immu`` in ASCII: by this, in the file's header, a ledger is told."""
FORMAT = 1
RECORD_LIMIT_BYTES = 16 * 1024 * 1024

# With the rollback journal, EXTRA also syncs the directory once the journal is gone, so
# that what was committed survives a power cut.
_SAFETY = ("synchronous=EXTRA", "foreign_keys=ON", "trusted_schema=OFF")
# Rows lie in the order of their key: the newest is at the end of one walk downwards.
_CREATE = (
    """
    CREATE TABLE records (
        stream TEXT NOT NULL,
        sequence INTEGER NOT NULL,
        record BLOB NOT NULL,
        PRIMARY KEY (stream, sequence)
    ) WITHOUT ROWID
    """,
    f"PRAGMA application_id={APPLICATION_ID}",
    f"PRAGMA user_version={FORMAT}",
)
_TABLES = "SELECT type || ' ' || name FROM sqlite_master WHERE name NOT GLOB 'sqlite_*'"


def connect(path: Path, *, busy_timeout: timedelta) -> sqlite3.Connection:
    """Return a connection to a file that exists and is a ledger, or is empty.

    Whatever else it is stays as it was. After an unclean stop the file is checked.

    Raises:
        NotALedger, LedgerTooNew: it is something else, damaged, or newer than this.
        sqlite3.Error: SQLite says so.
    """
    suspicious = place.has_journal(path)
    connection = sqlite3.connect(
        place.uri_of(path),
        uri=True,
        timeout=busy_timeout.total_seconds(),
        isolation_level=None,
        check_same_thread=False,
    )
    try:
        _prepare(connection, path, suspicious=suspicious)
    except BaseException:
        connection.close()
        raise
    return connection


def _prepare(connection: sqlite3.Connection, path: Path, *, suspicious: bool) -> None:
    connection.setlimit(sqlite3.SQLITE_LIMIT_LENGTH, RECORD_LIMIT_BYTES)
    for setting in _SAFETY:
        connection.execute(f"PRAGMA {setting}")
    connection.execute("BEGIN")
    is_ledger(connection, path)
    # That read rolled back what a dead writer left; the journal of a live one remains.
    unclean = suspicious and not place.has_journal(path)
    connection.execute("COMMIT")
    # Not earlier: this would convert a file that is not ours.
    mode = _value(connection, "PRAGMA journal_mode=DELETE")
    if mode != "delete":
        raise LedgerError(f"the ledger {path} is in journal mode {mode}")
    if unclean and (problem := _value(connection, "PRAGMA quick_check(1)")) != "ok":
        raise damaged(path, str(problem))


def is_ledger(connection: sqlite3.Connection, path: Path) -> bool:
    """Return True for a ledger and False for an empty file, inside a transaction.

    Raises:
        NotALedger, LedgerTooNew: it is neither.
    """
    application = _value(connection, "PRAGMA application_id")
    version = _value(connection, "PRAGMA user_version")
    tables = [name for (name,) in connection.execute(_TABLES)]
    if (application, version, tables) == (0, 0, []):
        return False
    if application != APPLICATION_ID:
        raise damaged(path, "another program's database")
    if isinstance(version, int) and version > FORMAT:
        raise LedgerTooNew(
            f"the ledger {path} has format {version}, and this version reads {FORMAT}",
            hint="upgrade immutable-deploy",
            resource=str(path),
        )
    if version != FORMAT or tables != ["table records"]:
        raise damaged(path, "its tables are not a ledger's")
    return True


def found(connection: sqlite3.Connection) -> None:
    """Make an empty file a ledger, inside the transaction of its first record."""
    for statement in _CREATE:
        connection.execute(statement)


def _value(connection: sqlite3.Connection, statement: str) -> object:
    row = connection.execute(statement).fetchone()
    return row[0] if row else None
