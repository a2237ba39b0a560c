"""What must have reached the disk before a record is acknowledged."""

import contextlib
import os
import stat
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from immutable.errors import LedgerReadOnly
from immutable.ledger.sqlite import SqliteStore

S = "service/shop"
NOBODY = 65534


@pytest.fixture
def own() -> Iterator[Path]:
    """Return a directory of this user, who is not root while the test runs."""
    with tempfile.TemporaryDirectory() as name:
        user = os.geteuid()
        if user == 0:
            os.chown(name, NOBODY, NOBODY)
            os.seteuid(NOBODY)
        try:
            yield Path(name)
        finally:
            os.seteuid(user)


@pytest.fixture
def synced(monkeypatch: pytest.MonkeyPatch) -> list[Path]:
    """Return the directories that are synced by the store itself, as they are."""
    found: list[Path] = []
    fsync = os.fsync

    def record(descriptor: int) -> None:
        if stat.S_ISDIR(os.fstat(descriptor).st_mode):
            found.append(Path(f"/proc/self/fd/{descriptor}").readlink())
        fsync(descriptor)

    monkeypatch.setattr(os, "fsync", record)
    return found


def test_first_record_settles_every_directory(
    tmp_path: Path, synced: list[Path]
) -> None:
    """Directories that somebody else made, and may not have synced, are synced, too."""
    path = tmp_path / "a" / "b" / "ledger.db"
    path.parent.mkdir(parents=True, mode=0o700)
    path.touch(mode=0o600)
    with contextlib.closing(SqliteStore(path)) as store:
        store.append(S, 1, b"one")
        assert {path.parent, path.parent.parent, tmp_path} <= set(synced)
        synced.clear()
        store.append(S, 2, b"two")
        assert synced == []


def test_directory_above_that_cannot_be_opened(own: Path) -> None:
    """Somebody else's directory, which we may only pass, does not stand in the way."""
    path = own / "theirs" / "ours" / "ledger.db"
    path.parent.mkdir(parents=True, mode=0o700)
    path.parents[1].chmod(0o300)
    with contextlib.closing(SqliteStore(path)) as store:
        store.append(S, 1, b"one")
    path.parents[1].chmod(0o700)


def test_directory_that_cannot_be_synced(own: Path) -> None:
    """Where the directory cannot be opened to be synced, nothing is acknowledged."""
    path = own / "ledger.db"
    with contextlib.closing(SqliteStore(path)) as store:
        store.append(S, 1, b"one")
        own.chmod(0o300)
        with pytest.raises(LedgerReadOnly):
            store.append(S, 2, b"two")
        assert store.last(S) == (1, b"one")
        own.chmod(0o700)
        store.append(S, 2, b"two")


CROWDED = """
import os, resource, sys
from pathlib import Path
from immutable.errors import LedgerError
from immutable.ledger.sqlite import SqliteStore

store = SqliteStore(Path(sys.argv[1]))
store.append("service/shop", 1, b"one")
highest = max(int(name) for name in os.listdir("/proc/self/fd"))
_, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
filled = [os.dup(0) for _ in range(highest + 2)]
for free in range(int(sys.argv[2])):
    os.close(filled.pop())
resource.setrlimit(resource.RLIMIT_NOFILE, (filled[-1] + 1 + int(sys.argv[2]), hard))
try:
    store.append("service/shop", 2, b"two")
    print("acknowledged")
except LedgerError as exc:
    print(type(exc).__name__)
resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
assert store.last("service/shop") == (1, b"one")
store.append("service/shop", 2, b"two")
"""


@pytest.mark.parametrize("free", [0, 1])
def test_too_many_open_files(tmp_path: Path, free: int) -> None:
    """Without a descriptor for the journal, or for the sync, nothing is acknowledged.

    It is not called a matter of permissions either.
    """
    command = [
        sys.executable,
        "-P",
        "-c",
        CROWDED,
        str(tmp_path / "ledger.db"),
        str(free),
    ]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert (done.stdout, done.stderr) == ("LedgerError\n", "")
