"""Bugs that a store could have: the harness proves itself by finding each of them."""

from collections.abc import Callable
from pathlib import Path
from unittest.mock import patch

import attrs

from immutable.errors import LedgerError
from immutable.ledger import format as ledger_format
from immutable.ledger import place, sqlite
from immutable.ledger.sqlite import SqliteStore


@attrs.frozen(kw_only=True)
class Planted:
    """A bug: what it is, and how this process gets it until it ends."""

    what: str
    plant: Callable[[], None]


def _settings(*settings: str) -> Callable[[], None]:
    return lambda: _replace(ledger_format, "_SAFETY", settings)


def _replace(owner: object, name: str, value: object) -> None:
    patch.object(owner, name, value).start()


def _acknowledge_early() -> None:
    append = SqliteStore.append
    waiting: list[tuple[str, int, bytes]] = []

    def late(store: SqliteStore, stream: str, sequence: int, record: bytes) -> None:
        while waiting:
            append(store, *waiting.pop())
        waiting.append((stream, sequence, record))

    _replace(SqliteStore, "append", late)


def _believe_commits() -> None:
    def commit(
        _store: SqliteStore, connection: sqlite.sqlite3.Connection, *_: object
    ) -> None:
        try:
            connection.execute("COMMIT")
        except sqlite.sqlite3.Error:
            return

    _replace(SqliteStore, "_commit", commit)


def _deny_ambiguity() -> None:
    def translated(message: str, *, resource: str) -> LedgerError:
        return LedgerError(message, resource=resource)

    _replace(sqlite, "Ambiguous", translated)


def _no_sync(_directory: Path) -> None:
    return


def _raw(exc: Exception, _path: Path) -> Exception:
    return exc


PLANTED = {
    "no-sync": Planted(what="nothing is synced", plant=_settings("synchronous=OFF")),
    "no-directory-sync": Planted(
        what="the end of the journal is not synced",
        plant=_settings("synchronous=FULL"),
    ),
    "journal-in-memory": Planted(
        what="the journal is lost with the process",
        plant=_settings("synchronous=EXTRA", "journal_mode=MEMORY"),
    ),
    "acknowledge-early": Planted(
        what="a record is acknowledged before it is written", plant=_acknowledge_early
    ),
    "believe-commits": Planted(
        what="a failed commit counts as one", plant=_believe_commits
    ),
    "deny-ambiguity": Planted(
        what="an unknown outcome is called a failure", plant=_deny_ambiguity
    ),
    "unsynced-directories": Planted(
        what="new directories are not synced",
        plant=lambda: _replace(place, "sync", _no_sync),
    ),
    "raw-errors": Planted(
        what="SQLite's own errors come out",
        plant=lambda: _replace(sqlite, "translate", _raw),
    ),
}
