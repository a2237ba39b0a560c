"""What one process remembers of a ledger, so that it asks for nothing twice."""

import threading
from collections import OrderedDict
from datetime import datetime, timedelta

import attrs

from immutable import host
from immutable_aws.s3.bucket import Entry

# Less than a deployer's lease: whoever was silent for longer looks again.
_KNOWN_FOR = timedelta(seconds=20)
_KEPT = 64
_LONGEST_BYTES = 64 << 10


@attrs.frozen
class _Known:
    number: int
    at: datetime


class Memory:
    """Where streams ended lately, and the contents of the objects that were seen last."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._ends: dict[str, _Known] = {}
        self._contents: OrderedDict[Entry, bytes] = OrderedDict()

    def note(self, stream: str, number: int) -> None:
        """Remember that a record of this number was seen now."""
        now = host.current().now()
        with self._lock:
            before = self._ends.get(stream)
            if before is None or before.number <= number or _is_old(before, now):
                self._ends[stream] = _Known(number, now)

    def end(self, stream: str) -> int | None:
        """Return the highest number that was seen lately, or None."""
        with self._lock:
            known = self._ends.get(stream)
        if known is None or _is_old(known, host.current().now()):
            return None
        return known.number

    def keep(self, entry: Entry, data: bytes) -> None:
        """Remember contents. Those of the same key and another tag are others."""
        if len(data) > _LONGEST_BYTES:
            return
        with self._lock:
            self._contents[entry] = data
            self._contents.move_to_end(entry)
            if len(self._contents) > _KEPT:
                self._contents.popitem(last=False)

    def content(self, entry: Entry) -> bytes | None:
        """Return contents that are remembered."""
        with self._lock:
            return self._contents.get(entry)


def _is_old(known: _Known, now: datetime) -> bool:
    return now - known.at > _KNOWN_FOR
