"""A fleet beside all deployments: launched for a while, looked at, and taken away.

The lease that names it is written before anything of it exists, and its tags say whose it
is, so that `sweep` finds what a killed process leaves.
"""

from collections.abc import Callable
from datetime import datetime, timedelta
from typing import TypeVar

import attrs

from immutable.capabilities import Need
from immutable.deploying import looking
from immutable.deploying.clearing import end_lease, lease
from immutable.deploying.engine import Engine
from immutable.deploying.view import spec_of
from immutable.errors import Cancelled
from immutable.ledger.state import FleetEntry, FleetStatus
from immutable.model import DeploymentId, FleetName, LedgerId, Release, Token
from immutable.names import fleet_name, token_of

_SLOW = timedelta(minutes=10)
_T = TypeVar("_T")


@attrs.frozen(kw_only=True)
class Aside:
    """One such fleet, whether or not anything of it exists yet."""

    engine: Engine
    ledger: LedgerId
    release: Release
    size: int = 1
    role: str
    """What its tags say that it is for."""
    until: datetime
    """After this its tags say that it is over."""
    id: DeploymentId
    """Of no deployment, and of this fleet alone."""

    @property
    def name(self) -> FleetName:
        """Return the fleet's name."""
        return fleet_name(self.engine.service.name, self.release.number, self.id)

    def reserve(self) -> None:
        """Write that it needs its image; from here on there may be something to clear.

        Raises:
            Refused: the image is being deleted.
            LedgerError: the ledger cannot be written.
        """
        lease(self.engine, self.name, self.release.image.id, self.until)

    def admit(self, override: str | None = None) -> None:
        """See that it may run, and has room.

        Raises:
            Refused: the image is revoked.
            BackendError, LedgerError: something cannot be reached, or there is no room.
        """
        engine, image = self.engine, self.release.image
        service = engine.service.name
        engine.guard.admit(
            image, service=service, deployment=self.id, override=override
        )
        need = Need(service=service, new_instances=self.size, image=image)
        looking.ask(engine, lambda: engine.backend.preflight(need))

    def launch(self, place: str | None = None) -> None:
        """Launch it, at a place of the switch or at none."""
        entry = FleetEntry(
            name=self.name,
            release=self.release,
            deployment=self.id,
            size=self.size,
            status=FleetStatus.NEW,
        )
        spec = spec_of(entry, self.engine.context, size=self.size, place=place)
        tags = attrs.evolve(spec.tags, role=self.role, expires_at=self.until)
        spec, token = attrs.evolve(spec, tags=tags), self._token("launch")
        launch = self.engine.backend.fleets.launch
        looking.ask(self.engine, lambda: launch(spec, token=token), limit=_SLOW)

    def wait(self, seen: Callable[[], _T | None]) -> _T | None:
        """Return what is seen of it once that is not None; None: not in time.

        Raises:
            Cancelled: the caller asked to stop.
        """
        engine = self.engine
        began = engine.host.now()
        until = began + engine.service.ready_timeout
        while (now := engine.host.now()) < until:
            check_stop(engine)
            if (found := seen()) is not None:
                return found
            engine.host.sleep(engine.context.patience(now - began), engine.stop)
        return None

    def clear(self) -> None:
        """Destroy it, and write that it needs its image no more.

        Raises:
            BackendError, LedgerError: something cannot be reached; `sweep` does it.
        """
        token, retire = self._token("retire"), self.engine.backend.fleets.retire
        looking.ask(self.engine, lambda: retire(self.name, token=token), limit=_SLOW)
        end_lease(self.engine, self.name)

    def _token(self, operation: str) -> Token:
        return token_of(self.ledger, self.id, operation, self.name)


def check_stop(engine: Engine) -> None:
    """Raise Cancelled where the caller asked to stop."""
    if engine.stop.is_set():
        raise Cancelled("asked to stop; what was launched is taken away")
