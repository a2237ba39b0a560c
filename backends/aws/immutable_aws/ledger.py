"""The ledger that several machines share: records as objects of one S3 bucket.

    s3://bucket/prefix?region=eu-west-1&profile=deploy&account=123456789012

A record is one object that is made by a conditional write and never changed. What else a
bucket should have, `S3Store.advice` checks: versions are kept, nobody deletes or expires
what is below the prefix, no public access. Encryption is the bucket's own default.
"""

import os
import re
from functools import partial
from urllib.parse import unquote

import attrs

from immutable import host
from immutable.errors import InvalidInput, NotALedger, SequenceTaken
from immutable.model import ServiceName
from immutable.urls import Url
from immutable_aws.config import place_of
from immutable_aws.parallel import beside
from immutable_aws.s3 import advice as ledger_advice
from immutable_aws.s3.bucket import Bucket, Entry, Page
from immutable_aws.s3.keys import (
    HIGHEST,
    RECORD_LIMIT_BYTES,
    Layout,
    unwrapped,
    wrapped,
)
from immutable_aws.s3.memory import Memory
from immutable_aws.s3.probe import require_conditions
from immutable_aws.s3.storing import store
from immutable_aws.session import Place

_SPARE = 16
_BUCKET = re.compile(r"[a-z0-9][a-z0-9.-]{1,61}[a-z0-9]")
# They are not listed in the order of their keys: ListObjectsV2, "Sorting order".
_DIRECTORY_BUCKET = "--x-s3"
_PREFIX = re.compile(r"[A-Za-z0-9!_.*'()-]+(/[A-Za-z0-9!_.*'()-]+)*")

_Rows = tuple[tuple[int, bytes], ...]


class S3Store:
    """Numbered records in a bucket: a `LedgerStore` for deployers on many machines.

    There is no I/O before the first call. Numbers count down in the keys, so a listing
    begins with the newest record: `last` is a listing of one key and a reading, however
    long the history, and right whoever else writes, because a listing shows everything
    that was acknowledged before it was asked for. `append` is one conditional write where
    this process has lately seen the stream's end, else a listing of one key before it; the
    first one also checks the store (`immutable_aws.s3.probe`). `read` is a listing of
    up to a thousand keys, and a reading for each record that is not in memory.

    Args:
        place: whose credentials, and the bucket's region.
        bucket: its name.
        prefix: what all keys begin with.
    """

    def __init__(self, place: Place, *, bucket: str, prefix: str) -> None:
        self._bucket = Bucket(place=place, name=bucket)
        self._layout = Layout(prefix)
        self._memory = Memory()

    def append(self, stream: str, sequence: int, record: bytes) -> None:
        """Store a record under the next number of its stream.

        Raises:
            SequenceTaken: the number is in use; nothing was changed.
            Ambiguous: it may or may not be stored; read to know.
            InvalidInput: the number is no number, or the record too large.
            LedgerError: nothing was changed. It is a `NotALedger` where the number
                would leave a gap: the bucket was emptied, or another was put back.
        """
        key = self._layout.record(stream, _checked(sequence, record))
        require_conditions(self._bucket, self._layout)
        self._check_next(stream, sequence)
        data = wrapped(record, nonce=host.current().unique())
        tag = store(self._bucket, key, data, what=f"record {sequence} of {stream}")
        self._memory.note(stream, sequence)
        self._memory.keep(Entry(key, tag), data)

    def read(self, stream: str, *, after: int, limit: int) -> _Rows:
        """Return at most ``limit`` records with higher numbers, in ascending order.

        Raises:
            NotALedger: records are missing, or something else is between them.
            ImmutableError: they cannot be read.
        """
        after = max(after, 0)
        if limit < 1 or after >= HIGHEST:
            return ()
        for _ in range(2):
            found = self._window(stream, after + 1, min(after + limit, HIGHEST))
            if found:
                self._memory.note(stream, max(found))
                return self._contents(found)
            newest = self._newest(stream)
            if newest is None or newest[0] <= after:
                return ()
        # once could be a writer who was faster than we
        raise self._gap(stream, after + 1)

    def last(self, stream: str) -> tuple[int, bytes] | None:
        """Return the record with the highest number, at a cost that does not grow.

        Raises:
            ImmutableError: it cannot be read or trusted.
        """
        newest = self._newest(stream)
        return self._contents(dict([newest]))[0] if newest else None

    def advice(self) -> tuple[str, ...]:
        """Return what the bucket lacks that a ledger should have, one line each.

        Three readings, of settings; what we may not read is left out.
        """
        return ledger_advice.advice(self._bucket)

    def _check_next(self, stream: str, sequence: int) -> None:
        end = self._memory.end(stream)
        if sequence != (end or 0) + 1 or end is None:
            newest = self._newest(stream)
            end = newest[0] if newest else 0
            if sequence <= end:
                raise SequenceTaken(
                    f"record {sequence} of {stream} is taken: somebody else was first",
                    resource=self._address,
                )
        if sequence > end + 1:
            raise NotALedger(
                f"{stream} ends at record {end}, so {sequence} cannot follow",
                hint=f"{self._address} was replaced or cut short; restore it",
                resource=self._address,
            )

    def _newest(self, stream: str) -> tuple[int, Entry] | None:
        """Return the highest number, with its object."""
        page = self._page(stream, HIGHEST, 1)
        if not page.entries:
            return None
        number = self._layout.number(stream, page.entries[0].key)
        self._memory.note(stream, number)
        return number, page.entries[0]

    def _window(self, stream: str, first: int, last: int) -> dict[int, Entry]:
        """Return the records from a number to another, in ascending order.

        The listing begins with the last of them, and stops at the first.
        """
        found: dict[int, Entry] = {}
        start, size = last + 1, self._guess(stream, first, last)
        while True:
            page = self._page(stream, start, size)
            for entry in page.entries:
                start = self._layout.number(stream, entry.key)
                if start >= first:
                    found[start] = entry
            if not page.more or start <= first:
                break
        rows = dict(sorted(found.items()))
        for expected, number in enumerate(rows, start=first):
            if number != expected:
                raise self._gap(stream, expected)
        return rows

    def _page(self, stream: str, below: int, count: int) -> Page:
        prefix = self._layout.stream(stream)
        after = self._layout.record(stream, below) if below < HIGHEST else prefix
        return self._bucket.page(prefix, after=after, count=count)

    def _guess(self, stream: str, first: int, last: int) -> int:
        """Return how many keys to ask for: not a thousand where a few will be there."""
        end = self._memory.end(stream)
        wanted = last - first + 1
        return wanted if end is None else min(wanted, max(end - first, 0) + _SPARE)

    def _contents(self, found: dict[int, Entry]) -> _Rows:
        """Return the records of a listing, read beside each other."""
        calls = [partial(self._content, entry) for entry in found.values()]
        contents = beside(calls, what=self._address)
        return tuple(zip(found, contents, strict=True))

    def _content(self, entry: Entry) -> bytes:
        data = self._memory.content(entry)
        if data is None:
            got = self._bucket.get(entry.key)
            if got is None:
                raise NotALedger(
                    f"{entry.key} was deleted while it was read",
                    hint="nobody may delete records; restore it from a version",
                )
            data = got.data
            self._memory.keep(Entry(entry.key, got.tag), data)
        return unwrapped(entry.key, data)

    def _gap(self, stream: str, number: int) -> NotALedger:
        return NotALedger(
            f"record {number} of {stream} is missing",
            hint=f"{self._address} was cut short; restore it from older versions",
            resource=self._address,
        )

    @property
    def _address(self) -> str:
        return f"s3://{self._bucket.name}/{self._layout.prefix}"


