"""The attributes of one entry of a goss file: each of its type, none left over."""

import re
from collections.abc import Iterable, Mapping
from typing import TypeVar

from immutable.errors import InvalidInput
from immutable.images.proof.texts import Text

_T = TypeVar("_T")
# They describe an entry, and ask for nothing.
_SAYING_NOTHING = frozenset({"title", "meta"})
_PATTERN = re.compile(r"(?P<absent>!?)/(?P<pattern>.+)/", re.DOTALL)


class Attributes:
    """Gives out each attribute once; `finish` refuses what nobody asked for."""

    def __init__(self, where: str, values: Mapping[str, object]) -> None:
        self._where = where
        self._left = {k: v for k, v in values.items() if k not in _SAYING_NOTHING}

    def take(self, name: str, kind: type[_T]) -> _T | None:
        """Return an attribute of a type, or None where it is not given.

        Raises:
            InvalidInput: it is of another type: goss's matchers are not understood.
        """
        value = self._left.pop(name, None)
        if value is None:
            return None
        # bool is a kind of int, and status: true means nothing.
        if isinstance(value, kind) and isinstance(value, bool) is (kind is bool):
            return value
        raise self._wrong(name, value, kind.__name__)

    def texts(self, name: str) -> tuple[Text, ...]:
        """Return a list of goss's patterns: text, ``/regex/``, either after ``!``.

        Raises:
            InvalidInput: it is no list of texts.
        """
        return tuple(_text(word) for word in self.words(name))

    def words(self, name: str) -> tuple[str, ...]:
        """Return a list of words; numbers are what YAML makes of versions.

        Raises:
            InvalidInput: it is no list of words.
        """
        values = self.take(name, list) or []
        for value in values:
            if not isinstance(value, str | int | float) or isinstance(value, bool):
                raise self._wrong(name, value, "text")
        return tuple(str(value) for value in values)

    def finish(self) -> None:
        """Refuse the attributes that are not understood.

        Raises:
            InvalidInput: there are some; they are named.
        """
        if self._left:
            raise refused(f"{self._where}: {', '.join(sorted(self._left))}", ())

    def _wrong(self, name: str, value: object, wanted: str) -> InvalidInput:
        return InvalidInput(
            f"{self._where}: {name} is {value!r:.80}, not {wanted}",
            hint="only plain values are understood, not goss's matchers",
        )


def refused(what: str, known: Iterable[str]) -> InvalidInput:
    """Return the error for something in a goss file that is not understood here."""
    those = ", ".join(sorted(known))
    return InvalidInput(
        f"{what}: not understood here",
        hint=f"understood are: {those}" if those else "remove it, or run goss itself",
    )


def _text(word: str) -> Text:
    if found := _PATTERN.fullmatch(word):
        absent = bool(found["absent"])
        return Text(text=found["pattern"], is_pattern=True, absent=absent)
    if word.startswith("!"):
        return Text(text=word[1:], absent=True)
    # A backslash lets a text begin with what would otherwise say something.
    return Text(text=word[1:] if word.startswith(("\\!", "\\/")) else word)
