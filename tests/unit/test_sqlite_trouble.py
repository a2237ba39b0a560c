import contextlib
import os
import sqlite3
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from immutable.errors import (
    Ambiguous,
    LedgerError,
    LedgerLocked,
    LedgerTooNew,
    NotALedger,
    SequenceTaken,
)
from immutable.ledger.format import APPLICATION_ID, FORMAT
from immutable.ledger.sqlite import SqliteStore

S = "service/shop"
CALLS: tuple[Callable[[SqliteStore], object], ...] = (
    lambda store: store.last(S),
    lambda store: store.append(S, (store.last(S) or (0,))[0] + 1, b"more"),
)


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


def _sql(path: Path, *statements: str) -> None:
    with contextlib.closing(sqlite3.connect(path, isolation_level=None)) as connection:
        for statement in statements:
            connection.execute(statement)


def _run(script: str, *arguments: object) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-c", script, *map(str, arguments)]
    return subprocess.run(command, stdout=subprocess.PIPE, text=True, check=False)


# -- what is no ledger


def _ledger(path: Path) -> None:
    with contextlib.closing(_store(path)) as store:
        _fill(store, 3)


def _text(path: Path) -> None:
    path.write_text("Dear diary,\n" * 100)


def _short_text(path: Path) -> None:
    path.write_text("hello")


def _other_database(path: Path) -> None:
    _sql(path, "CREATE TABLE customers (name TEXT)")


def _other_records(path: Path) -> None:
    _sql(path, "CREATE TABLE records (stream TEXT, sequence INTEGER, record BLOB)")


def _other_wal_database(path: Path) -> None:
    _sql(path, "PRAGMA journal_mode=WAL", "CREATE TABLE customers (name TEXT)")


def _other_application(path: Path) -> None:
    _sql(path, "PRAGMA application_id=7")


def _versioned_but_empty(path: Path) -> None:
    _sql(path, "PRAGMA user_version=7")


def _table_more(path: Path) -> None:
    _ledger(path)
    _sql(path, "CREATE TABLE customers (name TEXT)")


def _trigger_more(path: Path) -> None:
    _ledger(path)
    _sql(
        path,
        "CREATE TRIGGER t AFTER INSERT ON records BEGIN DELETE FROM records; END",
    )


def _record_of_text(path: Path) -> None:
    _ledger(path)
    _sql(path, "UPDATE records SET record = 'text' WHERE sequence = 3")


def _damaged_page(path: Path) -> None:
    _ledger(path)
    _overwrite(path, at=4096)


def _damaged_header(path: Path) -> None:
    _ledger(path)
    _overwrite(path, at=0)


def _cut_short(path: Path) -> None:
    _ledger(path)
    os.truncate(path, 4096)


def _overwrite(path: Path, *, at: int) -> None:
    with path.open("r+b") as file:
        file.seek(at)
        file.write(b"\xff" * 2048)


@pytest.mark.parametrize(
    "make",
    [
        _text,
        _short_text,
        _other_database,
        _other_records,
        _other_wal_database,
        _other_application,
        _versioned_but_empty,
        _table_more,
        _trigger_more,
        _record_of_text,
        _damaged_page,
        _damaged_header,
        _cut_short,
    ],
)
def test_not_a_ledger(
    store: SqliteStore, path: Path, make: Callable[[Path], None]
) -> None:
    """What is something else, or damaged, is told apart and stays as it was."""
    make(path)
    before = path.read_bytes()
    with pytest.raises(NotALedger) as caught:
        store.last(S)
    assert str(path) in str(caught.value)
    if make is not _record_of_text:
        with pytest.raises(NotALedger):
            store.append(S, 4, b"4")
    store.close()
    assert path.read_bytes() == before


def test_too_new(store: SqliteStore, path: Path) -> None:
    """A ledger of a later format is neither read nor written, also once opened."""
    _fill(store, 3)
    _sql(path, f"PRAGMA user_version={FORMAT + 1}", "CREATE TABLE more (x)")
    before = path.read_bytes()
    for _ in range(2):
        with pytest.raises(LedgerTooNew, match="upgrade"):
            store.last(S)
        with pytest.raises(LedgerTooNew):
            store.append(S, 4, b"4")
    assert path.read_bytes() == before


def test_empty_file_becomes_a_ledger(store: SqliteStore, path: Path) -> None:
    """A file that somebody made and died is a ledger without records."""
    path.touch(mode=0o600)
    assert store.last(S) is None
    assert path.stat().st_size == 0
    store.append(S, 1, b"one")
    header = path.read_bytes()[:100]
    assert header[68:72] == APPLICATION_ID.to_bytes(4)


