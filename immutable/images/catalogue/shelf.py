"""The catalogue's stream in a ledger store: load it, change it by compare-and-set."""

from collections.abc import Callable, Iterator
from datetime import timedelta
from typing import TypeVar

from immutable.errors import LedgerError, RecordTooLong, SequenceTaken
from immutable.host import Host, Never
from immutable.images.catalogue.codec import decode, encode
from immutable.images.catalogue.fold import fold
from immutable.images.catalogue.records import Entry, Record, Snapshot
from immutable.images.catalogue.state import EMPTY, Catalogue
from immutable.ledger.stream import Stream
from immutable.protocols import LedgerStore
from immutable.retrying import retrying

STREAM = ".images"
"""No service's stream can have this name: theirs begin with ``service/``."""
SNAPSHOT_EVERY = 64
"""Loading reads at most about so many records, whatever the history."""
_TRIES = 100
_PAUSE = timedelta(milliseconds=20)
_NEVER = Never()

_T = TypeVar("_T")
Decide = Callable[[Catalogue], Entry | None]
"""From the catalogue as it is now to what is to be written; None: nothing."""


class Shelf:
    """The records about images in one ledger store, and what they add up to."""

    def __init__(self, store: LedgerStore, host: Host) -> None:
        self._host = host
        self._stream = Stream(
            store=store,
            name=STREAM,
            host=host,
            encode=encode,
            decode=decode,
            about=" about images",
            in_doubt="look, and try again",
        )

    def ask(self, call: Callable[[], _T]) -> _T:
        """Return what a reading of something else returns, repeated where it may be."""
        return retrying(call, host=self._host)

    def load(self) -> Catalogue:
        """Read the catalogue anew, from the latest snapshot on: one read while it is empty.

        Raises:
            LedgerError: it cannot be read or trusted.
        """
        catalogue = EMPTY
        for record in self._stream.latest():
            catalogue = fold(catalogue, record)
        return catalogue

    def history(self) -> Iterator[Record]:
        """Yield every record, oldest first.

        Raises:
            LedgerError: the records cannot be read or trusted.
        """
        return self._stream.records()

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
        self._stream.put(record)
        return fold(catalogue, record)
