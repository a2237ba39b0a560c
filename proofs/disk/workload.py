"""What runs under the shim: a ledger is founded, and grows, whatever the disk does."""

import random
from collections.abc import Callable
from pathlib import Path
from typing import TypeVar

import attrs

from immutable.errors import ImmutableError
from immutable.ledger.sqlite import SqliteStore
from immutable.protocols import LedgerStore

LEDGER = Path("state", "shop", "ledger.db")
"""Where the ledger is below a run's directory; nothing of it is there at first."""
_SIZES_BYTES = (62, 400, 9_000, 0, 1_500, 3_990, 700, 26_000, 300)
_STREAM = "service/shop"
_OPENED_ANEW = frozenset({3, 6})
_PATIENCE = 3
_STUBBORN = 12
T = TypeVar("T")


@attrs.frozen(kw_only=True)
class Numbered:
    """A record and where it belongs."""

    stream: str
    sequence: int
    record: bytes


def _records() -> tuple[Numbered, ...]:
    """Return the ledger's identity and a service's records: small, large and empty."""
    made = random.Random(7)
    contents = [made.randbytes(size) for size in _SIZES_BYTES]
    service = [
        Numbered(stream=_STREAM, sequence=sequence, record=record)
        for sequence, record in enumerate(contents[1:], start=1)
    ]
    return (Numbered(stream="ledger", sequence=1, record=contents[0]), *service)


RECORDS = _records()


def stored(store: LedgerStore) -> tuple[Numbered, ...]:
    """Return what a store holds of both streams, in the order in which it came."""
    return tuple(
        Numbered(stream=stream, sequence=sequence, record=record)
        for stream in ("ledger", _STREAM)
        for sequence, record in store.read(stream, after=0, limit=1000)
    )


class Broken(Exception):
    """The store did what it must never do."""


Say = Callable[[str, int, str], None]
"""Tells the parent at once: what happened, with which record, and details."""


class Work:
    """Appends the records that are not there yet, insisting where the disk fails.

    Args:
        directory: the run's own.
        say: is called before anything else is done.
        heal: lets the fault stop; called when patience with it is at its end.
    """

    def __init__(self, directory: Path, say: Say, heal: Callable[[], None]) -> None:
        self._path = directory / LEDGER
        self._say = say
        self._heal = heal
        self._failures = 0
        self._store = SqliteStore(self._path)

    def run(self, limit: int) -> None:
        """Append at most so many records, each acknowledged by a word to the parent."""
        present = self._present(0)
        self._say("present", present, "")
        for index in range(present, min(present + limit, len(RECORDS))):
            if index in _OPENED_ANEW:
                self._insist(index, self._store.close)
                self._store = SqliteStore(self._path)
            self._put(index)
        self._insist(len(RECORDS), self._store.close)
        self._say("done", len(RECORDS), "")

    def _put(self, index: int) -> None:
        """Append a record until it is there; whether it is decides, not what was said."""
        wanted = RECORDS[index]
        while True:
            try:
                self._store.append(wanted.stream, wanted.sequence, wanted.record)
            except ImmutableError as exc:
                self._failed(index, "append", exc)
            else:
                self._say("acknowledged", index, "")
                return
            if self._present(index) > index:
                self._say("found", index, "")
                return
            self._say("absent", index, "")

    def _present(self, index: int) -> int:
        found = self._insist(index, lambda: stored(self._store))
        if found != RECORDS[: len(found)]:
            raise Broken(f"what is read is not what was stored: {len(found)} records")
        return len(found)

    def _insist(self, index: int, call: Callable[[], T]) -> T:
        while True:
            try:
                return call()
            except ImmutableError as exc:
                self._failed(index, "read", exc)

    def _failed(self, index: int, call: str, exc: ImmutableError) -> None:
        self._failures += 1
        cause = exc.__cause__
        code = getattr(cause, "sqlite_errorname", "") or type(cause).__name__
        words = (call, type(exc).__name__, code, "again" if exc.retryable else "")
        self._say("failed", index, " ".join(words))
        if self._failures >= _PATIENCE:
            self._heal()
        if self._failures >= _STUBBORN:
            raise Broken(f"the fault has stopped, and it still fails: {exc}") from exc
