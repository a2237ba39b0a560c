"""`immutable.protocols.LedgerStore` in memory: put-if-absent is atomic, the rest may fail."""

from immutable.errors import SequenceTaken
from immutable.ledger.codec import decode
from immutable.testing.calls import Request
from immutable.testing.gate import Gate
from immutable.testing.watching import Unwatched, Watch

SERVICE = "service/"
"""What the names of services' streams begin with."""


class SimulatedStore:
    """Streams of records. What is in them is there for ever, and is never stale."""

    def __init__(self, gate: Gate) -> None:
        self._gate = gate
        self.watch: Watch = Unwatched()
        """Is shown every record, in the instant in which it is stored."""
        self._streams: dict[str, dict[int, bytes]] = {}

    def append(self, stream: str, sequence: int, record: bytes) -> None:
        """Store a record under a number that nobody has used."""
        self._gate.effect(
            "ledger.append",
            stream,
            sequence,
            record,
            land=lambda request: self._land(request, stream, sequence, record),
            kind=_kind_of(stream, record),
        )

    def read(
        self, stream: str, *, after: int, limit: int
    ) -> tuple[tuple[int, bytes], ...]:
        """Return records with higher numbers, in ascending order."""
        return self._gate.read(
            "ledger.read",
            stream,
            after,
            limit,
            look=lambda _: self._rows(stream, after)[:limit],
        )

    def last(self, stream: str) -> tuple[int, bytes] | None:
        """Return the record with the highest number."""
        return self._gate.read("ledger.last", stream, look=lambda _: self._last(stream))

    def plant(
        self, request: Request, stream: str, sequence: int, record: bytes
    ) -> None:
        """Store a record at once, past the gate; for worlds that have a past."""
        self._land(request, stream, sequence, record)

    def records(self, stream: str) -> tuple[tuple[int, bytes], ...]:
        """Return everything in a stream, for whoever looks on."""
        return self._rows(stream, 0)

    def _rows(self, stream: str, after: int) -> tuple[tuple[int, bytes], ...]:
        rows = self._streams.get(stream, {})
        return tuple([(n, rows[n]) for n in sorted(rows) if n > after])

    def _last(self, stream: str) -> tuple[int, bytes] | None:
        rows = self._streams.get(stream)
        if not rows:
            return None
        latest = max(rows)
        return latest, rows[latest]

    def _land(
        self, request: Request, stream: str, sequence: int, record: bytes
    ) -> None:
        rows = self._streams.setdefault(stream, {})
        if sequence in rows:
            raise SequenceTaken(f"{stream} {sequence} is taken")
        rows[sequence] = record
        self.watch.appended(request, stream, sequence, record)


def _kind_of(stream: str, record: bytes) -> str:
    """Return what kind of record this is, for the names of crash points."""
    if not stream.startswith(SERVICE):
        return "Identity"
    return type(decode(record).entry).__name__
