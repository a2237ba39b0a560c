"""Ports for servers, below those that the kernel gives to outgoing connections."""

import random
import socket

_FIRST, _LAST = 12_000, 24_000
_TRIES = 100


def free_port() -> int:
    """Return a loopback port that nobody listens on, nor is likely to.

    Raises:
        OSError: none was found.
    """
    for _ in range(_TRIES):
        port = random.randint(_FIRST, _LAST)
        try:
            socket.create_server(("127.0.0.1", port)).close()
        except OSError:
            continue
        return port
    raise OSError(f"no port is free between {_FIRST} and {_LAST}")
