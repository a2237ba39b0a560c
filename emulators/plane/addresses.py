"""Loopback addresses for one emulator, so that several can run on one machine."""

import itertools
import os
import socket
from typing import Self

_FIRST, _LAST = 16, 239
_GUARD_PORT = 60999


class Addresses:
    """A block ``127.N.0.0/16`` that no other emulator on this machine uses.

    Machines of networks within the block have their own address; whatever else needs one,
    balancers and machines of other networks, gets the next from the block's end.
    """

    def __init__(self) -> None:
        """Claim a block.

        Raises:
            OSError: all are taken.
        """
        self._guard, self.block = _claim()
        self._spare = itertools.count(1)

    def __enter__(self) -> Self:
        """Return itself."""
        return self

    def __exit__(self, *_: object) -> None:
        """Give the block back."""
        self.close()

    @property
    def network(self) -> str:
        """Return the block in CIDR notation."""
        return f"127.{self.block}.0.0/16"

    def within(self, address: str | None) -> bool:
        """Return whether an address is of this block."""
        return (address or "").startswith(f"127.{self.block}.")

    def spare(self) -> str:
        """Return an address that nobody has."""
        number = next(self._spare)
        return f"127.{self.block}.{224 + number // 250 % 31}.{1 + number % 250}"

    def close(self) -> None:
        """Give the block back."""
        self._guard.close()


def _claim() -> tuple[socket.socket, int]:
    """Claim by listening: what a process holds ends with it, however it ends."""
    span = _LAST - _FIRST + 1
    for offset in range(span):
        block = _FIRST + (os.getpid() + offset) % span
        guard = socket.socket()
        try:
            guard.bind((f"127.{block}.255.254", _GUARD_PORT))
            guard.listen()
        except OSError:
            guard.close()
            continue
        return guard, block
    raise OSError("all blocks of loopback addresses are taken")