@pytest.mark.parametrize(
    ("make", "words"),
    [
        (lambda path: path.mkdir(), "no regular file"),
        (os.mkfifo, "no regular file"),
        (lambda path: path.symlink_to("elsewhere.db"), "symbolic link"),
        (lambda path: path.symlink_to("nowhere/at/all"), "symbolic link"),
    ],
    ids=["directory", "fifo", "symlink", "dangling"],
)
def test_not_a_file(
    store: SqliteStore, path: Path, make: Callable[[Path], None], words: str
) -> None:
    """A link, a directory or a pipe is refused, and nothing is made behind it."""
    make(path)
    for call in CALLS:
        with pytest.raises(NotALedger, match=words):
            call(store)
    assert list(path.parent.iterdir()) == [path]


# -- a file that goes away


def test_removed_file_is_missed(store: SqliteStore, path: Path) -> None:
    """Nobody writes on into a file without a name: the lost history is noticed."""
    _fill(store, 3)
    path.unlink()
    assert store.last(S) is None
    with pytest.raises(NotALedger, match="replaced or cut short"):
        store.append(S, 4, b"4")
    assert not path.exists()


def test_replaced_file_is_opened(store: SqliteStore, path: Path) -> None:
    """A restored backup is read, not what was open before."""
    _fill(store, 3)
    with contextlib.closing(_store(path.with_name("backup.db"))) as backup:
        backup.append(S, 1, b"backup")
    path.with_name("backup.db").replace(path)
    assert store.last(S) == (1, b"backup")


# -- locks


def test_locked(path: Path) -> None:
    """Behind somebody else's lock, patience ends with an error worth a retry."""
    _ledger(path)
    with (
        contextlib.closing(_store(path, busy=0.05)) as store,
        contextlib.closing(sqlite3.connect(path, isolation_level=None)) as other,
    ):
        other.execute("BEGIN EXCLUSIVE")
        for call in CALLS:
            with pytest.raises(LedgerLocked) as caught:
                call(store)
            assert caught.value.retryable
        other.execute("COMMIT")
        assert _numbers(store) == [1, 2, 3]
        store.append(S, 4, b"4")


def test_waits_for_a_writer(path: Path) -> None:
    """An append that comes second waits for the first, and loses to it."""
    _ledger(path)
    with (
        contextlib.closing(_store(path)) as store,
        contextlib.closing(
            sqlite3.connect(path, isolation_level=None, check_same_thread=False)
        ) as other,
    ):
        assert _numbers(store) == [1, 2, 3]
        other.execute("BEGIN IMMEDIATE")
        other.execute("INSERT INTO records VALUES (?, 4, x'')", (S,))
        timer = threading.Timer(0.1, lambda: other.execute("COMMIT"))
        timer.start()
        with pytest.raises(SequenceTaken):
            store.append(S, 4, b"4")
        timer.join()
        assert store.last(S) == (4, b"")


def test_locked_at_commit(path: Path) -> None:
    """A reader that does not let go stops the commit; nothing is stored then."""
    _ledger(path)
    with (
        contextlib.closing(_store(path, busy=0.05)) as store,
        contextlib.closing(sqlite3.connect(path, isolation_level=None)) as other,
    ):
        other.execute("BEGIN")
        other.execute("SELECT count(*) FROM records").fetchall()
        with pytest.raises(LedgerLocked) as caught:
            store.append(S, 4, b"4")
        assert caught.value.retryable
        other.execute("COMMIT")
        assert _numbers(store) == [1, 2, 3]
        store.append(S, 4, b"4")


def test_waits_for_a_lock(path: Path) -> None:
    """A lock that is let go in time is no error."""
    _ledger(path)
    with (
        contextlib.closing(_store(path)) as store,
        contextlib.closing(
            sqlite3.connect(path, isolation_level=None, check_same_thread=False)
        ) as other,
    ):
        other.execute("BEGIN EXCLUSIVE")
        timer = threading.Timer(0.1, lambda: other.execute("COMMIT"))
        timer.start()
        store.append(S, 4, b"4")
        timer.join()
        assert _numbers(store) == [1, 2, 3, 4]


# -- trouble while writing


def test_full(store: SqliteStore) -> None:
    """Without space nothing is stored, and a retry may succeed."""
    store.append(S, 1, b"one")
    connection = store._connection
    assert connection is not None
    connection.execute("PRAGMA max_page_count=3")
    with pytest.raises(LedgerError, match="free some space") as caught:
        store.append(S, 2, bytes(100_000))
    assert caught.value.retryable
    assert store.last(S) == (1, b"one")
    store.append(S, 2, bytes(100_000))


