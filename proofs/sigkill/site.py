"""Where an experiment runs: a directory, a switch, a ledger, and a ground for fleets."""

from collections.abc import Mapping
from pathlib import Path
from typing import Protocol

import attrs

import immutable
from immutable.ledger.sqlite import SqliteStore
from immutable.model import Image, ServiceName
from immutable.protocols import Backend
from immutable.urls import Url
from immutable_haproxy import HAProxySwitch, open_switch
from proofs.sigkill.points import Watch
from proofs.sigkill.taps import TappedStore, tapped
from proofs.sigkill.verbs import WELL, Verb

SERVICE = ServiceName("sigkill")
_BAKE, _DRAIN, _KEEP_WARM = "100ms", "2s", "1h"

Traces = Mapping[str, frozenset[str]]
"""Where instances leave a trace → the names of those that have one there.

``files`` is among the places: what is kept of the dead, too.
"""


class Ground(Protocol):
    """What fleets run on. A value: it is handed to other processes."""

    @property
    def name(self) -> str:
        """Return its word on the command line."""
        ...

    @property
    def image(self) -> Image:
        """Return what is launched; the configuration makes releases different."""
        ...

    @property
    def port(self) -> int:
        """Return what instances listen on."""
        ...

    @property
    def size(self) -> int:
        """Return how many instances a fleet has."""
        ...

    @property
    def verbs(self) -> tuple[Verb, ...]:
        """Return what deployers are killed at."""
        ...

    @property
    def requests_per_second(self) -> int:
        """Return how much traffic instances bear besides."""
        ...

    @property
    def looks_into_switch(self) -> bool:
        """Return whether each command to HAProxy is a crash point, too."""
        ...

    def backend(self, watch: Watch | None) -> Backend:
        """Open the backend, with its effects told to a watch."""
        ...

    def traces(self) -> Traces:
        """Look from outside, past the backend, at what there is of instances."""
        ...

    def debris(self) -> frozenset[str]:
        """Return what else the dead left behind: half-made files, locks of nothing.

        It may stay until the next deployment has made and destroyed instances.
        """
        ...

    def hurt(self, instance: str) -> None:
        """Kill an instance behind the library's back."""
        ...

    def clear(self) -> None:
        """Remove whatever is left of any instance."""
        ...


@attrs.frozen(kw_only=True)
class Site:
    """One service with its switch and its ledger."""

    directory: Path
    listen: str
    ground: Ground

    @property
    def store(self) -> SqliteStore:
        """Open the ledger."""
        return SqliteStore(self.directory / "ledger.db")

    @property
    def switch_directory(self) -> Path:
        """Return where the switch keeps its files and its socket."""
        return self.directory / "switch"

    def switch(self) -> HAProxySwitch:
        """Open the switch."""
        options = {
            "listen": self.listen,
            "directory": str(self.switch_directory),
            "fast": "20ms",
            "threads": "1",
        }
        url = Url(scheme="haproxy", options=options)
        return open_switch(url, service=SERVICE, port=self.ground.port)

    def service(self, watch: Watch | None = None) -> immutable.Service:
        """Describe the service; with a watch, each of its effects is a crash point."""
        backend, switch, store = self.ground.backend(watch), self.switch(), self.store
        return immutable.Service(
            SERVICE,
            backend=backend,
            switch=tapped(switch, "switch", watch) if watch else switch,
            ledger=TappedStore(store, watch) if watch else store,
            size=self.ground.size,
            ports=self.ground.port,
            health="/config.json",
            validators=[immutable.http("/config.json", contains=WELL)],
            strategy=immutable.BlueGreen(bake=_BAKE, keep_warm=_KEEP_WARM),
            drain=_DRAIN,
        )
