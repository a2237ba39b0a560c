import contextlib
import os
import signal
import sqlite3
import stat
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from datetime import timedelta
from pathlib import Path

import pytest

from immutable.errors import (
    InvalidInput,
    NotALedger,
    SequenceTaken,
)
from immutable.ledger import place
from immutable.ledger.format import RECORD_LIMIT_BYTES
from immutable.ledger.sqlite import SqliteStore
from immutable.protocols import LedgerStore

S = "service/shop"


@pytest.fixture
def path(tmp_path: Path) -> Path:
    """Return where a ledger may come to be."""
    return tmp_path / "ledger.db"


@pytest.fixture
def store(path: Path) -> Iterator[SqliteStore]:
    """Return a store without a file."""
    with contextlib.closing(_store(path)) as opened:
        yield opened


def _store(path: Path, *, busy: float = 60) -> SqliteStore:
    return SqliteStore(path, busy_timeout=timedelta(seconds=busy))


def _fill(store: SqliteStore, count: int) -> None:
    for number in range(1, count + 1):
        store.append(S, number, b"%d" % number)


def _numbers(store: SqliteStore) -> list[int]:
    return [number for number, _ in store.read(S, after=0, limit=1_000_000)]


def _open_files() -> set[str]:
    names = Path("/proc/self/fd").iterdir()
    return {str(name.readlink()) for name in names if name.exists()}


def _sql(path: Path, *statements: str) -> None:
    with contextlib.closing(sqlite3.connect(path, isolation_level=None)) as connection:
        for statement in statements:
            connection.execute(statement)


def _run(script: str, *arguments: object) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-c", script, *map(str, arguments)]
    return subprocess.run(command, stdout=subprocess.PIPE, text=True, check=False)


def _python(script: str, *arguments: object) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, "-c", script, *map(str, arguments)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )


# -- what a store does


def test_reading_nothing_creates_nothing(tmp_path: Path) -> None:
    """A file that is not there reads as empty and stays away, directories too."""
    store: LedgerStore = _store(tmp_path / "a" / "b.db")
    assert store.last(S) is None
    assert store.read(S, after=0, limit=10) == ()
    assert list(tmp_path.iterdir()) == []


def test_first_append_makes_private_file(tmp_path: Path) -> None:
    """File and directories are made, readable for their owner alone, umask or not."""
    path = tmp_path / "a" / "b" / "ledger.db"
    before = os.umask(0)
    try:
        with contextlib.closing(_store(path)) as store:
            store.append(S, 1, b"one")
    finally:
        os.umask(before)
    modes = [stat.S_IMODE(p.stat().st_mode) for p in (path, *path.parents[:2])]
    assert modes == [0o600, 0o700, 0o700]
    assert list(path.parent.iterdir()) == [path]


def test_reads_back(store: SqliteStore) -> None:
    """Records come back as they were, in order, as many as asked for."""
    records = [bytes(range(256)), b"", b"\x00" * 10_000, b"four"]
    for number, record in enumerate(records, start=1):
        store.append(S, number, record)
    every = tuple(enumerate(records, start=1))
    assert store.read(S, after=0, limit=10) == every
    assert store.read(S, after=1, limit=2) == every[1:3]
    assert store.read(S, after=4, limit=10) == ()
    assert store.read(S, after=0, limit=0) == ()
    assert store.read(S, after=0, limit=-1) == ()
    assert store.last(S) == every[-1]


def test_streams_are_apart(store: SqliteStore) -> None:
    """Each stream has its own numbers."""
    store.append("a", 1, b"a1")
    store.append("b", 1, b"b1")
    store.append("a", 2, b"a2")
    assert store.last("a") == (2, b"a2")
    assert store.read("b", after=0, limit=10) == ((1, b"b1"),)
    assert store.last("c") is None


def test_others_see_it(path: Path, store: SqliteStore) -> None:
    """What one store appended another reads, also one that looked before."""
    with contextlib.closing(_store(path)) as other:
        assert other.last(S) is None
        store.append(S, 1, b"one")
        assert other.last(S) == (1, b"one")
        other.append(S, 2, b"two")
        assert store.last(S) == (2, b"two")


def test_closed_store_opens_again(store: SqliteStore, path: Path) -> None:
    """Closing lets go of the file, and is no end."""
    store.append(S, 1, b"one")
    assert str(path) in _open_files()
    store.close()
    store.close()
    assert str(path) not in _open_files()
    assert store.last(S) == (1, b"one")


