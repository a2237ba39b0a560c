"""Proofs as JSON and back: each states its schema, and strangers are refused."""

import functools
import json
from typing import TYPE_CHECKING

from immutable.documents import Format, converter, without_schema
from immutable.images.proof.proving import Proof

if TYPE_CHECKING:
    from cattrs import Converter

SCHEMA = 1
_FORMAT = Format(
    what="the proof", kind="proof", schema=SCHEMA, hint="prove the image again"
)


def encode(proof: Proof) -> bytes:
    """Return a proof as JSON, the same for the same proof."""
    document = {"schema": SCHEMA, **_converter().unstructure(proof)}
    return json.dumps(document, indent=1, sort_keys=True).encode()


def decode(data: bytes) -> Proof:
    """Return the proof that `encode` wrote.

    Raises:
        InvalidInput: it is something else, is damaged, or is newer than this version.
    """
    return _FORMAT.read(data, _structured)


def _structured(fields: dict[str, object]) -> Proof:
    return _converter().structure(without_schema(fields), Proof)


@functools.cache
def _converter() -> "Converter":
    return converter()
