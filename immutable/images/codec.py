"""Records of images as JSON and back: each states its schema, and strangers are refused."""

import functools
import json
from datetime import datetime, timedelta
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING, cast

from immutable.errors import InvalidInput
from immutable.images.layers import Layer
from immutable.images.origins import Existing, Origin, Packer
from immutable.images.record import ImageRecord

if TYPE_CHECKING:
    from cattrs import Converter

SCHEMA = 1
SIZE_LIMIT_BYTES = 16 << 20
"""Larger than any record: a pin is a few hundred bytes, and images have few thousands."""


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
    if len(data) > SIZE_LIMIT_BYTES:
        raise _damaged("is far too long")
    try:
        fields = json.loads(data)
        schema = fields.pop("schema")
    except (ValueError, TypeError, KeyError, AttributeError, RecursionError) as exc:
        raise _damaged("is no record") from exc
    if isinstance(schema, int) and schema > SCHEMA:
        raise InvalidInput(
            f"a record of an image has schema {schema}; this version reads {SCHEMA}",
            hint="upgrade immutable-deploy",
        )
    try:
        return _converter().structure(fields, ImageRecord)
    # cattrs raises whatever the damaged value provokes
    except Exception as exc:
        raise _damaged("cannot be understood") from exc


def recipe_document(record: ImageRecord) -> str:
    """Return the recorded recipe as JSON: its base and layers, their sources by digest."""
    fields = _converter().unstructure(record)
    return json.dumps(
        {key: fields[key] for key in ("origin", "layers")}, sort_keys=True
    )


def _damaged(what: str) -> InvalidInput:
    return InvalidInput(
        f"a record of an image {what}",
        hint="it is left as it is: restore it from a copy, or remove it and build the"
        " image again, from the same recipe",
    )


@functools.cache
def _converter() -> "Converter":
    # imported on first use: a program that only imports us need not pay for it
    from cattrs import Converter
    from cattrs.strategies import configure_tagged_union

    converter = Converter(forbid_extra_keys=True)
    for kind, there, back in (
        (datetime, datetime.isoformat, datetime.fromisoformat),
        (timedelta, _seconds, lambda s: timedelta(microseconds=s)),
        (PurePosixPath, str, PurePosixPath),
        (Path, str, Path),
    ):
        converter.register_unstructure_hook(kind, there)
        converter.register_structure_hook(kind, lambda value, _, back=back: back(value))
    configure_tagged_union(Layer, converter, tag_name="kind")
    # what the type checker may know of a union: one of its classes
    made = cast("type[Existing]", Existing | Packer)
    configure_tagged_union(made, converter, tag_name="kind")

    def origin(value: object, _: object) -> Origin:
        if isinstance(value, str):
            return value
        return converter.structure(value, made)

    def document(value: Origin) -> object:
        if isinstance(value, str):
            return value
        return converter.unstructure(value, unstructure_as=made)

    converter.register_structure_hook(Origin, origin)
    converter.register_unstructure_hook(Origin, document)
    return converter


def _seconds(value: timedelta) -> int:
    return value // timedelta(microseconds=1)
