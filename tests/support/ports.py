"""Ports for tests that start servers."""

import os
import random
import socket

# Below the range from which the kernel takes ports for outgoing connections: one of
# those could be in use by the time a server wants it.
_FIRST, _LAST = 12_000, 24_000
_TRIES = 100
_GIVEN: set[int] = set()


def free_port() -> int:
    """Return a loopback port that nobody listens on, nor is likely to; each one once."""
    own = _own()
    for _ in range(_TRIES):
        port = random.choice(own)
        if port in _GIVEN:
            continue
        try:
            socket.create_server(("127.0.0.1", port)).close()
        except OSError:
            continue
        _GIVEN.add(port)
        return port
    raise OSError(f"no port is free between {own.start} and {own.stop}")


def _own() -> range:
    """Return the ports of this worker: two must not find the same one free."""
    workers = int(os.environ.get("PYTEST_XDIST_WORKER_COUNT", "1"))
    number = int(os.environ.get("PYTEST_XDIST_WORKER", "gw0").removeprefix("gw"))
    # a worker that replaces one that crashed has a number of its own
    return range(_FIRST + number % workers, _LAST, workers)
