"""Records as JSON and back: every record states its schema, and strangers are refused."""

import functools
import hashlib
import json
import uuid
from datetime import timedelta
from pathlib import PurePath
from typing import TYPE_CHECKING

import attrs

from immutable.deploying import steps
from immutable.documents import Format, converter
from immutable.errors import LedgerTooNew, NotALedger, RecordTooLong
from immutable.ledger import goals, records
from immutable.ledger.lately import Lately
from immutable.model import LedgerId

if TYPE_CHECKING:
    from cattrs import Converter

SIZE_LIMIT_BYTES = 4 << 20
"""No record is larger: that of the members of 10,000 instances is the largest of ours."""
_RECORD = Format(
    what="a ledger record",
    kind="record",
    schema=records.SCHEMA,
    limit_bytes=SIZE_LIMIT_BYTES,
    hint="it is left as it is; restore the ledger from a copy",
    damaged=NotALedger,
    newer=LedgerTooNew,
)
_IDENTITY = attrs.evolve(_RECORD, what="the ledger's identity", kind="identity")
_HOOKS = (
    (timedelta, timedelta.total_seconds, lambda s: timedelta(seconds=s)),
    (PurePath, str, PurePath),
)
_DIGEST_CHARS = 16
_JSON = json.JSONEncoder(separators=(",", ":"), sort_keys=True)
_KEPT_BYTES = 16 << 10
"""Watchers read the same records over and over: those that are not larger are kept."""
_known = Lately[bytes, records.Record](1024)


def encode(record: records.Record) -> bytes:
    """Return a record as one line: a digest, and JSON."""
    data = sealed(_JSON.encode(_converter().unstructure(record)))
    _keep(data, record)
    return data


def decode(data: bytes) -> records.Record:
    """Return the record that `encode` wrote; a known one is not looked at again.

    Raises:
        LedgerTooNew: it states a schema that this version does not know.
        NotALedger: it is something else, or is damaged.
    """
    return _known.get(data) or _keep(data, decode_anew(data))


def decode_anew(data: bytes) -> records.Record:
    """Return what the bytes themselves say, whoever wrote them.

    Raises:
        LedgerTooNew: it states a schema that this version does not know.
        NotALedger: it is something else, or is damaged.
    """
    return _RECORD.read(unsealed(data), _structured)


def encode_identity(identity: LedgerId) -> bytes:
    """Return the ledger's own id as a record of its own."""
    return sealed(json.dumps({"schema": records.SCHEMA, "ledger": identity}))


def decode_identity(data: bytes) -> LedgerId:
    """Return the id that `encode_identity` wrote.

    Raises:
        LedgerTooNew: it states a schema that this version does not know.
        NotALedger: it is something else, or is damaged.
    """
    return _IDENTITY.read(unsealed(data), _identity)


def sealed(text: str) -> bytes:
    """Return text behind its digest: stores check pages, if anything, but not records.

    Raises:
        RecordTooLong: it is longer than any record may be; nobody could read it.
    """
    data = text.encode()
    found = b" ".join((_digest(data), data))
    if len(found) > SIZE_LIMIT_BYTES:
        raise RecordTooLong(
            f"a record of {len(found)} bytes is longer than {SIZE_LIMIT_BYTES}",
            hint="use fewer instances, or shorter addresses and configuration",
        )
    return found


def unsealed(data: bytes) -> bytes:
    """Return the text of a record, as it was sealed.

    Raises:
        NotALedger: it does not match its digest.
    """
    if len(data) > SIZE_LIMIT_BYTES:
        raise _RECORD.refused("is far too long")
    digest, _, text = data.partition(b" ")
    if digest != _digest(text):
        raise _RECORD.refused("does not match its digest")
    return text


def _keep(data: bytes, record: records.Record) -> records.Record:
    return _known.keep(data, record) if len(data) <= _KEPT_BYTES else record


def _digest(data: bytes) -> bytes:
    return hashlib.sha256(data).hexdigest()[:_DIGEST_CHARS].encode()


def _structured(fields: dict[str, object]) -> records.Record:
    return _converter().structure(fields, records.Record)


def _identity(fields: dict[str, object]) -> LedgerId:
    return LedgerId(str(uuid.UUID(str(fields["ledger"]))))


@functools.cache
def _converter() -> "Converter":
    return converter(_HOOKS, unions=(steps.Effect, goals.Goal, records.Entry))
