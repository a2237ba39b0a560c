"""What the scenes are told with: a small world, and looks at what happened in it."""

from collections.abc import Iterable

import immutable
from immutable import Deployment, Outcome, Status
from immutable.model import InstanceId
from immutable.protocols import Validator
from immutable.strategies import BlueGreen, Strategy
from immutable.testing.provider import Provider
from immutable.testing.servers import Route
from immutable.testing.simulation import Simulation
from immutable.testing.trace import Line

_QUICK = BlueGreen(bake="300ms", keep_warm="24h")
_PLAIN = Provider()


class Unexpected(AssertionError):
    """The story went another way."""


def expect(found: object, wanted: object, what: str) -> None:
    """Compare.

    Raises:
        Unexpected: they differ.
    """
    if found != wanted:
        raise Unexpected(f"{what}: {found}, not {wanted}")


class World:
    """One service in a simulated cloud."""

    def __init__(
        self,
        provider: Provider = _PLAIN,
        *,
        validators: Iterable[Validator] | None = None,
        strategy: Strategy = _QUICK,
        drain: str = "0s",
    ) -> None:
        self.sim = Simulation(1, provider=provider)
        self.service = self.sim.service(
            "shop",
            size=2,
            validators=validators,
            strategy=strategy,
            ready_timeout="2s",
            drain=drain,
        )

    def deploy(
        self,
        image: str,
        *,
        size: int | None = None,
        ready: bool = True,
        rejected: Route | None = None,
        outcome: Outcome = Outcome.LIVE,
    ) -> Deployment:
        """Deploy an image, and see that it ends as it must."""
        made = self.sim.image(image, boots_in="50ms", ready=ready, rejected=rejected)
        with self.sim:
            done = immutable.deploy(self.service, made, size=size)
        expect(done.outcome, outcome, f"deploying {image}")
        return done

    def status(self) -> Status:
        """Return what the service says of itself."""
        with self.sim:
            return immutable.status(self.service)

    def live_servers(self) -> tuple[InstanceId, ...]:
        """Return the servers that live in the fleet that has traffic."""
        routing = self.sim.cloud.switch(self.service.name).now.routing
        fleets = [self.sim.cloud.fleets.now[name] for name, _ in routing.weights]
        now_us = self.sim.cloud.now_us
        return tuple(server.id for fleet in fleets for server in fleet.alive(now_us))

    def lines(self, what: str) -> list[Line]:
        """Return what the trace says of one call."""
        return [line for line in self.sim.trace.lines if line.what.startswith(what)]

    def time_of(self, process: str, about: str) -> int:
        """Return when a process wrote its last record with these words in it."""
        return next(
            line.at_us
            for line in reversed(self.lines("ledger.append"))
            if line.process == process and about in str(line)
        )
