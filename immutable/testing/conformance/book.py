"""A ledger store in memory, for deployments that the kit makes."""

import threading

from immutable.errors import SequenceTaken


class Book:
    """`immutable.protocols.LedgerStore` in memory; safe to use from several threads."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._streams: dict[str, dict[int, bytes]] = {}

    def append(self, stream: str, sequence: int, record: bytes) -> None:
        """Store a record under a number that nobody has used."""
        with self._lock:
            rows = self._streams.setdefault(stream, {})
            if sequence in rows:
                raise SequenceTaken(f"{stream} {sequence} is taken")
            rows[sequence] = record

    def read(
        self, stream: str, *, after: int, limit: int
    ) -> tuple[tuple[int, bytes], ...]:
        """Return records with higher numbers, in ascending order."""
        with self._lock:
            rows = self._streams.get(stream, {})
            later = sorted(number for number in rows if number > after)
            return tuple((number, rows[number]) for number in later[:limit])

    def last(self, stream: str) -> tuple[int, bytes] | None:
        """Return the record with the highest number."""
        with self._lock:
            rows = self._streams.get(stream)
            return (max(rows), rows[max(rows)]) if rows else None
