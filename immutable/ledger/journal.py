"""One service's stream in a ledger store: load the state, append by compare-and-set."""

import uuid
from collections.abc import Iterator
from datetime import timedelta

from immutable.errors import SequenceTaken
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
from immutable.ledger.stream import Stream
from immutable.model import LedgerId, ServiceName
from immutable.protocols import LedgerStore
from immutable.retrying import retrying

LEASE = timedelta(seconds=30)
"""How long a silent deployer is presumed alive."""
SNAPSHOT_EVERY = 16
"""Loading a state reads at most about so many records, whatever the history."""
_IDENTITY = "ledger"


class Journal:
    """The records of one service, and the state that they add up to.

    Not for use by several threads at once: one journal belongs to one call.
    """

    def __init__(self, store: LedgerStore, service: ServiceName, host: Host) -> None:
        self._store = store
        self._stream = Stream(
            store=store,
            name=f"service/{service}",
            host=host,
            encode=encode,
            decode=decode,
            in_doubt="recover() goes on from there",
        )
        self._host = host
        self.state = EMPTY
        self.appended = 0
        self._identity: LedgerId | None = None

    def load(self) -> State:
        """Read the state anew, from the latest snapshot on.

        Raises:
            LedgerError: the ledger cannot be read or trusted.
        """
        state = EMPTY
        for record in self._stream.latest():
            state = fold(state, record)
        self.state = state
        return state

    def history(self) -> Iterator[Record]:
        """Yield every record, oldest first."""
        return self._stream.records()

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
        self._stream.put(record)
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
