"""What the ledger costs, and that its cost does not grow with the length of history."""

import secrets
import sqlite3
import tempfile
from datetime import timedelta
from pathlib import Path
from typing import cast

import attrs

import immutable
from bench.figures import Figure, Target, compared
from bench.histories import SERVICE, write_history
from bench.report import say
from bench.sampling import take_turns, timed
from bench.settings import Settings
from immutable.host import ThisHost
from immutable.ledger.format import connect, found
from immutable.ledger.journal import SNAPSHOT_EVERY, Journal
from immutable.ledger.records import Renewed
from immutable.ledger.sqlite import SqliteStore
from immutable.model import Routing, SwitchView, Version
from immutable.protocols import PROTOCOL_VERSION, Backend, Switch

SIZES = (10, 10_000, 1_000_000)
_RECORD_BYTES = 420
_TURNS = 2 * (SNAPSHOT_EVERY + 1)
"""Two snapshots, and every distance from the last one, twice."""
_APPEND = "INSERT INTO records (stream, sequence, record) VALUES (?, ?, ?)"
_LAST = "SELECT * FROM records ORDER BY sequence DESC LIMIT 1"
_GROWTH = Target(limit=1.5, on="ratio")
"""Noise included: were the cost to grow with history, this would be thousands."""


def measure(settings: Settings) -> tuple[Figure, ...]:
    """Return the cost of `append` and `status` at each length of history."""
    with tempfile.TemporaryDirectory(prefix="immutable-bench-") as folder:
        ledgers = [Ledger.made(Path(folder), size) for size in SIZES]
        floor = Floor.made(Path(folder))
        acts = [act for ledger in ledgers for act in (ledger.append, ledger.status)]
        *samples, inserts, rows = take_turns(
            settings.turns(_TURNS), *map(timed, (*acts, floor.insert, floor.read))
        )
    appends, statuses = samples[::2], samples[1::2]
    return (
        *_figures("append", appends, inserts, "sqlite3 insert, same pragmas"),
        *_figures("status", statuses, rows, "sqlite3 open and select of one row"),
        _growth("append", appends),
        _growth("status", statuses),
    )


def _figures(
    name: str, ours: list[list[float]], floor: list[float], beside: str
) -> tuple[Figure, ...]:
    return tuple(
        compared(f"ledger.{name}_at_{size}", "ms", samples, floor, beside=beside)
        for size, samples in zip(SIZES, ours, strict=True)
    )


def _growth(name: str, ours: list[list[float]]) -> Figure:
    *_, middle, long = ours
    return compared(
        f"ledger.{name}_growth_at_{SIZES[-1]}",
        "ms",
        long,
        middle,
        beside=f"the same at {SIZES[-2]} records",
        target=_GROWTH,
    )


@attrs.frozen
class Ledger:
    """One service's ledger with a history, as calls on the service use it."""

    service: immutable.Service
    journal: Journal

    @classmethod
    def made(cls, folder: Path, size: int) -> "Ledger":
        """Make a ledger with so many records."""
        say(f"  writing a history of {size} records")
        path = folder / f"{size}.db"
        write_history(path, size)
        journal = Journal(SqliteStore(path), SERVICE, ThisHost())
        journal.load()
        return cls(_service(path), journal)

    def append(self) -> None:
        """Append one record, and the snapshot where one is due."""
        self.journal.append(Renewed())

    def status(self) -> None:
        """Ask how the service stands: opens the file anew, as every call does."""
        immutable.status(self.service)


class _Still:
    """Stands for a backend, and for a switch that answers at once."""

    protocol_version = PROTOCOL_VERSION
    name = "still"

    def read(self) -> SwitchView:
        """Return a switch that was never set up."""
        return SwitchView(routing=Routing(), version=Version(""))


def _service(path: Path) -> immutable.Service:
    still = _Still()
    return immutable.Service(
        SERVICE,
        backend=cast("Backend", still),
        switch=cast("Switch", still),
        ledger=f"sqlite:///{path}",
        ports=8080,
    )


@attrs.define
class Floor:
    """The least that SQLite itself does for one durable record, and to read one."""

    path: Path
    connection: sqlite3.Connection
    number: int = 0

    @classmethod
    def made(cls, folder: Path) -> "Floor":
        """Make an empty file with the ledger's own table and settings."""
        path = folder / "floor.db"
        path.touch()
        connection = connect(path, busy_timeout=timedelta(seconds=5))
        connection.execute("BEGIN IMMEDIATE")
        found(connection)
        connection.execute("COMMIT")
        return cls(path, connection)

    def insert(self) -> None:
        """Insert one record durably."""
        self.number += 1
        record = secrets.token_bytes(_RECORD_BYTES)
        self.connection.execute("BEGIN IMMEDIATE")
        self.connection.execute(_APPEND, ("floor", self.number, record))
        self.connection.execute("COMMIT")

    def read(self) -> None:
        """Open the file anew and read the last record."""
        connection = sqlite3.connect(self.path)
        connection.execute(_LAST).fetchone()
        connection.close()
