"""The catalogue's records as JSON and back: sealed as those of the services are."""

import functools
import json
from typing import TYPE_CHECKING

from immutable.documents import Format, converter
from immutable.errors import LedgerTooNew, NotALedger
from immutable.images.catalogue import records
from immutable.ledger.codec import SIZE_LIMIT_BYTES, sealed, unsealed

if TYPE_CHECKING:
    from cattrs import Converter

_FORMAT = Format(
    what="a record about images",
    kind="record",
    schema=records.SCHEMA,
    limit_bytes=SIZE_LIMIT_BYTES,
    hint="it is left as it is; restore the ledger from a copy",
    damaged=NotALedger,
    newer=LedgerTooNew,
)


def encode(record: records.Record) -> bytes:
    """Return a record as one line: a digest, and JSON.

    Raises:
        RecordTooLong: it is longer than any record may be.
    """
    fields = _converter().unstructure(record)
    return sealed(json.dumps(fields, separators=(",", ":"), sort_keys=True))


def decode(data: bytes) -> records.Record:
    """Return the record that `encode` wrote.

    Raises:
        LedgerTooNew: it states a schema that this version does not know.
        NotALedger: it is something else, or is damaged.
    """
    return _FORMAT.read(unsealed(data), _structured)


def _structured(fields: dict[str, object]) -> records.Record:
    return _converter().structure(fields, records.Record)


@functools.cache
def _converter() -> "Converter":
    return converter(unions=[records.Entry])
