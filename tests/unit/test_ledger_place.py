import contextlib
import os
import tempfile
from collections.abc import Callable, Iterator
from datetime import timedelta
from pathlib import Path

import pytest

from immutable.errors import (
    InvalidInput,
    LedgerError,
    LedgerReadOnly,
)
from immutable.ledger import place
from immutable.ledger.sqlite import SqliteStore, default_ledger_path, open_sqlite
from immutable.model import ServiceName
from immutable.urls import Url

S = "service/shop"
NOBODY = 65534
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


def _numbers(store: SqliteStore) -> list[int]:
    return [number for number, _ in store.read(S, after=0, limit=1_000_000)]


def _fill(store: SqliteStore, count: int) -> None:
    for number in range(1, count + 1):
        store.append(S, number, b"%d" % number)


def _ledger(path: Path) -> None:
    with contextlib.closing(_store(path)) as store:
        _fill(store, 3)


# -- permissions and places


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


def test_read_only_file(own: Path) -> None:
    """A file that may only be read is read; an append says what is missing."""
    path = own / "ledger.db"
    _ledger(path)
    path.chmod(0o400)
    with contextlib.closing(_store(path)) as store:
        assert _numbers(store) == [1, 2, 3]
        with pytest.raises(LedgerReadOnly, match="write access"):
            store.append(S, 4, b"4")
        path.chmod(0o600)
        store.append(S, 4, b"4")


def test_read_only_directory(own: Path) -> None:
    """Without room for the journal, the file is read and not written."""
    path = own / "ledger.db"
    _ledger(path)
    own.chmod(0o500)
    with contextlib.closing(_store(path)) as store:
        assert _numbers(store) == [1, 2, 3]
        with pytest.raises(LedgerReadOnly, match="directory"):
            store.append(S, 4, b"4")
        own.chmod(0o700)
        assert _numbers(store) == [1, 2, 3]
        store.append(S, 4, b"4")


@pytest.mark.parametrize("name", ["ledger.db", "deep/er/ledger.db"])
def test_nothing_can_be_made(own: Path, name: str) -> None:
    """Where the first append may create nothing, it says so."""
    own.chmod(0o500)
    store = _store(own / name)
    assert store.last(S) is None
    with pytest.raises(LedgerReadOnly):
        store.append(S, 1, b"one")
    own.chmod(0o700)


def test_unreadable(own: Path) -> None:
    """A file that cannot even be seen is never taken for an empty one."""
    path = own / "closed" / "ledger.db"
    _ledger(path)
    path.parent.chmod(0)
    with pytest.raises(LedgerReadOnly):
        _store(path).last(S)
    path.parent.chmod(0o700)
    path.chmod(0)
    with pytest.raises(LedgerReadOnly):
        _store(path).last(S)


def test_parent_is_a_file(tmp_path: Path) -> None:
    """A path through a file is refused as what it is."""
    (tmp_path / "file").touch()
    store = _store(tmp_path / "file" / "ledger.db")
    for call in CALLS:
        with pytest.raises(LedgerError, match="Not a directory"):
            call(store)


@pytest.mark.parametrize("mode", [0o777, 0o703])
def test_open_directory_is_refused(tmp_path: Path, mode: int) -> None:
    """Where everybody may put another file in its place, there is no ledger."""
    tmp_path.chmod(mode)
    for path in (tmp_path / "ledger.db", tmp_path / "below" / "ledger.db"):
        with pytest.raises(LedgerError, match="no safe place"):
            _store(path).append(S, 1, b"one")
    assert list(tmp_path.iterdir()) == []


def test_sticky_directory_is_fine(tmp_path: Path) -> None:
    """In a directory like /tmp nobody can put another file in its place."""
    tmp_path.chmod(0o1777)
    with contextlib.closing(_store(tmp_path / "ledger.db")) as store:
        store.append(S, 1, b"one")
        assert store.last(S) == (1, b"one")


def test_directory_opened_later(path: Path) -> None:
    """An existing ledger in an open directory, or open itself, is not trusted."""
    _ledger(path)
    path.chmod(0o602)
    with pytest.raises(LedgerError, match="chmod 600"):
        _store(path).last(S)
    path.chmod(0o600)
    path.parent.chmod(0o777)
    with pytest.raises(LedgerError, match="chmod o-w"):
        _store(path).last(S)


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can give files away")
def test_strangers_file_is_refused(path: Path) -> None:
    """A file that somebody else put there is not trusted."""
    _ledger(path)
    os.chown(path, NOBODY, NOBODY)
    with pytest.raises(LedgerError, match="somebody else's"):
        _store(path).last(S)


