"""Ports for tests that start servers."""

import random
import socket

# Below the range from which the kernel takes ports for outgoing connections: one of
# those could be in use by the time a server wants it.
_FIRST, _LAST = 12_000, 24_000
_TRIES = 100


def free_port() -> int:
    """Return a loopback port that nobody listens on, nor is likely to."""
    for _ in range(_TRIES):
        port = random.randint(_FIRST, _LAST)
        try:
            socket.create_server(("127.0.0.1", port)).close()
        except OSError:
            continue
        return port
    raise OSError(f"no port is free between {_FIRST} and {_LAST}")
