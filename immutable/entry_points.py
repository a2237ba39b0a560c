"""What the entry points of a backend's distribution name: functions from URL to part.

    [project.entry-points."immutable.backends"]
    acme = "immutable_acme.backend:open_backend"

Parse the URL strictly, raise `InvalidInput` for what it cannot mean, and do no I/O.
"""

from typing import Protocol

from immutable.model import ServiceName
from immutable.protocols import Backend, LedgerStore, Switch
from immutable.urls import Url


class OpenBackend(Protocol):
    """What the entry point group ``immutable.backends`` names: URL in, backend out."""

    def __call__(self, url: Url) -> Backend:
        """Return the backend; parse the URL, raise `InvalidInput`, do no I/O."""
        ...


class OpenSwitch(Protocol):
    """What the entry point group ``immutable.switches`` names."""

    def __call__(self, url: Url, *, service: ServiceName, port: int) -> Switch:
        """Return the service's switch; parse the URL, raise `InvalidInput`, no I/O."""
        ...


class OpenLedger(Protocol):
    """What the entry point group ``immutable.ledgers`` names."""

    def __call__(self, url: Url, *, service: ServiceName) -> LedgerStore:
        """Return the store; parse the URL, raise `InvalidInput`, write nothing."""
        ...
