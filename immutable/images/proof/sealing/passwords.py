"""Passwords in the image's list of users: a hash can be guessed, none at all needs not be."""

import re
from collections.abc import Iterator
from pathlib import Path

from immutable.images.unbooted import read_lines

_LIMIT_BYTES = 1 << 20
_LISTS = ("/etc/shadow", "/etc/gshadow", "/etc/passwd")
# What the tools that change a list leave of it as it was.
_BEFORE = tuple(f"{name}-" for name in _LISTS)
_LOGINS = ("/etc/shadow", "/etc/passwd")
_HASH = re.compile(r"[$_].+|[A-Za-z0-9./]{13}")


def wrong_passwords(root: Path) -> Iterator[tuple[str, str]]:
    """Yield each list of users with what is wrong in it.

    Raises:
        OSError, OutOfReach: a list cannot be read.
    """
    for name in (*_LISTS, *_BEFORE):
        for line in read_lines(root, name, limit_bytes=_LIMIT_BYTES):
            user, _, rest = line.partition(":")
            password = rest.partition(":")[0]
            if _HASH.fullmatch(password):
                yield name, f"{user} has a password"
            elif not password and ":" in line and name in _LOGINS:
                yield name, f"{user} needs no password"
