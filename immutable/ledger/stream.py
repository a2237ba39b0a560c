"""A numbered stream of records in a ledger store: read without gaps, appended to once."""

import math
from collections.abc import Callable, Iterator
from typing import Generic, Protocol, TypeVar

import attrs

from immutable.errors import (
    Ambiguous,
    BackendError,
    LedgerError,
    NotALedger,
    SequenceTaken,
)
from immutable.host import Host
from immutable.protocols import LedgerStore
from immutable.retrying import retrying

_PAGE = 500


class Numbered(Protocol):
    """What a stream asks of its records."""

    @property
    def sequence(self) -> int:
        """Return its place in the stream, from 1 on."""
        ...

    @property
    def snapshot(self) -> int:
        """Return where the latest snapshot at or before it is; 0 for none."""
        ...

    @property
    def nonce(self) -> str:
        """Return what tells it apart from a rival's in the same place."""
        ...


_R = TypeVar("_R", bound=Numbered)


@attrs.frozen(kw_only=True)
class Stream(Generic[_R]):
    """The records of one kind in one store."""

    store: LedgerStore
    name: str
    host: Host
    encode: Callable[[_R], bytes]
    decode: Callable[[bytes], _R]
    about: str = ""
    """What its records are about, for messages."""
    in_doubt: str
    """What to do where nobody can say whether a record is stored."""

    def latest(self) -> Iterator[_R]:
        """Yield the records from the latest snapshot on, to the last that there is now.

        Raises:
            LedgerError: they cannot be read or trusted.
        """
        last = retrying(lambda: self.store.last(self.name), host=self.host)
        if last is None:
            return
        after = max(self.decode(last[1]).snapshot - 1, 0)
        for record in self.records(after=after, until=last[0]):
            yield record
            after = record.sequence
        if after < last[0]:
            raise self._missing(after + 1, f"the last is {last[0]}")

    def records(self, *, after: int = 0, until: float = math.inf) -> Iterator[_R]:
        """Yield the records after a number: at least to another, if there are so many.

        Raises:
            LedgerError: they cannot be read or trusted.
        """
        while after < until and (page := self._read(after=after, limit=_PAGE)):
            for sequence, data in page:
                yield self._checked(sequence, data, expected=after + 1)
                after = sequence

    def put(self, record: _R) -> None:
        """Store a record; in doubt store the same bytes again, which cannot do it twice.

        Raises:
            SequenceTaken: the number is somebody else's.
            Ambiguous: it may or may not be stored, and nobody answers any more.
            LedgerError, BackendError: it is not stored.
        """
        data, doubts = self.encode(record), list[Ambiguous]()

        def append() -> None:
            try:
                self.store.append(self.name, record.sequence, data)
            except SequenceTaken:
                if not doubts or not self._is_stored(record):
                    raise
            except Ambiguous as exc:
                doubts.append(exc)
                raise

        try:
            retrying(append, host=self.host, also=(Ambiguous,))
        except SequenceTaken:
            raise
        except (BackendError, LedgerError) as exc:
            if not doubts or doubts[0] is exc:
                raise
            raise doubts[0] from exc

    def _is_stored(self, record: _R) -> bool:
        try:
            found = self._read(after=record.sequence - 1, limit=1)
        except (BackendError, LedgerError) as exc:
            message = f"record {record.sequence}{self.about} may or may not be stored"
            raise Ambiguous(message, hint=self.in_doubt) from exc
        return bool(found) and self.decode(found[0][1]).nonce == record.nonce

    def _read(self, *, after: int, limit: int) -> tuple[tuple[int, bytes], ...]:
        return retrying(
            lambda: self.store.read(self.name, after=after, limit=limit), host=self.host
        )

    def _checked(self, sequence: int, data: bytes, *, expected: int) -> _R:
        if sequence != expected:
            raise self._missing(expected, f"the next is {sequence}")
        record = self.decode(data)
        if record.sequence != sequence:
            raise self._missing(sequence, f"it says that it is {record.sequence}")
        return record

    def _missing(self, sequence: int, said: str) -> NotALedger:
        return NotALedger(
            f"record {sequence}{self.about} is missing; {said}",
            hint="it is left as it is; restore the ledger from a copy",
        )