@pytest.mark.parametrize("number", [1, 2, 3])
def test_taken(store: SqliteStore, number: int) -> None:
    """A number in use stays what it is, and the next one is free."""
    _fill(store, 3)
    with pytest.raises(SequenceTaken):
        store.append(S, number, b"mine")
    assert store.read(S, after=0, limit=9) == ((1, b"1"), (2, b"2"), (3, b"3"))
    store.append(S, 4, b"4")


@pytest.mark.parametrize("count", [0, 3])
def test_gap_is_refused(store: SqliteStore, path: Path, count: int) -> None:
    """A number that leaves a gap says that the history was lost; nothing is made."""
    _fill(store, count)
    with pytest.raises(NotALedger, match=f"ends at record {count}"):
        store.append(S, count + 2, b"far")
    assert _numbers(store) == list(range(1, count + 1))
    assert path.exists() == bool(count)


@pytest.mark.parametrize(
    ("number", "record"), [(0, b""), (-1, b""), (1, bytes(RECORD_LIMIT_BYTES))]
)
def test_nonsense_is_refused(
    store: SqliteStore, path: Path, number: int, record: bytes
) -> None:
    """What no engine appends is refused before anything happens."""
    with pytest.raises(InvalidInput):
        store.append(S, number, record)
    assert not path.exists()


def test_settings(store: SqliteStore, path: Path) -> None:
    """Every durable setting is in force, whatever somebody did to the file."""
    store.append(S, 1, b"one")
    store.close()
    _sql(path, "PRAGMA journal_mode=WAL")
    store.append(S, 2, b"two")
    connection = store._connection
    assert connection is not None
    names = ("journal_mode", "synchronous", "foreign_keys", "trusted_schema")
    found = [connection.execute(f"PRAGMA {name}").fetchone()[0] for name in names]
    assert found == ["delete", 3, 1, 0]


# -- cost


MORE_RECORDS = """
    WITH RECURSIVE n(i) AS (SELECT 12 UNION ALL SELECT i+1 FROM n LIMIT 20000)
    INSERT INTO records SELECT 'service/shop', i, x'78' FROM n
    """


def _steps(store: SqliteStore, call: Callable[[], object]) -> int:
    """Return how many instructions SQLite's machine ran for a call."""
    counted: list[None] = []
    connection = store._connection
    assert connection is not None
    connection.set_progress_handler(lambda: counted.append(None), 1)
    call()
    connection.set_progress_handler(None, 1)
    return len(counted)


def test_cost_does_not_grow(store: SqliteStore, path: Path) -> None:
    """Append, last and a page take as many instructions at 20,010 records as at 10."""

    def costs(end: int) -> list[int]:
        return [
            _steps(store, lambda: store.append(S, end + 1, b"x")),
            _steps(store, lambda: store.last(S)),
            _steps(store, lambda: store.read(S, after=end - 1, limit=1)),
        ]

    _fill(store, 10)
    few = costs(10)
    _sql(path, MORE_RECORDS)
    assert costs(20_011) == few
    assert min(few) > 10


# -- several at once

RACER = """
import sys
from datetime import timedelta
from pathlib import Path
from immutable.errors import SequenceTaken
from immutable.ledger.sqlite import SqliteStore

store = SqliteStore(Path(sys.argv[1]), busy_timeout=timedelta(seconds=60))
for line in sys.stdin:
    number, name = line.split()
    try:
        store.append("service/shop", int(number), name.encode())
        print("won", flush=True)
    except SequenceTaken:
        print("lost", flush=True)
"""


def test_processes_race(path: Path, store: SqliteStore) -> None:
    """Of processes that race for a number exactly one wins, and its record stays."""
    names = ("a", "b", "c")
    racers = [_python(RACER, path) for _ in names]
    winners = []
    for number in range(1, 301):
        for racer, name in zip(racers, names, strict=True):
            _say(racer, f"{number} {name}")
        said = [_hear(racer) for racer in racers]
        assert sorted(said) == ["lost", "lost", "won"]
        winners.append((number, names[said.index("won")].encode()))
    for racer in racers:
        racer.communicate()
    assert store.read(S, after=0, limit=1000) == tuple(winners)


def _say(process: subprocess.Popen[str], line: str) -> None:
    assert process.stdin is not None
    process.stdin.write(f"{line}\n")
    process.stdin.flush()


def _hear(process: subprocess.Popen[str]) -> str:
    assert process.stdout is not None
    return process.stdout.readline().strip()


