"""Bugs that a store could have: the harness proves itself by finding each of them."""

import contextlib
from collections.abc import Callable
from datetime import timedelta
from pathlib import Path
from sqlite3 import Connection, Error
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


def _journal_in_memory() -> None:
    connect = ledger_format.connect

    def unsafe(path: Path, *, busy_timeout: timedelta) -> Connection:
        connection = connect(path, busy_timeout=busy_timeout)
        connection.execute("PRAGMA journal_mode=MEMORY")
        return connection

    _replace(sqlite, "connect", unsafe)


def _acknowledge_early() -> None:
    append = SqliteStore.append
    waiting: list[tuple[str, int, bytes]] = []

    def late(store: SqliteStore, stream: str, sequence: int, record: bytes) -> None:
        while waiting:
            append(store, *waiting.pop())
        waiting.append((stream, sequence, record))

    _replace(SqliteStore, "append", late)


def _believe_commits() -> None:
    def commit(_store: SqliteStore, connection: Connection, *_: object) -> None:
        with contextlib.suppress(Error):
            connection.execute("COMMIT")

    _replace(SqliteStore, "_commit", commit)


def _deny_ambiguity() -> None:
    def translated(message: str, *, resource: str) -> LedgerError:
        return LedgerError(message, resource=resource)

    _replace(sqlite, "Ambiguous", translated)


def _settle_by_trying() -> None:
    def settle(store: SqliteStore) -> None:
        unsettled, store._unsettled = store._unsettled, False  # noqa: SLF001 - the bug
        if unsettled:
            place.settle(store.path)

    _replace(SqliteStore, "_settle", settle)


def _nothing(_: object) -> None:
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
        what="the journal is lost with the process", plant=_journal_in_memory
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
    "unsettled-founding": Planted(
        what="new directories are not synced",
        plant=lambda: _replace(place, "settle", _nothing),
    ),
    "unsettled-reading": Planted(
        what="what is read after an ambiguous commit is not synced first",
        plant=lambda: _replace(SqliteStore, "_settle", _nothing),
    ),
    "settled-by-trying": Planted(
        what="what could not be synced counts as synced", plant=_settle_by_trying
    ),
    "raw-errors": Planted(
        what="SQLite's own errors come out",
        plant=lambda: _replace(sqlite, "translate", _raw),
    ),
}
