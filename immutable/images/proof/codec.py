"""Proofs as JSON and back: each states its schema, and strangers are refused."""

import functools
import json
from datetime import datetime
from typing import TYPE_CHECKING

from immutable.errors import InvalidInput
from immutable.images.proof.proving import Proof

if TYPE_CHECKING:
    from cattrs import Converter

SCHEMA = 1
SIZE_LIMIT_BYTES = 16 << 20


def encode(proof: Proof) -> bytes:
    """Return a proof as JSON, the same for the same proof."""
    document = {"schema": SCHEMA, **_converter().unstructure(proof)}
    return json.dumps(document, indent=1, sort_keys=True).encode()


def decode(data: bytes) -> Proof:
    """Return the proof that `encode` wrote.

    Raises:
        InvalidInput: it is something else, is damaged, or is newer than this version.
    """
    if len(data) > SIZE_LIMIT_BYTES:
        raise _damaged(f"is longer than {SIZE_LIMIT_BYTES} bytes")
    try:
        document = json.loads(data)
        schema = document.pop("schema")
    except (ValueError, TypeError, KeyError, AttributeError, RecursionError) as exc:
        raise _damaged("is no proof") from exc
    if schema != SCHEMA:
        raise _damaged(f"has schema {schema!r:.20}, and this version reads {SCHEMA}")
    try:
        return _converter().structure(document, Proof)
    # cattrs raises whatever the damaged value provokes
    except Exception as exc:
        raise _damaged("cannot be understood") from exc


def _damaged(what: str) -> InvalidInput:
    return InvalidInput(f"the proof {what}", hint="prove the image again")


@functools.cache
def _converter() -> "Converter":
    # imported on first use: a program that only imports us need not pay for it
    from cattrs import Converter

    converter = Converter(forbid_extra_keys=True)
    converter.register_unstructure_hook(datetime, datetime.isoformat)
    converter.register_structure_hook(datetime, lambda value, _: _time(value))
    return converter


def _time(value: str) -> datetime:
    found = datetime.fromisoformat(value)
    if found.tzinfo is None:
        raise ValueError(value)
    return found
