"""``memory://``: instant, offline, and the same every time; nothing need be installed.

    shop = immutable.Service("shop", backend="memory://", ports=8080)
    immutable.deploy(shop, recipe)              # milliseconds, though it bakes for minutes

There is one world for each name in each process: backend, switch and ledger with the
address ``memory://lab`` meet in the world ``lab``, which ends with the process. The first
address decides its options, such as ``memory://lab?capacity=10&boots_in=2s``; all of them
are in `Settings`. Time is virtual. Nothing listens: there are no requests, so validators
judge by the `Target` that they are given and not over the network.

`world` gives access to what befalls a world, and `forget` ends it.
"""

import os
import threading

from immutable.errors import InvalidInput
from immutable.model import ServiceName
from immutable.protocols import Backend, LedgerStore, Switch
from immutable.testing.memory.settings import Settings, check_agreement
from immutable.testing.memory.worlds import SCHEME, World
from immutable.urls import Url

__all__ = ["World", "forget", "open_backend", "open_ledger", "open_switch", "world"]
_worlds: dict[str, World] = {}
_lock = threading.Lock()


def world(address: str = "memory://") -> World:
    """Return the world at an address; it is made when there is none.

    Raises:
        InvalidInput: it is no such address, or its options contradict the world's.
    """
    return _at(_parse(address))


def forget(address: str = "memory://") -> None:
    """End the world at an address, whatever its options; the next use makes a new one."""
    with _lock:
        _worlds.pop(_parse(address).host, None)


def open_backend(url: Url) -> Backend:
    """Return the backend of the world at an address."""
    return _at(url).backend


def open_switch(url: Url, *, service: ServiceName, port: int) -> Switch:  # noqa: ARG001 - a world has one switch for each service
    """Return a service's switch in the world at an address."""
    return _at(url).switch(service)


def open_ledger(url: Url, *, service: ServiceName) -> LedgerStore:  # noqa: ARG001 - a store has a stream for each service
    """Return the ledger of the world at an address."""
    return _at(url).ledger


def _parse(address: str) -> Url:
    url = Url.parse(address)
    if url.scheme != SCHEME:
        raise InvalidInput(f"{address!r:.80} is no world", hint="write memory://NAME")
    return url


def _at(url: Url) -> World:
    with _lock:
        found = _worlds.get(url.host)
        if found is None:
            found = _worlds[url.host] = World(url.host, Settings.parse(url))
        else:
            check_agreement(url, found.settings)
    return found


def _begin_anew() -> None:
    """Leave the parent's worlds to the parent: its threads are not here."""
    global _lock  # noqa: PLW0603 - the parent may have held it
    _lock = threading.Lock()
    _worlds.clear()


os.register_at_fork(after_in_child=_begin_anew)
