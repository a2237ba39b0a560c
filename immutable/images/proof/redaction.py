"""Text that may hold secrets, made safe to keep: what looks like one is replaced."""

import re
from collections.abc import Iterator

from immutable.images.proof.entropy import (
    assignments,
    looks_random,
    passwords_in_addresses,
)
from immutable.images.proof.tokens import tokens_in
from immutable.validators.evidence import excerpt

REPLACED = "***"
# A letter at its end would become part of the name of what is assigned after it.
_COLOUR = re.compile(r"\x1b\[[0-9;?]{0,40}[A-Za-z]")
_READ_FACTOR = 8
# To the end of the key, or of the text: the match itself is only its beginning.
_REST_OF_KEY = re.compile(r"[A-Za-z0-9+/=\s\\-]*")
_REST_OF_WORD = re.compile(r"[A-Za-z0-9+/=_.~-]*")
_WORD = re.compile(r"[A-Za-z0-9+_=-]{20,}")


def shown(text: str, *, limit: int) -> str:
    """Return at most ``limit`` characters of a text on one line, without secrets.

    What does not print becomes a space. Replaced are secrets of a known form,
    values assigned to names such as ``password``, passwords in URLs, and long words that
    look random.
    """
    head = text[: _READ_FACTOR * limit]
    if len(head) < len(text):
        head = _without_last_word(head)
    return excerpt(redacted(_COLOUR.sub(" ", head)), limit=limit)


def _without_last_word(text: str) -> str:
    # Where a text is cut, what is left of a secret may no longer look like one.
    words = text.rsplit(None, 1)
    return words[0] if len(words) > 1 else ""


def redacted(text: str) -> str:
    """Return a text with all that looks like a secret replaced."""
    pieces: list[str] = []
    done = 0
    for start, end in sorted(_secrets(text)):
        if end <= done:
            continue
        if start > done or not pieces:
            pieces += [text[done:start], REPLACED]
        done = end
    return "".join([*pieces, text[done:]])


def _secrets(text: str) -> Iterator[tuple[int, int]]:
    # Latin-1 gives each character one byte, so that places in both are the same.
    for match in tokens_in(text.encode("latin-1", errors="replace")):
        rest = _REST_OF_KEY if "key" in match.kind else _REST_OF_WORD
        yield match.start, _end(rest, text, match.end)
    for found in assignments(text):
        if found.names_a_secret:
            yield found.start, found.end
    for found in passwords_in_addresses(text):
        yield found.start, found.end
    for word in _WORD.finditer(text):
        if looks_random(word[0]):
            yield word.span()


def _end(rest: re.Pattern[str], text: str, start: int) -> int:
    found = rest.match(text, start)
    return found.end() if found else start
