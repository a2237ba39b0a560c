"""Connections that are cut at a call of one's choice: before its effect, or after it.

The proxy in ``faults`` does more, and is another process; this is for those who go through
every call of something, one after another.
"""

import socket
from typing import Literal

import attrs

from emulators.aws.requests import Asked, Environ

When = Literal["before", "after"]


@attrs.define(kw_only=True)
class Cut:
    """One connection to be cut."""

    name: str
    """What the call's name begins with: ``ec2:Run``, or nothing for any call."""
    when: When
    skip: int = 0
    """So many calls that fit are let through first."""


@attrs.define(eq=False)
class Cuts:
    """What is to be cut; each once."""

    _waiting: list[Cut] = attrs.field(factory=list, init=False)

    def add(self, cut: Cut) -> None:
        """Have one more connection cut."""
        self._waiting.append(cut)

    def clear(self) -> None:
        """Cut nothing."""
        self._waiting.clear()

    def take(self, asked: Asked) -> When | None:
        """Return whether and when this call is to be cut."""
        for cut in self._waiting:
            if not asked.name.startswith(cut.name):
                continue
            if cut.skip == 0:
                self._waiting.remove(cut)
                return cut.when
            cut.skip -= 1
        return None

    @property
    def left(self) -> int:
        """Return how many have not come yet."""
        return len(self._waiting)


def cut_off(environ: Environ) -> None:
    """Reset the connection of a request.

    Raises:
        ConnectionResetError: always: the server is to answer nothing.
    """
    connection = environ.get("werkzeug.socket")
    if isinstance(connection, socket.socket):
        connection.shutdown(socket.SHUT_RDWR)
    raise ConnectionResetError
