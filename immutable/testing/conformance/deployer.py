"""Deployers for the kit's whole deployments: they can die, and others go on for them."""

from collections.abc import Callable
from datetime import timedelta
from typing import TypeVar

import attrs

import immutable
from immutable import host
from immutable.model import FleetName, FleetView, Routing, ServiceName
from immutable.results import Deployment, Status
from immutable.service import Service
from immutable.strategies import BlueGreen, Strategy
from immutable.testing.conformance.book import Book
from immutable.testing.conformance.clearing import inventory
from immutable.testing.conformance.hosting import Shared, Stage
from immutable.testing.conformance.passing import backend_by, ledger_by, switch_by
from immutable.testing.conformance.trial import Trial
from immutable.testing.faults import CHANGES

_T = TypeVar("_T")
SHORT = timedelta(milliseconds=1)
AT_ONCE = BlueGreen(bake=SHORT, keep_warm=timedelta(hours=1))
COLD = BlueGreen(bake=SHORT, keep_warm=timedelta())
"""A fleet that has lost its traffic is retired by the next call."""


class Died(BaseException):
    """The deployer died here. Nothing that it runs may catch this."""


class Life:
    """One deployer's life: it ends before or after one of its effects.

    Between two effects a death leaves the same world wherever it comes, so that two
    points for each effect stand for all.
    """

    def __init__(self, at: int | None = None) -> None:
        """Live; with ``at``, until the point of that number, from 1."""
        self._at = at
        self._ends = False
        self.points: list[str] = []
        """What was passed."""

    @property
    def is_over(self) -> bool:
        """Return whether it has died."""
        return self._ends

    def way(self, name: str, call: Callable[[], object]) -> object:
        """Make a call, or die around it; the dead have no more effect."""
        if self._ends:
            raise Died(name)
        if name not in CHANGES:
            return call()
        self._pass(f"before {name}")
        value = call()
        self._pass(f"after {name}")
        return value

    def _pass(self, point: str) -> None:
        self.points.append(point)
        if len(self.points) == self._at:
            self._ends = True
            raise Died(point)


class Deployer:
    """Deploys one service of a case, again and again, each time as another process."""

    def __init__(self, t: Trial, service: ServiceName | None = None) -> None:
        self.t = t
        self.name = service or t.service
        opened = t.subject.ledger
        self._ledger = opened() if opened else Book()
        self._shared = Shared()
        self.switch = t.open_switch(self.name)
        self._switch = t.hasty_switch(self.name)

    def do(
        self,
        verb: Callable[[Service], _T],
        *,
        life: Life | None = None,
        strategy: Strategy = AT_ONCE,
        ready_timeout: timedelta | None = None,
        size: int | None = None,
    ) -> _T | None:
        """Let a new process make a call; None: it died on the way."""
        life = life or Life()
        stage = Stage(self.t.here, self._shared, least=self.t.staleness)
        service = Service(
            self.name,
            backend=backend_by(self.t.hasty_backend, life.way),
            switch=switch_by(self._switch, life.way),
            ledger=ledger_by(self._ledger, life.way),
            size=size or self.t.subject.size,
            ports=self.t.subject.port,
            health=self.t.subject.health,
            strategy=strategy,
            ready_timeout=ready_timeout or self.t.subject.ready_timeout,
            drain=timedelta(),
        )
        try:
            with host.running_on(stage):
                return verb(service)
        except Died:
            return None
        finally:
            stage.die()

    def done(
        self,
        verb: Callable[[Service], Deployment],
        *,
        strategy: Strategy = AT_ONCE,
        life: Life | None = None,
    ) -> Deployment:
        """Let a process make a call that is to go well."""
        done = self.do(verb, strategy=strategy, life=life)
        if done is None or not done.is_live:
            said = f"{done.outcome}: {done.error}" if done else "it died"
            self.t.fail("the outcome LIVE", said)
        return done

    def status(self) -> Status:
        """Return how the service stands."""
        found = self.do(immutable.status)
        if found is None:
            self.t.fail("a status", found)
        return found

    def live(self) -> FleetView:
        """Expect that all traffic goes to one whole, ready fleet, and return it."""
        view = self.switch_view()
        weights = view.weights
        if len(weights) != 1:
            self.t.fail("all traffic on one fleet", view)
        fleet = weights[0][0]
        found = self.t.backend.fleets.observe(fleet)
        if found is None:
            self.t.fail(f"the fleet {fleet}, which has the traffic", found)
        return found

    def switch_view(self) -> Routing:
        """Return the routing."""
        return self.switch.read().routing

    def keeps_books(self) -> None:
        """Expect that everything that exists is what the ledger says."""
        wanted = {line.name for line in self.status().fleets}
        self.t.seen(self.fleets, lambda found: found == wanted, f"only {wanted}")
        self.t.seen(
            lambda: {a.fleet for a in self.switch.read().attachments},
            lambda found: found <= wanted,
            f"places of {wanted} only",
        )

    def fleets(self) -> set[FleetName]:
        """Return the service's fleets, found by their tags."""
        listed = (
            self.t.backend.fleets.list(service=self.name, ledger=ledger)
            for ledger in self.t.services[self.name]
        )
        return {view.name for views in listed for view in views}

    def inventory(self) -> frozenset[str]:
        """Return the names of all that exists for the service."""
        return inventory(self.t, self.name)


def serving(t: Trial, service: ServiceName | None = None) -> Deployer:
    """Return the deployer of a service on which the good image is live."""
    line = Deployer(t, service)
    line.done(lambda s: immutable.deploy(s, t.good))
    return line


@attrs.frozen(kw_only=True)
class Chosen:
    """Which crash points are tried."""

    points: tuple[int, ...]
    total: int

    def __str__(self) -> str:
        """Return how many of how many."""
        return f"{len(self.points)} of {self.total} crash points"


def choose(total: int, limit: int | None) -> Chosen:
    """Return all points, or so many of them, spread evenly from first to last."""
    if limit is None or limit >= total:
        return Chosen(points=tuple(range(1, total + 1)), total=total)
    if limit < 1:
        return Chosen(points=(), total=total)
    step = (total - 1) / max(limit - 1, 1)
    points = sorted({1 + round(i * step) for i in range(limit)})
    return Chosen(points=tuple(points), total=total)
