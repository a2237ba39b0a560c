"""A service in a simulated cloud, with whatever history a scenario needs."""

from collections.abc import Callable
from datetime import timedelta

import attrs

import immutable
from immutable.ledger.state import State
from immutable.model import WHOLE, FleetName
from immutable.results import Deployment
from immutable.service import Service
from immutable.strategies import BlueGreen
from immutable.testing import people
from immutable.testing.faults import Fault, Faults
from immutable.testing.provider import Provider
from immutable.testing.registers import Kind, Register
from immutable.testing.scheduling import EPOCH, Process
from immutable.testing.servers import Fleet, Route
from immutable.testing.simulation import Simulation
from immutable.testing.store import SimulatedStore

SERVICE = "shop"
SIZE = 2
WARM = timedelta(hours=24)
"""How long a standby is kept: longer than any recovery takes."""
EFFECTS = frozenset(
    {
        "fleets.launch",
        "fleets.resize",
        "fleets.replace",
        "fleets.retire",
        "fleets.freeze",
        "fleets.thaw",
        "switch.attach",
        "switch.join",
        "switch.write",
        "switch.detach",
    }
)
"""The calls that change something outside the ledger."""
_SLACK = timedelta(milliseconds=1)


Call = Callable[["Stage"], Deployment]


@attrs.frozen(kw_only=True)
class Truth:
    """Everything there is: what a call that changes nothing leaves alone."""

    head: int
    fleets: tuple[Fleet, ...]
    register: Register


@attrs.frozen(kw_only=True)
class Terms:
    """What a world is like: the same terms make the same world."""

    kind: Kind
    seed: int = 0
    late: timedelta = timedelta()
    staleness: timedelta = timedelta()
    groups: bool = False
    """Fleets are native groups, which their provider heals by itself."""

    @property
    def provider(self) -> Provider:
        """Return the provider; each kind also differs in what else it can do."""
        native = self.kind == "slot"
        provider = Provider(
            switch=self.kind,
            late=self.late,
            staleness=self.staleness,
            launch_binds=native,
            counts=native,
            guards_deletion=self.kind != "compare-and-set",
            drains_in=timedelta(milliseconds=60),
        )
        return provider.with_groups() if self.groups else provider


@attrs.frozen
class LastCallLate:
    """Leaves in flight what a process asks for last."""

    process: Process

    def choose(
        self, call: str, *, process: str, possible: tuple[Fault, ...]
    ) -> Fault | None:
        """Return `Fault.LATE` for the call behind which the process dies."""
        dies_next = len(self.process.points) + 1 == self.process.kill_at
        its_own = process == self.process.name and call in EFFECTS
        return Fault.LATE if its_own and dies_next and Fault.LATE in possible else None


class Stage:
    """One simulated world with one service, and the processes that work on it."""

    def __init__(self, terms: Terms) -> None:
        """Make a world in which nothing exists yet."""
        self.terms = terms
        self.sim = Simulation(terms.seed, provider=terms.provider)
        self.service = self.sim.service(
            SERVICE,
            size=SIZE,
            strategy=BlueGreen(bake="500ms", keep_warm=WARM),
            ready_timeout="2s",
            drain="500ms",
        )
        self.mark = 0
        """The ledger's last record when the scenario's own call began."""
        self.served: tuple[FleetName, ...] = ()
        """What had traffic then."""

    @property
    def state(self) -> State:
        """Return what the ledger says."""
        return self.sim.oracles.books[SERVICE].state

    @property
    def register(self) -> Register:
        """Return what the switch holds."""
        return self.sim.cloud.switch(SERVICE).now

    @property
    def routed(self) -> tuple[FleetName, ...]:
        """Return the fleets that have traffic."""
        return tuple(fleet for fleet, _ in self.register.routing.weights)

    def truth(self) -> Truth:
        """Return everything there is, but what a provider changes by itself."""
        fleets = self.sim.cloud.fleets.now
        return Truth(
            head=self.state.sequence,
            fleets=tuple(_lasting(fleets[name]) for name in sorted(fleets)),
            register=_unbound(self.register) if self.terms.groups else self.register,
        )

    def begin(self) -> None:
        """Remember how things are before the scenario's own call."""
        self.mark, self.served = self.state.sequence, self.routed

    def deploy(
        self,
        image: str,
        *,
        boots_in: str = "60ms",
        ready: bool = True,
        rejected: Route | None = None,
        service: Service | None = None,
    ) -> Deployment:
        """Deploy an image, which may be a bad one."""
        made = self.sim.image(image, boots_in=boots_in, ready=ready, rejected=rejected)
        return immutable.deploy(service or self.service, made)

    def live(
        self,
        name: str,
        work: Call,
        *,
        kill_at: int | None = None,
        faults: Callable[[Process], Faults] | None = None,
    ) -> tuple[Process, Deployment | None]:
        """Let a process work to its end, or to its death.

        Args:
            name: names it; no other may have had it.
            work: what it does.
            kill_at: the number of the crash point at which it dies.
            faults: what goes wrong while it lives, given itself.
        """
        results: list[Deployment] = []
        process = self.sim.spawn(
            name, lambda: results.append(work(self)), kill_at=kill_at
        )
        if faults is not None:
            self.sim.gate.faults = faults(process)
        self.sim.run()
        self.sim.set_faults(None)
        return process, results[0] if results else None

    def outlast_the_lease(self) -> None:
        """Wait until nobody may be presumed at work any more."""
        until = self.state.lease_until
        now = EPOCH + timedelta(microseconds=self.sim.scheduler.now_us)
        if until is not None and until >= now:
            self.sim.wait(until - now + _SLACK)

    def move_by_hand(self, fleet: FleetName) -> None:
        """Let a person give a fleet all the traffic, past the ledger."""
        people.route(self.sim, SERVICE, {fleet: WHOLE})

    def lose_the_ledger(self) -> None:
        """Let everything that was recorded be gone, and its judge begin anew."""
        self.sim.store = SimulatedStore(self.sim.gate)
        self.sim.store.watch = self.sim.oracles
        del self.sim.oracles.books[SERVICE], self.sim.oracles.traffic[SERVICE]
        self.sim.oracles.look_after(SERVICE)
        self.service = attrs.evolve(self.service, ledger=self.sim.store)


def _lasting(fleet: Fleet) -> Fleet:
    loose = fleet.group is not None and not fleet.group.frozen
    return attrs.evolve(fleet, servers=()) if loose else fleet


def _unbound(register: Register) -> Register:
    places = tuple(attrs.evolve(place, joined=()) for place in register.places)
    return attrs.evolve(register, places=places)
