"""JSON that can be read in one way only.

Of two members with one name, readers differ in which they take: what one has checked,
the other would not use. Numbers that JSON does not have, and bytes that are no UTF-8,
are refused for the same reason.
"""

import json
import math
from collections.abc import Mapping, Sequence
from typing import cast

from immutable.errors import VerificationFailed

SIZE_LIMIT_BYTES = 32 << 20
Json = None | bool | int | float | str | Sequence["Json"] | Mapping[str, "Json"]
_JSON = json.JSONEncoder(separators=(",", ":"), sort_keys=True, allow_nan=False)


def written(value: object, what: str = "document") -> bytes:
    """Return a value as JSON, the same bytes for equal values.

    Raises:
        VerificationFailed: JSON has no such value.
    """
    try:
        return _JSON.encode(value).encode()
    except (ValueError, RecursionError) as exc:
        raise damaged(what, "it cannot be JSON") from exc


def read(data: bytes | str, what: str) -> "Json":
    """Return the value that JSON describes.

    Args:
        data: the document.
        what: what it is, for the error.

    Raises:
        VerificationFailed: it is no JSON, or can be read in two ways.
    """
    if len(data) > SIZE_LIMIT_BYTES:
        raise damaged(what, f"it has {len(data)} bytes")
    try:
        text = data if isinstance(data, str) else data.decode("utf-8")
        value = _READER.decode(text)
    except (ValueError, RecursionError) as exc:
        raise damaged(what, "it is not JSON") from exc
    return cast("Json", value)


def members(value: "Json", what: str) -> Mapping[str, "Json"]:
    """Return the members of an object.

    Raises:
        VerificationFailed: it is no object.
    """
    if not isinstance(value, Mapping):
        raise damaged(what, "an object is missing")
    return value


def items(value: "Json", what: str) -> Sequence["Json"]:
    """Return the items of an array.

    Raises:
        VerificationFailed: it is no array.
    """
    if isinstance(value, str) or not isinstance(value, Sequence):
        raise damaged(what, "an array is missing")
    return value


def text(fields: Mapping[str, "Json"], name: str, what: str) -> str:
    """Return a member that has to be a string.

    Raises:
        VerificationFailed: it is missing, or something else.
    """
    value = fields.get(name)
    if not isinstance(value, str):
        raise damaged(what, f"{name} is missing")
    return value


def damaged(what: str, why: str) -> VerificationFailed:
    """Return the error for a document that cannot be understood."""
    return VerificationFailed(
        f"the {what} is damaged: {why}", hint="sign it anew, or build the image anew"
    )


def _members(pairs: list[tuple[str, object]]) -> dict[str, object]:
    found = dict(pairs)
    if len(found) != len(pairs):
        raise ValueError("two members have one name")
    return found


def _number(text: str) -> float:
    if not math.isfinite(value := float(text)):
        raise ValueError(f"{text} is no number")
    return value


_READER = json.JSONDecoder(
    object_pairs_hook=_members, parse_float=_number, parse_constant=_number
)
