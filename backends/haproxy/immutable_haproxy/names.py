"""Any text as one word that is safe in a map, in a configuration and on the socket."""

import re

from immutable.errors import InvalidInput

_SAFE = re.compile(rb"[A-Za-z0-9.-]")
_WORD = re.compile(r"(?:[A-Za-z0-9.-]|_[0-9a-f]{2})+")
_MAX_CHARS = 400


def to_word(text: str) -> str:
    """Return text as letters, digits, dots and hyphens, each other byte as ``_xx``.

    Raises:
        InvalidInput: it is empty, or longer than 400 characters once written so.
    """
    word = "".join(
        chr(byte) if _SAFE.match(bytes([byte])) else f"_{byte:02x}"
        for byte in text.encode("utf-8", "surrogatepass")
    )
    if not 0 < len(word) <= _MAX_CHARS:
        raise InvalidInput(f"{text!r:.80} is no usable name", hint="give a shorter one")
    return word


def from_word(word: str) -> str:
    """Return the text that `to_word` was given.

    Raises:
        ValueError: it is no such word: somebody else wrote it.
    """
    if not _WORD.fullmatch(word):
        raise ValueError(f"{word!r} was not written by this library")
    raw = re.sub(rb"_(..)", lambda found: bytes([int(found[1], 16)]), word.encode())
    return raw.decode("utf-8", "surrogatepass")