MOUNTS = """\
24 1 254:0 / / rw,relatime shared:1 - ext4 /dev/vda rw
98 24 0:51 / /srv/nfs rw shared:7 master:1 - nfs4 server:/x rw
99 24 0:52 / /srv/sshfs rw - fuse.sshfs me@host: rw
""".splitlines()


@pytest.mark.parametrize(
    ("major", "minor", "kind"),
    [(254, 0, "ext4"), (0, 51, "nfs4"), (0, 52, "fuse.sshfs"), (9, 9, "")],
)
def test_file_system_is_known(major: int, minor: int, kind: str) -> None:
    """The kernel's list of mounts says what a device is."""
    assert place._filesystem(os.makedev(major, minor), MOUNTS) == kind


@pytest.mark.parametrize("kind", ["nfs4", "cifs", "fuse.sshfs", "9p", "virtiofs"])
def test_shared_file_system_is_refused(
    path: Path, kind: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Where locks do not reach everybody, there is no ledger."""
    device = path.parent.stat().st_dev
    mounts = path.with_name("mountinfo")
    place_ = f"{os.major(device)}:{os.minor(device)}"
    mounts.write_text(f"1 1 {place_} / / rw - {kind} source rw\n")
    monkeypatch.setattr(place, "_MOUNTS", mounts)
    with pytest.raises(LedgerError, match="local disk"):
        _store(path).append(S, 1, b"one")
    assert not path.exists()


# -- addresses


@pytest.mark.parametrize(
    ("url", "expected"),
    [
        ("sqlite:////var/lib/shop/ledger.db", "/var/lib/shop/ledger.db"),
        ("sqlite:///ledgers/shop.db", "ledgers/shop.db"),
        ("sqlite:////srv/my%20shop%3F.db", "/srv/my shop?.db"),
    ],
)
def test_url(url: str, expected: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Four slashes begin an absolute path, three one below where the process is."""
    monkeypatch.chdir("/tmp")  # noqa: S108 - any directory that is there will do
    assert open_sqlite(Url.parse(url)).path == Path("/tmp", expected)  # noqa: S108


@pytest.mark.parametrize(
    "url",
    [
        "sqlite://ledger.db",
        "sqlite://host/ledger.db",
        "sqlite://",
        "sqlite:///",
        "sqlite:////",
        "sqlite:////var/lib/",
        "sqlite:///:memory:",
        "sqlite:////a%00b",
        "sqlite:////a.db?mode=ro",
        "sqlite:////a.db?busy_timeout=5",
    ],
)
def test_url_is_refused(url: str) -> None:
    """An address that names no file here, or asks for what is not there, is refused."""
    with pytest.raises(InvalidInput):
        open_sqlite(Url.parse(url))


def test_url_option() -> None:
    """The patience with locks can be chosen."""
    store = open_sqlite(Url.parse("sqlite:////a.db?busy_timeout=250ms"))
    assert store._busy_timeout == timedelta(milliseconds=250)


def test_odd_names(tmp_path: Path) -> None:
    """A file may be called what it likes, even what SQLite reads as an option."""
    for name in ("a b?mode=memory#c%20.db", ":memory:", "käse\udcff.db"):
        with contextlib.closing(_store(tmp_path / name)) as store:
            store.append(S, 1, b"one")
        assert (tmp_path / name).stat().st_size > 0


def test_default_path_of_a_user(
    tmp_path: Path, own: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A user's ledgers are in the state directory, which may be chosen absolutely."""
    monkeypatch.setenv("HOME", "/home/me")
    shop = ServiceName("shop")
    end = "immutable/ledgers/shop.db"
    for value in ("", "relative"):
        monkeypatch.setenv("XDG_STATE_HOME", value)
        assert default_ledger_path(shop) == Path("/home/me/.local/state", end)
    monkeypatch.setenv("XDG_STATE_HOME", "/srv/state")
    assert default_ledger_path(shop) == Path("/srv/state", end)


@pytest.mark.skipif(os.geteuid() != 0, reason="it is about root")
def test_default_path_of_root() -> None:
    """Root's ledgers are the system's."""
    path = default_ledger_path(ServiceName("shop"))
    assert path == Path("/var/lib/immutable/ledgers/shop.db")


def test_default_path_stays_inside() -> None:
    """A name that is no service's cannot lead elsewhere."""
    with pytest.raises(InvalidInput):
        default_ledger_path(ServiceName("../../etc/passwd"))
