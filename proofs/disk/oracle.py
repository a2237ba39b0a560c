"""Whether a ledger kept its promise, asked of the real store on a sound disk."""

import contextlib
import sqlite3
from collections.abc import Iterator
from pathlib import Path

from immutable.errors import ImmutableError
from immutable.ledger.sqlite import SqliteStore
from proofs.disk.workload import LEDGER, RECORDS, Numbered, stored

_MORE = Numbered(
    stream=RECORDS[-1].stream, sequence=RECORDS[-1].sequence + 1, record=b"more"
)
_ALL = (*RECORDS, _MORE)


def examine(directory: Path, *, least: int, most: int) -> tuple[str, ...]:
    """Return what is wrong with the ledger below a directory; nothing when all is well.

    The ledger is recovered and appended to.

    Args:
        directory: a run's directory, or a disk's state after a power cut.
        least: so many records were acknowledged.
        most: so many can be there: one more when its append had begun.
    """
    path = directory / LEDGER
    try:
        with contextlib.closing(SqliteStore(path)) as store:
            return tuple(_judge(store, path, least, most))
    except (ImmutableError, sqlite3.Error, OSError) as exc:
        return (f"{least} records are acknowledged: {type(exc).__name__}: {exc}",)


def _judge(store: SqliteStore, path: Path, least: int, most: int) -> Iterator[str]:
    found = stored(store)
    count = len(found)
    if found != RECORDS[:count]:
        yield f"what is stored is not what was appended: {count} records"
        return
    if not least <= count <= most:
        yield f"{count} records are there, but {least} to {most} must be"
    yield from _integrity(path)
    following = _ALL[count]
    store.append(following.stream, following.sequence, following.record)
    store.close()
    if stored(store) != _ALL[: count + 1]:
        yield f"an append after {count} records is not there when read back"
    yield from _integrity(path)
    if strangers := {each.name for each in path.parent.iterdir()} - {path.name}:
        yield f"left beside the ledger: {', '.join(sorted(strangers))}"


def _integrity(path: Path) -> Iterator[str]:
    if not path.exists():
        return
    with contextlib.closing(sqlite3.connect(path)) as connection:
        (problem,) = connection.execute("PRAGMA integrity_check(1)").fetchone()
    if problem != "ok":
        yield f"the integrity check says: {problem}"
