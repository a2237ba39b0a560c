"""What has to be, or must not be, in a text: plain words or patterns, looked for in a stream."""

import re
from collections.abc import Iterable, Iterator
from typing import BinaryIO

import attrs

from immutable.errors import InvalidInput

_BLOCK_BYTES = 1 << 20
_LINE_BYTES = 64 << 10


def _compiled(text: str) -> re.Pattern[bytes]:
    try:
        return re.compile(text.encode())
    except re.error as exc:
        raise InvalidInput(
            f"{text!r:.80} is no pattern: {exc}", hint="see Python's re"
        ) from exc


@attrs.frozen(kw_only=True)
class Text:
    """Some text, or a pattern that is matched line by line; ``absent``: it must not be there."""

    text: str = attrs.field()
    is_pattern: bool = False
    absent: bool = False

    @text.validator
    def _check_text(self, _attribute: object, value: str) -> None:
        if not value:
            raise InvalidInput("an empty text is everywhere", hint="leave it out")
        if self.is_pattern:
            _compiled(value)

    def __str__(self) -> str:
        """Return how it is spoken of."""
        word = f"/{self.text}/" if self.is_pattern else repr(self.text)
        return f"no {word}" if self.absent else word


Texts = str | Text | Iterable[str | Text]
"""What is accepted where texts are asked for: one or several, plain or not."""


def as_texts(value: Texts) -> tuple[Text, ...]:
    """Return texts, each plain one to be contained as it stands.

    Raises:
        InvalidInput: one is empty.
    """
    several = (value,) if isinstance(value, str | Text) else tuple(value)
    return tuple(t if isinstance(t, Text) else Text(text=t) for t in several)


def unmet(texts: tuple[Text, ...], stream: BinaryIO) -> tuple[Text, ...]:
    """Return those that a stream does not meet, reading it once for each; it must seek."""
    return tuple(text for text in texts if _occurs(text, stream) is text.absent)


def _occurs(text: Text, stream: BinaryIO) -> bool:
    stream.seek(0)
    if text.is_pattern:
        pattern = _compiled(text.text)
        return any(pattern.search(line) for line in _lines(stream))
    wanted = text.text.encode()
    return any(wanted in window for window in _windows(stream, len(wanted) - 1))


def _windows(stream: BinaryIO, overlap: int) -> Iterator[bytes]:
    tail = b""
    while block := stream.read(_BLOCK_BYTES):
        window = tail + block
        yield window
        tail = window[-overlap:] if overlap else b""


def _lines(stream: BinaryIO) -> Iterator[bytes]:
    """Yield lines without their end; one that is too long for memory comes in parts."""
    left = b""
    while block := stream.read(_LINE_BYTES):
        *whole, left = (left + block).split(b"\n")
        yield from whole
        if len(left) > _LINE_BYTES:
            yield left
            left = b""
    if left:
        yield left
