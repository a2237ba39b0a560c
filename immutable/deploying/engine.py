"""The parts that a deployment works with, opened and put together."""

from collections.abc import Callable

import attrs

from immutable.deploying.view import Context
from immutable.events import Event
from immutable.host import Host, Stop
from immutable.images.catalogue.guard import Guard
from immutable.ledger.journal import Journal
from immutable.model import LedgerId
from immutable.protocols import Backend, Switch, Validator
from immutable.service import Service


@attrs.frozen(kw_only=True)
class Engine:
    """Everything that one call on a service needs, open and ready.

    ``ledger`` is None while nothing has ever been written to the ledger.
    """

    service: Service
    backend: Backend
    switch: Switch
    journal: Journal
    host: Host
    ledger: LedgerId | None
    validators: tuple[Validator, ...]
    """Asked on the preview route and on live traffic."""
    judge: Validator | None
    """Asked on live traffic only."""
    tell: Callable[[Event], None]
    stop: Stop
    guard: Guard = attrs.field(factory=Guard)
    """Asked before instances are launched; by default it lets everything pass."""

    @property
    def context(self) -> Context:
        """Return what `decide` may know of the parts."""
        return Context(
            service=self.service.name,
            ledger=self.ledger or LedgerId(""),
            backend=self.backend.capabilities,
            switch=self.switch.capabilities,
            previewed=bool(self.validators),
            judged=bool(self.validators) or self.judge is not None,
        )
