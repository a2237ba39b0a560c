"""The catalogue's records as JSON and back: sealed as those of the services are."""

import functools
import json
from datetime import datetime
from typing import TYPE_CHECKING

from immutable.errors import LedgerTooNew, NotALedger
from immutable.images.catalogue import records
from immutable.ledger.codec import sealed, unsealed

if TYPE_CHECKING:
    from cattrs import Converter


def encode(record: records.Record) -> bytes:
    """Return a record as one line: a digest, and JSON.

    Raises:
        LedgerError: it is longer than any record may be.
    """
    fields = _converter().unstructure(record)
    return sealed(json.dumps(fields, separators=(",", ":"), sort_keys=True))


def decode(data: bytes) -> records.Record:
    """Return the record that `encode` wrote.

    Raises:
        LedgerTooNew: it states a schema that this version does not know.
        NotALedger: it is something else, or is damaged.
    """
    try:
        fields = json.loads(unsealed(data))
        schema = fields["schema"]
    except (ValueError, TypeError, KeyError, RecursionError) as exc:
        raise _damaged("is no record") from exc
    if isinstance(schema, int) and schema > records.SCHEMA:
        raise LedgerTooNew(
            f"a record about images has schema {schema}; "
            f"this version reads {records.SCHEMA}",
            hint="upgrade immutable-deploy",
        )
    try:
        return _converter().structure(fields, records.Record)
    # cattrs raises whatever the damaged value provokes
    except Exception as exc:
        raise _damaged("cannot be understood") from exc


def _damaged(what: str) -> NotALedger:
    return NotALedger(
        f"a record about images {what}",
        hint="it is left as it is; restore the ledger from a copy",
    )


@functools.cache
def _converter() -> "Converter":
    # imported on first use: a program that only imports us need not pay for it
    from cattrs import Converter
    from cattrs.strategies import configure_tagged_union

    converter = Converter(forbid_extra_keys=True)
    converter.register_unstructure_hook(datetime, datetime.isoformat)
    converter.register_structure_hook(
        datetime, lambda value, _: datetime.fromisoformat(value)
    )
    configure_tagged_union(records.Entry, converter, tag_name="kind")
    return converter
