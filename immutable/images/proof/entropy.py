"""Secrets without a form of their own: what is assigned, to what name, how random it is."""

import math
import re
from collections import Counter
from collections.abc import Iterator

import attrs

# A name, perhaps quoted, an assignment, and one word, perhaps quoted.
_ASSIGNMENT = re.compile(
    r"(?P<name>[A-Za-z][A-Za-z0-9_.-]{1,80})[\"']?[ \t]{0,20}(?:=>|:=|[=:])[ \t]{0,20}"
    r"(?:\"(?P<double>[^\"\n]{1,512})\"|'(?P<single>[^'\n]{1,512})'"
    r"|(?P<bare>[^\s\"',;#&]{1,512}))"
)
# postgresql://shop:PASSWORD@db/shop
_ADDRESS = re.compile(
    r"\b[a-z][a-z0-9+.-]{1,20}://[^\s:/@\"'<>]{0,80}:(?P<password>[^\s/@\"'<>]{1,200})@"
)
_PART = re.compile(r"[A-Z]?[a-z0-9]+|[A-Z0-9]+")
_SECRET_WORDS = frozenset(
    {
        *("password", "passwd", "passphrase", "pass", "pwd", "pin", "psk"),
        *("secret", "secrets", "token", "credential", "credentials", "apikey"),
    }
)
_AFTERWARDS = frozenset({"base", "default", "hash", "prod", "string", "value"})
_KEY_BEFORE = frozenset(
    {
        *("access", "account", "api", "app", "application", "auth", "encryption"),
        *("master", "private", "secret", "shared", "signing", "license", "service"),
    }
)
# Where the value is kept, not the value: a variable, a path, a template, an address.
_REFERENCE = re.compile(r"[$%{<@/~.*\\(\[&|]|[a-z]{2,10}://|(?:file|env|arn|vault):")
_HEX = re.compile(r"[0-9a-fA-F]+|[0-9a-fA-F]{8}(-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12}")
_ONE_WORD = re.compile(r"[!-~]+")
_RANDOM = re.compile(r"[A-Za-z0-9+/_=.~-]+")
_NAMED_LENGTH, _NAMED_BITS = 8, 2.5
_LENGTH, _BITS_SHARE = 20, 0.8


@attrs.frozen(kw_only=True)
class Assignment:
    """A name and the value that a text gives it, with the value's place in the text."""

    name: str
    value: str = attrs.field(repr=False)
    start: int
    end: int

    @property
    def names_a_secret(self) -> bool:
        """Return whether the name says that a secret follows, and no reference does."""
        return is_secret_name(self.name) and not _REFERENCE.match(self.value)


def assignments(text: str) -> Iterator[Assignment]:
    """Yield what a text assigns, as shells, INI, YAML, JSON and TOML write it."""
    for found in _ASSIGNMENT.finditer(text):
        group = found.lastgroup or "bare"
        start, end = found.span(group)
        yield Assignment(name=found["name"], value=found[group], start=start, end=end)


def passwords_in_addresses(text: str) -> Iterator[Assignment]:
    """Yield the passwords that are written into URLs."""
    for found in _ADDRESS.finditer(text):
        start, end = found.span("password")
        yield Assignment(name="password", value=found[1], start=start, end=end)


def is_secret_name(name: str) -> bool:
    """Return whether a variable's or file's name says that it holds a secret.

    >>> [is_secret_name(n) for n in ("DB_PASSWORD", "apiKey", "key", "token_lifetime")]
    [True, True, False, False]
    """
    parts = [part.lower() for part in _PART.findall(name)]
    while parts and (parts[-1] in _AFTERWARDS or parts[-1].isdigit()):
        parts.pop()
    # Only the last word counts: password_file and token_lifetime are no secrets.
    if not parts or parts[-1] in _SECRET_WORDS:
        return bool(parts)
    return (
        parts[-1] in {"key", "keys"}
        and parts[-2:-1] != []
        and (parts[-2] in _KEY_BEFORE)
    )


def is_secret(name: str, value: str) -> bool:
    """Return whether a value is likely to be a secret, considering its name."""
    if _REFERENCE.match(value) or not _ONE_WORD.fullmatch(value):
        return False
    if not is_secret_name(name):
        return looks_random(value)
    return (
        len(value) >= _NAMED_LENGTH
        and bits_per_character(value) >= _NAMED_BITS
        and (_kinds(value) > 1 or len(value) >= _LENGTH)
    )


def looks_random(word: str) -> bool:
    """Return whether a word of letters, digits and signs is too even to mean something.

    Hexadecimal digests and UUIDs are everywhere and are not counted.
    """
    if len(word) < _LENGTH or not _RANDOM.fullmatch(word) or _HEX.fullmatch(word):
        return False
    wanted = _BITS_SHARE * math.log2(min(len(word), 64))
    return _kinds(word) == len(_KINDS) and bits_per_character(word) >= wanted


def bits_per_character(text: str) -> float:
    """Return the entropy of a text's characters after Shannon, in bits."""
    counts = Counter(text).values()
    return -sum(n / len(text) * math.log2(n / len(text)) for n in counts)


_KINDS = (str.isupper, str.islower, str.isdigit)


def _kinds(text: str) -> int:
    return sum(any(is_kind(c) for c in text) for is_kind in _KINDS)
