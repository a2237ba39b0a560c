"""Files that are damaged, cut short, or of another program: told apart, and left alone."""

import contextlib
import random
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import pytest

from immutable.errors import LedgerError, NotALedger
from immutable.ledger.sqlite import SqliteStore
from proofs.disk.workload import RECORDS, stored

FLIPS = 500
PAGE_BYTES = 4096
NEXT = ("service/shop", RECORDS[-1].sequence + 1, b"more")


@pytest.fixture(scope="module")
def sound(tmp_path_factory: pytest.TempPathFactory) -> bytes:
    """Return the bytes of a ledger that nothing is wrong with."""
    path = tmp_path_factory.mktemp("sound") / "ledger.db"
    with contextlib.closing(SqliteStore(path)) as store:
        for each in RECORDS:
            store.append(each.stream, each.sequence, each.record)
    return path.read_bytes()


@pytest.fixture
def path(tmp_path: Path) -> Path:
    """Return where a bad ledger may be put."""
    return tmp_path / "ledger.db"


def _put(path: Path, content: bytes) -> None:
    path.write_bytes(content)
    path.chmod(0o600)


def _calls(path: Path) -> Iterator[str]:
    """Read, then append; yield what came of each, "" for success."""
    for call in (stored, lambda store: store.append(*NEXT)):
        before = path.read_bytes()
        with contextlib.closing(SqliteStore(path)) as store:
            try:
                call(store)
            except LedgerError as exc:
                assert path.read_bytes() == before
                yield type(exc).__name__
            else:
                yield ""


def _flipped(sound: bytes, draw: random.Random) -> bytes:
    """Return a ledger in which some bits are wrong, more often in its first pages."""
    end = draw.choice((100, PAGE_BYTES, 3 * PAGE_BYTES, len(sound)))
    content = bytearray(sound)
    for _ in range(draw.choice((1, 1, 4))):
        content[draw.randrange(end)] ^= 1 << draw.randrange(8)
    return bytes(content)


def test_flipped_bits(sound: bytes, path: Path) -> None:
    """A damaged ledger is read, or refused by a typed error and left as it is."""
    draw = random.Random(11)
    seen: Counter[str] = Counter()
    for _ in range(FLIPS):
        _put(path, _flipped(sound, draw))
        seen.update(_calls(path))
    assert seen.total() == 2 * FLIPS
    assert seen["NotALedger"] > FLIPS / 10
    assert seen["LedgerTooNew"]


def test_cut_at_every_page(sound: bytes, path: Path) -> None:
    """A ledger that lacks a page is refused, wherever it ends, and left as it is."""
    last = len(sound) - PAGE_BYTES
    pages = range(PAGE_BYTES, last + 1, PAGE_BYTES)
    cuts = sorted({last - 1, *pages, *(each - 1 for each in pages)})
    for cut in cuts:
        _put(path, sound[:cut])
        with contextlib.closing(SqliteStore(path)) as store:
            with pytest.raises(NotALedger):
                stored(store)
            with pytest.raises(NotALedger):
                store.append(*NEXT)
        assert path.read_bytes() == sound[:cut]
    assert len(cuts) > 20


@pytest.mark.parametrize("length", [2, 16, 99, 100, 511, 512, 1000])
def test_cut_in_the_header(sound: bytes, path: Path, length: int) -> None:
    """The beginning of a ledger is none, and is not founded anew."""
    _put(path, sound[:length])
    assert set(_calls(path)) == {"NotALedger"}


def test_missing_record_is_noticed(sound: bytes, path: Path) -> None:
    """Where a record of a stream cannot be found, the rest is not passed off as all."""
    # The name of the stream, in front of the third record's number.
    at = sound.index(b"service/shop\x03")
    content = bytearray(sound)
    content[at] ^= 1
    _put(path, bytes(content))
    with contextlib.closing(SqliteStore(path)) as store:
        assert store.read("service/shop", after=0, limit=2)
        with pytest.raises(NotALedger, match="missing"):
            store.read("service/shop", after=2, limit=99)
        assert len(store.read("service/shop", after=3, limit=3)) == 3


def test_names_that_are_no_text(sound: bytes, path: Path) -> None:
    """A name that Python cannot decode is damage like any other."""
    at = sound.index(b"(stream, sequence)")
    content = bytearray(sound)
    content[at + 12] ^= 0x80
    _put(path, bytes(content))
    assert set(_calls(path)) == {"NotALedger"}


@pytest.mark.parametrize(
    "content",
    [
        b"\0\0",
        b"\0" * PAGE_BYTES,
        b"SQLite format 3\0",
        b"\x7fELF" * 2000,
        b"PK\x03\x04",
    ],
    ids=["zero", "zeros", "magic", "program", "archive"],
)
def test_strangers(path: Path, content: bytes) -> None:
    """Whatever else is there is refused and stays what it is."""
    _put(path, content)
    assert set(_calls(path)) == {"NotALedger"}
