"""Records of images as JSON and back: each states its schema, and strangers are refused."""

import functools
import json
from datetime import timedelta
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING, cast

from immutable.documents import Format, converter, without_schema
from immutable.errors import InvalidInput
from immutable.images.layers import Layer
from immutable.images.origins import Existing, Origin, Packer
from immutable.images.record import ImageRecord

if TYPE_CHECKING:
    from cattrs import Converter

SCHEMA = 1
SIZE_LIMIT_BYTES = 16 << 20
"""Larger than any record: a pin is a few hundred bytes, and images have few thousands."""
_FORMAT = Format(
    what="a record of an image",
    kind="record",
    schema=SCHEMA,
    limit_bytes=SIZE_LIMIT_BYTES,
    hint="it is left as it is: restore it from a copy, or remove it and build the"
    " image again, from the same recipe",
)
_MICROSECOND = timedelta(microseconds=1)
_HOOKS = (
    (timedelta, lambda value: value // _MICROSECOND, lambda n: n * _MICROSECOND),
    (PurePosixPath, str, PurePosixPath),
    (Path, str, Path),
)


def encode(record: ImageRecord) -> bytes:
    """Return a record as JSON, the same for equal records.

    Raises:
        InvalidInput: it is longer than any record may be.
    """
    fields = {"schema": SCHEMA, **_converter().unstructure(record)}
    data = json.dumps(fields, indent=1, sort_keys=True).encode() + b"\n"
    if len(data) > SIZE_LIMIT_BYTES:
        raise InvalidInput(
            f"the record of {record.image.id} has {len(data)} bytes, and"
            f" {SIZE_LIMIT_BYTES} is the most",
            hint="make the image of fewer packages",
        )
    return data


def decode(data: bytes) -> ImageRecord:
    """Return the record that `encode` wrote.

    Raises:
        InvalidInput: it is something else, is damaged, or is of a newer version.
    """
    return _FORMAT.read(data, _structured)


def recipe_document(record: ImageRecord) -> str:
    """Return the recorded recipe as JSON: its base and layers, their sources by digest."""
    fields = _converter().unstructure(record)
    return json.dumps(
        {key: fields[key] for key in ("origin", "layers")}, sort_keys=True
    )


def _structured(fields: dict[str, object]) -> ImageRecord:
    return _converter().structure(without_schema(fields), ImageRecord)


@functools.cache
def _converter() -> "Converter":
    # what the type checker may know of a union: one of its classes
    made = cast("type[Existing]", Existing | Packer)
    known = converter(_HOOKS, unions=(Layer, made))

    def origin(value: object, _: object) -> Origin:
        if isinstance(value, str):
            return value
        return known.structure(value, made)

    def document(value: Origin) -> object:
        if isinstance(value, str):
            return value
        return known.unstructure(value, unstructure_as=made)

    known.register_structure_hook(Origin, origin)
    known.register_unstructure_hook(Origin, document)
    return known