def test_threads_race(store: SqliteStore) -> None:
    """Threads share a store; each number has one winner."""
    won: list[int] = []

    def race() -> None:
        for number in range(1, 51):
            with contextlib.suppress(SequenceTaken):
                store.append(S, number, b"x")
                won.append(number)

    threads = [threading.Thread(target=race) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(won) == _numbers(store) == list(range(1, 51))


FORKER = """
import os, sys
from pathlib import Path
from immutable.ledger.sqlite import SqliteStore

store = SqliteStore(Path(sys.argv[1]))
store.append("service/shop", 1, b"parent")
inherited = store._connection
child = os.fork()
if child == 0:
    store.append("service/shop", 2, b"child")
    os._exit(0 if store._connection is not inherited else 3)
status = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
store.append("service/shop", 3, b"parent")
sys.exit(status if store._connection is inherited else 4)
"""


def test_fork(path: Path, store: SqliteStore) -> None:
    """A forked child takes a connection of its own; both go on appending."""
    assert _run(FORKER, path).returncode == 0
    assert [record for _, record in store.read(S, after=0, limit=9)] == [
        b"parent",
        b"child",
        b"parent",
    ]


# -- dying in the middle

WRITER = """
import sys
from pathlib import Path
from immutable.ledger.sqlite import SqliteStore

store = SqliteStore(Path(sys.argv[1]))
number = (store.last("service/shop") or (0, b""))[0]
while True:
    number += 1
    store.append("service/shop", number, b"x" * 5000)
    print(number, flush=True)
"""

# Its cache is too small for what it writes, so the file itself is changed already.
SPILLER = """
import os, signal, sqlite3, sys

connection = sqlite3.connect(sys.argv[1], isolation_level=None)
connection.execute("PRAGMA cache_size=5")
connection.execute("BEGIN IMMEDIATE")
for number in range(1000, 1200):
    values = ("service/shop", number, bytes(2000))
    connection.execute("INSERT INTO records VALUES (?, ?, ?)", values)
connection.execute("UPDATE records SET record = x'00'")
os.kill(os.getpid(), signal.SIGKILL)
"""


def _hot_journal(path: Path) -> Path:
    """Leave what a writer leaves that is killed in the middle; return its journal."""
    assert _run(SPILLER, path).returncode == -signal.SIGKILL
    journal = path.with_name(f"{path.name}-journal")
    assert journal.stat().st_size > 512
    return journal


def test_killed_writer_loses_nothing(path: Path, store: SqliteStore) -> None:
    """Whenever a writer is killed, all that it acknowledged is there, without gaps."""
    for acknowledged in range(1, 11):
        writer = _python(WRITER, path)
        numbers = [int(_hear(writer)) for _ in range(acknowledged)]
        writer.kill()
        # not communicate(): it passes over lines that were read ahead
        numbers += [int(line) for line in writer.stdout.read().split()]
        writer.communicate()
        found = _numbers(store)
        assert found == list(range(1, len(found) + 1))
        assert found[-1] in {numbers[-1], numbers[-1] + 1}
    store.append(S, found[-1] + 1, b"mine")


def test_hot_journal_is_rolled_back(path: Path) -> None:
    """What a dead writer had half written is undone before anything is read."""
    with contextlib.closing(_store(path)) as store:
        _fill(store, 3)
    journal = _hot_journal(path)
    with contextlib.closing(_store(path)) as store:
        assert store.read(S, after=0, limit=9) == ((1, b"1"), (2, b"2"), (3, b"3"))
        assert not journal.exists()
        store.append(S, 4, b"4")


def test_unclean_stop_is_checked(path: Path) -> None:
    """After an unclean stop, damage is found where no record is being looked for."""
    with contextlib.closing(_store(path)) as store:
        for number in range(1, 200):
            store.append(S, number, bytes(1000))
    _overwrite(path, at=4096 * 20)
    with contextlib.closing(_store(path)) as store:
        assert store.last(S) == (199, bytes(1000))
    _hot_journal_of_one_page(path)
    with contextlib.closing(_store(path)) as store, pytest.raises(NotALedger):
        store.last(S)


def _hot_journal_of_one_page(path: Path) -> None:
    script = SPILLER.replace("UPDATE records SET record = x'00'", "SELECT 1")
    assert _run(script, path).returncode == -signal.SIGKILL
    assert place.has_journal(path)


def _overwrite(path: Path, *, at: int) -> None:
    with path.open("r+b") as file:
        file.seek(at)
        file.write(b"\xff" * 2048)
