"""One service's stream in a ledger store: load the state, append by compare-and-set."""

import math
import uuid
from collections.abc import Iterator
from datetime import timedelta

from immutable.errors import (
    Ambiguous,
    BackendError,
    LedgerError,
    NotALedger,
    SequenceTaken,
)
from immutable.host import Host
from immutable.ledger.codec import decode, decode_identity, encode, encode_identity
from immutable.ledger.fold import fold
from immutable.ledger.records import (
    Entry,
    Finished,
    Paused,
    Record,
    Renewed,
    Snapshot,
    TookOver,
)
from immutable.ledger.state import EMPTY, State
from immutable.model import LedgerId, ServiceName
from immutable.protocols import LedgerStore
from immutable.retrying import retrying

LEASE = timedelta(seconds=30)
"""How long a silent deployer is presumed alive."""
SNAPSHOT_EVERY = 16
"""Loading a state reads at most about so many records, whatever the history."""
_IDENTITY = "ledger"
_PAGE = 500


class Journal:
    """The records of one service, and the state that they add up to.

    Not for use by several threads at once: one journal belongs to one call.
    """

    def __init__(self, store: LedgerStore, service: ServiceName, host: Host) -> None:
        self._store = store
        self._stream = f"service/{service}"
        self._host = host
        self.state = EMPTY
        self.appended = 0
        self._identity: LedgerId | None = None

    def load(self) -> State:
        """Read the state anew, from the latest snapshot on.

        Raises:
            LedgerError: the ledger cannot be read or trusted.
        """
        last = retrying(lambda: self._store.last(self._stream), host=self._host)
        self.state = EMPTY
        if last is None:
            return self.state
        after = max(decode(last[1]).snapshot - 1, 0)
        for record in self._records(after=after, until=last[0]):
            self.state = fold(self.state, record)
        if self.state.sequence < last[0]:
            raise NotALedger(
                f"records after {self.state.sequence} are missing; the last is {last[0]}",
                hint="it is left as it is; restore the ledger from a copy",
            )
        return self.state

    def history(self) -> Iterator[Record]:
        """Yield every record, oldest first."""
        return self._records(after=0)

    def identity(self) -> LedgerId | None:
        """Return the ledger's own id, which never changes; None when it has none yet."""
        if self._identity is None:
            found = retrying(
                lambda: self._store.read(_IDENTITY, after=0, limit=1), host=self._host
            )
            self._identity = decode_identity(found[0][1]) if found else None
        return self._identity

    def found_identity(self) -> LedgerId:
        """Return the ledger's own id, founding the ledger when it is new."""
        if known := self.identity():
            return known
        identity = LedgerId(str(uuid.UUID(self._host.unique())))
        try:
            self.restore_identity(identity)
        except SequenceTaken:
            return self.found_identity()
        return identity

    def append(self, entry: Entry, *, lease: timedelta = LEASE) -> State:
        """Append an entry to exactly the history that was loaded, and return the state.

        Args:
            entry: what to append.
            lease: how long the next record may take; an ending takes no lease.

        Raises:
            SequenceTaken: somebody else appended first; nothing was changed.
        """
        # before, not after: what is in the ledger must not be reported as failed
        if self._is_snapshot_due() and not isinstance(entry, TookOver):
            self._append(Snapshot(state=self.state), lease)
        return self._append(entry, lease)

    def _is_snapshot_due(self) -> bool:
        return self.state.sequence - self.state.snapshot >= SNAPSHOT_EVERY

    def _append(self, entry: Entry, lease: timedelta) -> State:
        record = self._record(entry, lease)
        self._put(record)
        self.state = fold(self.state, record)
        self.appended += 1
        return self.state

    def hold(self, need: timedelta) -> None:
        """Make sure that the lease lasts so long, renewing it where it would not.

        Raises:
            SequenceTaken: somebody else has taken over.
        """
        until = self.state.lease_until
        if until is None or until - self._host.now() < need:
            self.append(Renewed(), lease=need + LEASE)

    def restore_identity(self, identity: LedgerId) -> None:
        """Found the ledger under the id that a lost one had.

        Raises:
            SequenceTaken: the ledger has an identity already.
        """
        self._store.append(_IDENTITY, 1, encode_identity(identity))

    def _record(self, entry: Entry, lease: timedelta) -> Record:
        now, sequence = self._host.now(), self.state.sequence + 1
        ended = isinstance(entry, Finished | Paused) or self._idle(entry)
        return Record(
            sequence=sequence,
            at=now,
            by=self._host.name,
            lease_until=None if ended else now + lease,
            snapshot=sequence if isinstance(entry, Snapshot) else self.state.snapshot,
            nonce=self._host.unique(),
            entry=entry,
        )

    def _idle(self, entry: Entry) -> bool:
        return isinstance(entry, Snapshot) and self.state.attempt is None

    def _put(self, record: Record) -> None:
        """Store the record; in doubt store the same bytes again, which cannot do it twice.

        Raises:
            SequenceTaken: the number is somebody else's.
            Ambiguous: it may or may not be stored, and nobody answers any more.
        """
        data, doubts = encode(record), list[Ambiguous]()

        def append() -> None:
            try:
                self._store.append(self._stream, record.sequence, data)
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
            raise doubts[0] if doubts else exc from exc

    def _is_stored(self, record: Record) -> bool:
        try:
            found = self._read(after=record.sequence - 1, limit=1)
        except (BackendError, LedgerError) as exc:
            message = f"record {record.sequence} may or may not be in the ledger"
            raise Ambiguous(message, hint="recover() goes on from there") from exc
        return bool(found) and decode(found[0][1]).nonce == record.nonce

    def _read(self, *, after: int, limit: int) -> tuple[tuple[int, bytes], ...]:
        return retrying(
            lambda: self._store.read(self._stream, after=after, limit=limit),
            host=self._host,
        )

    def _records(self, *, after: int, until: float = math.inf) -> Iterator[Record]:
        """Yield the records after a number: at least to another, if there are so many."""
        while after < until and (page := self._read(after=after, limit=_PAGE)):
            for sequence, data in page:
                yield _checked(sequence, data, expected=after + 1)
                after = sequence


def _checked(sequence: int, data: bytes, *, expected: int) -> Record:
    if sequence != expected:
        raise NotALedger(
            f"record {expected} is missing; the next is {sequence}",
            hint="it is left as it is; restore the ledger from a copy",
        )
    record = decode(data)
    if record.sequence != sequence:
        raise NotALedger(f"record {sequence} says it is {record.sequence}")
    return record
