"""What the scenes are told with: a small world, and looks at what happened in it."""

from collections.abc import Callable, Iterable
from types import MappingProxyType

import attrs

import immutable
from immutable import Deployment, Outcome, Status
from immutable.model import FleetName, InstanceId
from immutable.protocols import Validator
from immutable.strategies import BlueGreen, Strategy
from immutable.testing.faults import Fault, Script
from immutable.testing.provider import Provider
from immutable.testing.schedules import TURNS
from immutable.testing.servers import Fleet, Route
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
        seed: int = 1,
        turns: int = TURNS,
    ) -> None:
        self.sim = Simulation(seed, provider=provider, turns=turns)
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
        outcome: Outcome | None = Outcome.LIVE,
    ) -> Deployment:
        """Deploy an image, and see that it ends as it must, if there is but one way."""
        made = self.sim.image(image, boots_in="50ms", ready=ready, rejected=rejected)
        with self.sim:
            done = immutable.deploy(self.service, made, size=size)
        expect(done.outcome, outcome or done.outcome, f"deploying {image}")
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

    def live_fleet(self) -> Fleet:
        """Return the fleet that has all traffic."""
        ((name, _),) = self.sim.cloud.switch(self.service.name).now.routing.weights
        return self.sim.cloud.fleets.now[name]

    def change(self, name: FleetName, change: Callable[[Fleet], Fleet]) -> None:
        """Let a fleet become another one, past the engine and past every check."""
        fleets = self.sim.cloud.fleets
        changed = {**fleets.now, name: change(fleets.now[name])}
        fleets.put(self.sim.cloud.now_us, MappingProxyType(changed))

    def all_fleets(self) -> tuple[Fleet, ...]:
        """Return every fleet that there is."""
        return tuple(self.sim.cloud.fleets.now.values())

    def new_fleet(self) -> Fleet:
        """Return the fleet that has no traffic yet."""
        routing = self.sim.cloud.switch(self.service.name).now.routing
        fleets = self.sim.cloud.fleets.now
        return next(f for name, f in fleets.items() if not routing.weight_of(name))

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


@attrs.define
class When:
    """Does something in the instant before a call, having let so many pass."""

    call: str
    deed: Callable[[], object]
    skip: int = 0
    every: bool = attrs.field(default=False, kw_only=True)
    """Before every call from then on."""

    def choose(
        self,
        call: str,
        *,
        process: str,  # noqa: ARG002 - whoever makes it
        possible: tuple[Fault, ...],  # noqa: ARG002 - nothing goes wrong with it
    ) -> Fault | None:
        """Do it, when this is the call."""
        if call == self.call:
            if not self.skip or (self.every and self.skip < 0):
                self.deed()
            self.skip -= 1
        return None


@attrs.frozen
class Both:
    """Does something, and lets go wrong what a script says."""

    first: When
    second: Script

    def choose(
        self, call: str, *, process: str, possible: tuple[Fault, ...]
    ) -> Fault | None:
        """Return the fault that the script asks for."""
        self.first.choose(call, process=process, possible=possible)
        return self.second.choose(call, process=process, possible=possible)


@attrs.define
class Flag:
    """Asks to stop when it is up."""

    is_up: bool = False

    def raise_(self) -> None:
        """Ask from now on."""
        self.is_up = True

    def is_set(self) -> bool:
        """Return whether to stop."""
        return self.is_up