LIMITED = """
import resource, sys
from pathlib import Path
from immutable.errors import LedgerError
from immutable.ledger.sqlite import SqliteStore

store = SqliteStore(Path(sys.argv[1]))
store.append("service/shop", 1, b"one")
resource.setrlimit(resource.RLIMIT_FSIZE, (20_000, resource.RLIM_INFINITY))
try:
    store.append("service/shop", 2, bytes(100_000))
except LedgerError as exc:
    print(type(exc).__name__, exc.retryable)
resource.setrlimit(resource.RLIMIT_FSIZE, (resource.RLIM_INFINITY,) * 2)
store.append("service/shop", 2, b"two")
"""


def test_write_error(path: Path, store: SqliteStore) -> None:
    """When the system refuses a write, nothing is stored, and the store goes on."""
    writer = _run(LIMITED, path)
    assert (writer.stdout, writer.returncode) == ("LedgerError False\n", 0)
    assert store.read(S, after=0, limit=9) == ((1, b"one"), (2, b"two"))


class FailingCommit:
    """A connection whose next commit reports an I/O error, done or not."""

    def __init__(
        self,
        inner: sqlite3.Connection,
        *,
        done: bool,
        then: Callable[[], object],
        code: int,
    ) -> None:
        self._code = code
        self._inner = inner
        self._done = done
        self._then = then

    def execute(
        self, statement: str, *values: tuple[str | int | bytes, ...]
    ) -> sqlite3.Cursor:
        """Execute on the real connection, but fail at the commit."""
        if statement != "COMMIT":
            return self._inner.execute(statement, *values)
        self._inner.execute("COMMIT" if self._done else "ROLLBACK")
        self._then()
        error = sqlite3.OperationalError("disk I/O error")
        error.sqlite_errorcode = self._code
        raise error

    def close(self) -> None:
        """Close the real connection."""
        self._inner.close()


def _fail_commit(
    store: SqliteStore,
    *,
    done: bool,
    then: Callable[[], object] = lambda: None,
    code: int = sqlite3.SQLITE_IOERR_DIR_FSYNC,
) -> None:
    assert store._connection is not None
    fake: Any = FailingCommit(store._connection, done=done, then=then, code=code)
    store._connection = fake


def test_failed_commit_that_happened(store: SqliteStore) -> None:
    """A commit that failed but is there when read back has succeeded."""
    store.append(S, 1, b"one")
    _fail_commit(store, done=True)
    store.append(S, 2, b"two")
    assert store.last(S) == (2, b"two")


def test_failed_commit_that_did_not_happen(store: SqliteStore) -> None:
    """A commit that failed and is not there when read back has changed nothing."""
    store.append(S, 1, b"one")
    _fail_commit(store, done=False)
    with pytest.raises(LedgerError, match="disk I/O error") as caught:
        store.append(S, 2, b"two")
    assert not isinstance(caught.value, Ambiguous)
    assert store.last(S) == (1, b"one")
    store.append(S, 2, b"two")


def test_failed_commit_after_which_another_came(store: SqliteStore, path: Path) -> None:
    """Somebody else's record under the number is not taken for one's own."""
    store.append(S, 1, b"one")
    with contextlib.closing(_store(path)) as other:
        _fail_commit(store, done=False, then=lambda: other.append(S, 2, b"theirs"))
        with pytest.raises(LedgerError, match="disk I/O error"):
            store.append(S, 2, b"mine")
        assert store.last(S) == (2, b"theirs")


@pytest.mark.parametrize("done", [True, False])
def test_failed_commit_that_cannot_be_read_back(
    store: SqliteStore, path: Path, *, done: bool
) -> None:
    """Where reading back fails too, the outcome is unknown, and said to be."""
    store.append(S, 1, b"one")
    _fail_commit(store, done=done, then=lambda: path.parent.chmod(0o777))
    with pytest.raises(Ambiguous, match="may or may not"):
        store.append(S, 2, b"two")
    path.parent.chmod(0o700)
    assert store.last(S) == ((2, b"two") if done else (1, b"one"))


def test_busy_commit_is_never_ambiguous(store: SqliteStore, path: Path) -> None:
    """A commit that was not even begun is known to have changed nothing."""
    store.append(S, 1, b"one")
    _fail_commit(
        store,
        done=False,
        then=lambda: path.parent.chmod(0o777),
        code=sqlite3.SQLITE_BUSY,
    )
    with pytest.raises(LedgerLocked):
        store.append(S, 2, b"two")


def test_interrupt_leaves_no_lock(store: SqliteStore, path: Path) -> None:
    """Whatever breaks off an append, nobody has to wait for it."""
    store.append(S, 1, b"one")
    connection = store._connection
    assert connection is not None

    def interrupt(statement: str) -> None:
        if statement.lstrip().startswith("INSERT"):
            connection.interrupt()

    connection.set_trace_callback(interrupt)
    with pytest.raises(LedgerError):
        store.append(S, 2, b"two")
    with contextlib.closing(_store(path, busy=0)) as other:
        other.append(S, 2, b"two")
