"""Records as JSON and back: every record states its schema, and strangers are refused."""

import functools
import json
from datetime import datetime, timedelta
from pathlib import PurePath
from typing import TYPE_CHECKING

from immutable.deploying import steps
from immutable.errors import LedgerTooNew, NotALedger
from immutable.ledger import goals, records

if TYPE_CHECKING:
    from cattrs import Converter

SIZE_LIMIT_BYTES = 1 << 20
"""No record of ours comes near; a larger one was written by somebody else."""
_KEPT = 1024
"""So many records are kept decoded: watchers read the same ones over and over."""


def encode(record: records.Record) -> bytes:
    """Return a record as one line of JSON."""
    data = _converter().unstructure(record)
    return json.dumps(data, separators=(",", ":"), sort_keys=True).encode()


@functools.lru_cache(maxsize=_KEPT)
def decode(data: bytes) -> records.Record:
    """Return the record that `encode` wrote.

    Raises:
        LedgerTooNew: it states a schema that this version does not know.
        NotALedger: it is something else, or is damaged.
    """
    if len(data) > SIZE_LIMIT_BYTES:
        raise _damaged("is far too long")
    try:
        fields = json.loads(data)
        schema = fields["schema"]
    except (ValueError, TypeError, KeyError) as exc:
        raise _damaged("is no record") from exc
    if isinstance(schema, int) and schema > records.SCHEMA:
        raise LedgerTooNew(
            f"a ledger record has schema {schema}; this version reads {records.SCHEMA}",
            hint="upgrade immutable-deploy",
        )
    return _structure(fields)


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
