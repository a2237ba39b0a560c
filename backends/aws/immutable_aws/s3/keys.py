"""Which object holds which record, and what is in it. Pure.

    <prefix>/<stream>/!999999999958-41      record 41
    <prefix>/conditions                     see `immutable_aws.s3.probe`

General purpose buckets are listed in the order of their keys, so counting down puts the
newest record first. ``!`` is in no stream's name, which is percent-encoded: no stream's
records are listed with another's.
"""

import re
from urllib.parse import quote

import attrs

from immutable.errors import InvalidInput, LedgerTooNew, NotALedger

HIGHEST = 10**12 - 1
"""The highest number that a record can have."""
RECORD_LIMIT_BYTES = 4 << 20
_RECORD = re.compile(r"(\d{12})-(\d{1,12})")
_KIND = b"immutable-record "
_FORMAT = b"1"
_NONCE = re.compile(rb"[0-9a-f]{32}")


@attrs.frozen
class Layout:
    """The keys of one ledger, all below one prefix."""

    prefix: str

    @property
    def probe(self) -> str:
        """Return the key of the object that shows how the store treats conditions."""
        return self._below("conditions")

    def stream(self, name: str) -> str:
        """Return what the keys of a stream's records begin with, and no others do.

        Raises:
            InvalidInput: no stream can have this name.
        """
        parts = name.split("/")
        if not {"", ".", ".."}.isdisjoint(parts):
            raise InvalidInput(f"{name!r} cannot be a stream's name")
        return self._below(f"{quote(name, safe='/')}/!")

    def record(self, stream: str, number: int) -> str:
        """Return the key of a record."""
        return f"{self.stream(stream)}{HIGHEST - number:012d}-{number}"

    def number(self, stream: str, key: str) -> int:
        """Return the number of the record that is under a key.

        Raises:
            NotALedger: something else is there.
        """
        found = _RECORD.fullmatch(key.removeprefix(self.stream(stream)))
        number = int(found.group(2)) if found else 0
        if number < 1 or self.record(stream, number) != key:
            raise NotALedger(
                f"{key!r:.200} is no record",
                hint="nothing else may be kept in a ledger's place",
            )
        return number

    def _below(self, name: str) -> str:
        return f"{self.prefix}/{name}" if self.prefix else name


def wrapped(record: bytes, *, nonce: str) -> bytes:
    """Return the contents of an object: a nonce makes each writing different."""
    return b"%b%b %b\n%b" % (_KIND, _FORMAT, nonce.encode(), record)


def unwrapped(key: str, content: bytes) -> bytes:
    """Return the record that an object holds.

    Raises:
        NotALedger, LedgerTooNew: it is none, or of a newer version.
    """
    head, newline, record = content.partition(b"\n")
    words = head.removeprefix(_KIND).split(b" ")
    if not head.startswith(_KIND) or not newline:
        raise NotALedger(f"{key} holds no record", hint="restore it from a copy")
    if words[0].isdigit() and words[0] != _FORMAT:
        raise LedgerTooNew(
            f"{key} has format {words[0].decode()!r:.20}, and this version reads 1",
            hint="upgrade immutable-deploy-aws",
        )
    if words[0] != _FORMAT or not _NONCE.fullmatch(b" ".join(words[1:])):
        raise NotALedger(f"{key} is damaged", hint="restore it from a copy")
    return record