def open_ledger(url: Url, *, service: ServiceName) -> S3Store:  # noqa: ARG001 - a bucket has a stream for each service
    """Return the store at ``s3://bucket/prefix?region=…``, without I/O.

    Without ``region`` it is the one that the SDK's environment names.

    Raises:
        InvalidInput: it names no bucket or region, or says what nobody would read.
    """
    url.require_known("region", "profile", "account")
    prefix = unquote(url.path).strip("/")
    if not _BUCKET.fullmatch(url.host) or url.host.endswith(_DIRECTORY_BUCKET):
        raise InvalidInput(
            f"{url} names no general purpose bucket", hint="write s3://bucket/prefix"
        )
    if prefix and not (_PREFIX.fullmatch(prefix) and _has_no_dots(prefix)):
        raise InvalidInput(
            f"{prefix!r:.200} is no prefix",
            hint="use letters, digits, slashes and any of - _ .",
        )
    named = attrs.evolve(
        url, scheme="s3", host=_region(url), path="", options=_whose(url)
    )
    return S3Store(place_of(named), bucket=url.host, prefix=prefix)


def _has_no_dots(prefix: str) -> bool:
    return {".", ".."}.isdisjoint(prefix.split("/"))


def _region(url: Url) -> str:
    environment = os.environ.get("AWS_REGION") or os.environ.get("AWS_DEFAULT_REGION")
    region = url.option("region", environment or "")
    if not region:
        raise InvalidInput(
            f"{url} names no region", hint="add ?region=eu-west-1, or set AWS_REGION"
        )
    return region


def _whose(url: Url) -> tuple[tuple[str, str], ...]:
    return tuple(option for option in url.options if option[0] != "region")


def _checked(sequence: int, record: bytes) -> int:
    if not 1 <= sequence <= HIGHEST:
        raise InvalidInput(f"record {sequence}: numbers are 1 to {HIGHEST}")
    if len(record) > RECORD_LIMIT_BYTES:
        raise InvalidInput(f"a record of {len(record)} bytes is too large")
    return sequence
