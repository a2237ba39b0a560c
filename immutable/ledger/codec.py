"""Records as JSON and back: every record states its schema, and strangers are refused."""

import functools
import hashlib
import json
import uuid
from datetime import datetime, timedelta
from pathlib import PurePath
from typing import TYPE_CHECKING

from immutable.deploying import steps
from immutable.errors import LedgerError, LedgerTooNew, NotALedger
from immutable.ledger import goals, records
from immutable.ledger.lately import Lately
from immutable.model import LedgerId

if TYPE_CHECKING:
    from cattrs import Converter

SIZE_LIMIT_BYTES = 4 << 20
"""No record is larger: that of the members of 10,000 instances is the largest of ours."""
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
    try:
        fields = json.loads(unsealed(data))
        schema = fields["schema"]
    except (ValueError, TypeError, KeyError) as exc:
        raise _damaged("is no record") from exc
    if isinstance(schema, int) and schema > records.SCHEMA:
        raise LedgerTooNew(
            f"a ledger record has schema {schema}; this version reads {records.SCHEMA}",
            hint="upgrade immutable-deploy",
        )
    return _structure(fields)


def encode_identity(identity: LedgerId) -> bytes:
    """Return the ledger's own id as a record of its own."""
    return sealed(json.dumps({"schema": records.SCHEMA, "ledger": identity}))


def decode_identity(data: bytes) -> LedgerId:
    """Return the id that `encode_identity` wrote.

    Raises:
        LedgerTooNew: it states a schema that this version does not know.
        NotALedger: it is something else, or is damaged.
    """
    try:
        fields = json.loads(unsealed(data))
        schema, identity = int(fields["schema"]), str(uuid.UUID(fields["ledger"]))
    except (ValueError, TypeError, KeyError, AttributeError) as exc:
        raise NotALedger("the ledger's identity is damaged") from exc
    if schema > records.SCHEMA:
        raise LedgerTooNew(
            f"the ledger has schema {schema}", hint="upgrade immutable-deploy"
        )
    return LedgerId(identity)


def sealed(text: str) -> bytes:
    """Return text behind its digest: stores check pages, if anything, but not records.

    Raises:
        LedgerError: it is longer than any record may be; nobody could read it.
    """
    data = text.encode()
    found = b" ".join((_digest(data), data))
    if len(found) > SIZE_LIMIT_BYTES:
        raise LedgerError(
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
        raise _damaged("is far too long")
    digest, _, text = data.partition(b" ")
    if digest != _digest(text):
        raise _damaged("does not match its digest")
    return text


def _keep(data: bytes, record: records.Record) -> records.Record:
    return _known.keep(data, record) if len(data) <= _KEPT_BYTES else record


def _digest(data: bytes) -> bytes:
    return hashlib.sha256(data).hexdigest()[:_DIGEST_CHARS].encode()


def _structure(fields: object) -> records.Record:
    try:
        return _converter().structure(fields, records.Record)
    # cattrs raises whatever the damaged value provokes
    except Exception as exc:
        raise _damaged("cannot be understood") from exc


def _damaged(what: str) -> NotALedger:
    return NotALedger(
        f"a ledger record {what}",
        hint="it is left as it is; restore the ledger from a copy",
    )


@functools.cache
def _converter() -> "Converter":
    # imported on first use: a program that only imports us need not pay for it
    from cattrs import Converter
    from cattrs.strategies import configure_tagged_union

    converter = Converter(forbid_extra_keys=True)
    for kind, there, back in (
        (datetime, datetime.isoformat, datetime.fromisoformat),
        (timedelta, timedelta.total_seconds, lambda s: timedelta(seconds=s)),
        (PurePath, str, PurePath),
    ):
        converter.register_unstructure_hook(kind, there)
        converter.register_structure_hook(kind, lambda value, _, back=back: back(value))
    for union in (steps.Effect, goals.Goal, records.Entry):
        configure_tagged_union(union, converter, tag_name="kind")
    return converter
