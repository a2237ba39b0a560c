"""The catalogue's stream in a ledger store: load it, change it by compare-and-set."""

import math
from collections.abc import Callable, Iterator
from datetime import timedelta
from typing import TypeVar

from immutable.errors import (
    Ambiguous,
    BackendError,
    LedgerError,
    NotALedger,
    RecordTooLong,
    SequenceTaken,
)
from immutable.host import Host, Never
from immutable.images.catalogue.codec import decode, encode
from immutable.images.catalogue.fold import fold
from immutable.images.catalogue.records import Entry, Record, Snapshot
from immutable.images.catalogue.state import EMPTY, Catalogue
from immutable.protocols import LedgerStore
from immutable.retrying import retrying

STREAM = ".images"
"""No service's stream can have this name: theirs begin with ``service/``."""
SNAPSHOT_EVERY = 64
"""Loading reads at most about so many records, whatever the history."""
_PAGE = 500
_TRIES = 100
_PAUSE = timedelta(milliseconds=20)
_NEVER = Never()

_T = TypeVar("_T")
Decide = Callable[[Catalogue], Entry | None]
"""From the catalogue as it is now to what is to be written; None: nothing."""


class Shelf:
    """The records about images in one ledger store, and what they add up to."""

    def __init__(self, store: LedgerStore, host: Host) -> None:
        self._store = store
        self._host = host

    def ask(self, call: Callable[[], _T]) -> _T:
        """Return what a reading of something else returns, repeated where it may be."""
        return retrying(call, host=self._host)

    def load(self) -> Catalogue:
        """Read the catalogue anew, from the latest snapshot on: one read while it is empty.

        Raises:
            LedgerError: it cannot be read or trusted.
        """
        last = retrying(lambda: self._store.last(STREAM), host=self._host)
        if last is None:
            return EMPTY
        catalogue, after = EMPTY, max(decode(last[1]).snapshot - 1, 0)
        for record in self._records(after, until=last[0]):
            catalogue = fold(catalogue, record)
        if catalogue.sequence < last[0]:
            raise _hole(catalogue.sequence + 1)
        return catalogue

    def history(self) -> Iterator[Record]:
        """Yield every record, oldest first.

        Raises:
            LedgerError: the records cannot be read or trusted.
        """
        return self._records(0)

    def change(self, decide: Decide, *, by: str | None = None) -> Catalogue:
        """Append what is decided of the catalogue as it is at that very moment.

        Args:
            decide: returns what is to be written, or None when nothing is. It is asked
                again where somebody else wrote first.
            by: who decides; this process when not given.

        Returns:
            The catalogue with what was written.

        Raises:
            LedgerError: it cannot be read, trusted or written.
            Ambiguous: it may or may not be written.
        """
        for _ in range(_TRIES):
            catalogue = self.load()
            entry = decide(catalogue)
            if entry is None:
                return catalogue
            try:
                if catalogue.sequence - catalogue.snapshot >= SNAPSHOT_EVERY:
                    catalogue = self._snapshot(catalogue)
                return self._append(catalogue, entry, by)
            except SequenceTaken:
                self._host.sleep(self._host.chance() * _PAUSE, _NEVER)
        raise LedgerError(
            f"others wrote about images first, {_TRIES} times", hint="try again"
        )

    def _snapshot(self, catalogue: Catalogue) -> Catalogue:
        """Write the whole catalogue; what no record can hold is read one by one instead."""
        try:
            return self._append(catalogue, Snapshot(catalogue=catalogue))
        except RecordTooLong:
            return catalogue

    def _append(
        self, catalogue: Catalogue, entry: Entry, by: str | None = None
    ) -> Catalogue:
        sequence = catalogue.sequence + 1
        record = Record(
            sequence=sequence,
            at=self._host.now(),
            by=by or self._host.name,
            snapshot=sequence if isinstance(entry, Snapshot) else catalogue.snapshot,
            nonce=self._host.unique(),
            entry=entry,
        )
        self._put(record)
        return fold(catalogue, record)

    def _put(self, record: Record) -> None:
        """Store the record; in doubt store the same bytes again, which cannot do it twice."""
        data, doubts = encode(record), list[Ambiguous]()

        def append() -> None:
            try:
                self._store.append(STREAM, record.sequence, data)
            except SequenceTaken:
                if not doubts or not self._is_stored(record):
                    raise
            except Ambiguous as exc:
                doubts.append(exc)
                raise

        try:
            retrying(append, host=self._host, also=(Ambiguous,))
        except SequenceTaken:
            raise
        except (BackendError, LedgerError) as exc:
            if not doubts or doubts[0] is exc:
                raise
            raise doubts[0] from exc

    def _is_stored(self, record: Record) -> bool:
        try:
            found = next(self._records(record.sequence - 1), None)
        except (BackendError, LedgerError) as exc:
            message = f"record {record.sequence} about images may or may not be stored"
            raise Ambiguous(message, hint="look, and try again") from exc
        return found is not None and found.nonce == record.nonce

    def _records(self, after: int, *, until: float = math.inf) -> Iterator[Record]:
        while after < until and (page := self._read(after)):
            for sequence, data in page:
                record = decode(data)
                if sequence != after + 1 or record.sequence != sequence:
                    raise _hole(after + 1)
                yield record
                after = sequence

    def _read(self, after: int) -> tuple[tuple[int, bytes], ...]:
        return retrying(
            lambda: self._store.read(STREAM, after=after, limit=_PAGE), host=self._host
        )


def _hole(sequence: int) -> NotALedger:
    return NotALedger(
        f"record {sequence} about images is missing",
        hint="it is left as it is; restore the ledger from a copy",
    )
