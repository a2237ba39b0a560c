"""JSON documents that state their schema: read as what they are, or refused in words."""

import json
from collections.abc import Callable, Iterable
from datetime import datetime
from typing import TYPE_CHECKING, Any, TypeVar

import attrs

from immutable.errors import ImmutableError, InvalidInput

if TYPE_CHECKING:
    from cattrs import Converter

_T = TypeVar("_T")
# Any: each pair is of functions of one type, and which one differs from pair to pair
Hook = tuple[type, Callable[[Any], object], Callable[[Any], object]]
"""A type, how it is written, and how that is read."""


@attrs.frozen(kw_only=True)
class Format:
    """One kind of document: what it is called, and what is said of one that is another."""

    what: str
    """As a message begins: ``a record of an image``."""
    kind: str
    """In one word: ``record``."""
    schema: int = 1
    limit_bytes: int = 16 << 20
    hint: str
    """What to do about one that is damaged."""
    damaged: type[ImmutableError] = InvalidInput
    newer: type[ImmutableError] = InvalidInput

    def read(self, data: bytes | str, make: Callable[[dict[str, object]], _T], /) -> _T:
        """Return what is made of a document's members.

        Args:
            data: the document.
            make: makes it of the members, ``schema`` among them; may raise anything.

        Raises:
            ImmutableError: ``damaged`` or ``newer``, as the document is.
        """
        if len(data) > self.limit_bytes:
            raise self.refused("is far too long")
        try:
            fields = json.loads(data)
            schema = fields["schema"]
        except (ValueError, TypeError, KeyError, RecursionError) as exc:
            raise self.refused(f"is no {self.kind}") from exc
        self._check(schema)
        try:
            return make(fields)
        # a damaged value provokes whatever it provokes
        except Exception as exc:
            raise self.refused(f"cannot be understood: {exc!s:.80}") from exc

    def refused(self, why: str) -> ImmutableError:
        """Return the error that says why a document is none of this kind."""
        return self.damaged(f"{self.what} {why}", hint=self.hint)

    def _check(self, schema: object) -> None:
        # True would be 1
        if type(schema) is not int or schema < 1:
            raise self.refused(f"cannot have schema {schema!r:.20}")
        if schema > self.schema:
            said = f"has schema {schema!r:.20}; this version reads {self.schema}"
            raise self.newer(f"{self.what} {said}", hint="upgrade immutable-deploy")


def without_schema(fields: dict[str, object]) -> dict[str, object]:
    """Return the members of a document that are its contents."""
    return {name: value for name, value in fields.items() if name != "schema"}


def converter(
    hooks: Iterable[Hook] = (), *, unions: Iterable[object] = ()
) -> "Converter":
    """Return what turns values into documents and back, and refuses unknown members.

    Args:
        hooks: types that JSON has not; times are known.
        unions: whose members are told apart by ``kind``.
    """
    # imported on first use: a program that only imports us need not pay for it
    from cattrs import Converter
    from cattrs.strategies import configure_tagged_union

    made = Converter(forbid_extra_keys=True)
    for kind, there, back in ((datetime, datetime.isoformat, _time), *hooks):
        made.register_unstructure_hook(kind, there)
        made.register_structure_hook(kind, _reading(back))
    for union in unions:
        configure_tagged_union(union, made, tag_name="kind")
    return made


def _reading(back: Callable[[Any], object]) -> Callable[[object, object], object]:
    return lambda value, _: back(value)


def _time(text: str) -> datetime:
    found = datetime.fromisoformat(text)
    if found.tzinfo is None:
        raise ValueError(f"{text} has no time zone")
    return found
