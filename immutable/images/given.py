"""Whether what a recipe is given is of the right kind, for programs without type checks.

A text where several are meant would be taken apart into letters, and nobody would notice.
"""

import os
from collections.abc import Iterable, Mapping
from pathlib import Path

from immutable.errors import InvalidInput
from immutable.images.lock import Lock
from immutable.model import Image

Variables = Mapping[str, str]
AnyPath = str | os.PathLike[str]


def text(value: object, what: str, *, hint: str = "write it in quotes") -> str:
    """Return a text that can be written into a file or given to a program.

    Raises:
        InvalidInput: it is something else, or holds what no program can be given.
    """
    if not isinstance(value, str):
        raise InvalidInput(f"{what} {value!r} is no text", hint=hint)
    if "\0" in value or (not value.isascii() and _is_broken(value)):
        message = f"{what} {value!r} holds what no program can be given"
        raise InvalidInput(message, hint="leave out null and half characters")
    return value


def texts(value: object, what: str) -> tuple[str, ...]:
    """Return several texts, in their order.

    Raises:
        InvalidInput: it is one text, or holds something else.
    """
    if isinstance(value, str | bytes | Mapping) or not isinstance(value, Iterable):
        hint = f"give a list, as in {what}=[{str(value)!r}]"
        raise InvalidInput(f"{what}={value!r} is no list", hint=hint)
    ordered = sorted(value, key=str) if isinstance(value, set | frozenset) else value
    return tuple(text(each, what) for each in ordered)


def variables(value: object, what: str) -> dict[str, str]:
    """Return texts by name, none where none are given; numbers are written out.

    Raises:
        InvalidInput: it is no mapping, or holds what has no one way to be written.
    """
    if value is None:
        return {}
    if not isinstance(value, Mapping):
        hint = 'give a dictionary, as in {"name": "value"}'
        raise InvalidInput(f"{what}={value!r} is no mapping", hint=hint)
    return {text(key, what): _written(key, each, what) for key, each in value.items()}


def path(value: object, what: str) -> Path:
    """Return a path of this machine.

    Raises:
        InvalidInput: it is something else.
    """
    if not isinstance(value, str | os.PathLike):
        raise InvalidInput(f"{what} {value!r} is no path", hint="give a text or a Path")
    return Path(text(os.fspath(value), what))


def optional_path(value: object, what: str) -> Path | None:
    """Return a path of this machine, or None where none is given.

    Raises:
        InvalidInput: it is something else.
    """
    return None if value is None else path(value, what)


def lock(value: object) -> Lock:
    """Return a lock.

    Raises:
        InvalidInput: it is something else.
    """
    if not isinstance(value, Lock):
        hint = "read it: Lock.from_json(path.read_text())"
        raise InvalidInput(f"{value!r} is no lock", hint=hint)
    return value


def image(value: object) -> Image:
    """Return an image.

    Raises:
        InvalidInput: it is something else.
    """
    if not isinstance(value, Image):
        hint = "give the Image that build() or channel() returned"
        raise InvalidInput(f"{value!r:.80} is no image", hint=hint)
    return value


def _written(key: object, value: object, what: str) -> str:
    if isinstance(value, int | float) and not isinstance(value, bool):
        return str(value)
    return text(value, f"{what}: {key!r}:")


def _is_broken(value: str) -> bool:
    try:
        value.encode()
    except UnicodeEncodeError:
        return True
    return False
