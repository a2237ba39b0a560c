"""After quiet: faults stop, what was in flight lands, and all has to come to rest."""

from collections.abc import Callable
from datetime import timedelta

import attrs

import immutable
from immutable import host
from immutable.ledger.state import FleetStatus, State
from immutable.model import FleetName
from immutable.results import Deployment
from immutable.service import Service
from immutable.testing.books import Book
from immutable.testing.holding import Holding
from immutable.testing.proof import whole
from immutable.testing.registers import Register
from immutable.testing.servers import Server
from immutable.testing.simulation import Simulation

ROUNDS = 40
"""So many recoveries must be enough to end whatever is open."""
_PAUSE = timedelta(seconds=60)
_Truth = tuple[int, object, object]


@attrs.frozen(kw_only=True)
class Rest:
    """How a service came to rest."""

    rounds: int
    """How many recoveries it took."""
    drifted: bool = False
    """A person has moved the switch; that is left as it is."""
    stuck: bool = False
    """Neither side is healthy: the routing is left alone, and a deployment open."""

    @property
    def how(self) -> str:
        """Return it in one word."""
        return "stuck" if self.stuck else "drifted" if self.drifted else "clean"


def settle(sim: Simulation, service: Service) -> Rest:
    """Let a service come to rest, and check that nothing is left over.

    Faults and hazards end here. Processes that still work go on to their end.

    Raises:
        Violation: it does not come to rest, or something is left over.
    """
    sim.set_faults(None)
    sim.set_hazards(None)
    sim.run()
    sim.cloud.keeper.is_calm = True
    with host.running_on(sim.here):
        return _settle(sim, service)


def _settle(sim: Simulation, service: Service) -> Rest:
    book = sim.oracles.books[service.name]
    provider = sim.cloud.provider
    # what a clock that is ahead has dated is due later
    ahead = max(process.clock.ahead for process in sim.scheduler.processes)
    beyond = provider.late + provider.staleness + ahead + _PAUSE
    rounds = 0
    for work in (immutable.recover, immutable.sweep):
        sim.wait(beyond)
        rounds += _until_quiet(sim, service, work)
        if book.state.attempt is not None:
            _check_stuck(sim, book)
            return Rest(rounds=rounds, stuck=True)
        if _is_drifted(sim, service):
            return Rest(rounds=rounds, drifted=True)
    _check_inventory(sim, book)
    _check_repeated(sim, service)
    return Rest(rounds=rounds)


def _until_quiet(
    sim: Simulation, service: Service, work: Callable[[Service], Deployment]
) -> int:
    """Do it until it changes nothing any more; return how often."""
    for turn in range(ROUNDS):
        before = _truth(sim, service)
        done = work(service)
        if _is_drifted(sim, service):
            return turn + 1
        if _truth(sim, service) == before and not _is_contended(done):
            return turn + 1
        sim.wait(_PAUSE)
    return ROUNDS


def _is_drifted(sim: Simulation, service: Service) -> bool:
    drifted = sim.oracles.traffic[service.name].drifted is not None
    return drifted and sim.oracles.books[service.name].state.attempt is None


def _is_contended(done: Deployment) -> bool:
    return isinstance(done.error, immutable.errors.Contention)


def _check_stuck(sim: Simulation, book: Book) -> None:
    """Accept what stays open only where neither side of it is fit to serve."""
    attempt = book.state.attempt
    goal = attempt.goal if attempt else None
    sides = (getattr(goal, "fleet", None), getattr(goal, "incumbent", None))
    fit = [
        entry.name
        for entry in book.state.fleets
        if entry.name in sides
        and entry.status is not FleetStatus.RETIRING
        and whole(sim.cloud, book.service, entry)(sim.cloud.now_us)
    ]
    if fit or not sim.cloud.switch(book.service).now.routing.weights:
        message = f"{attempt.id if attempt else ''} stays open, and {fit} could serve"
        raise sim.judge.condemn("liveness", message)


def _check_inventory(sim: Simulation, book: Book) -> None:
    state, register = book.state, sim.cloud.switch(book.service).now
    known = {entry.name for entry in state.fleets}
    exist = {
        name
        for name, fleet in sim.cloud.fleets.now.items()
        if name not in sim.oracles.bystanders
        and fleet.spec.tags.service == book.service
    }
    placed = {place.fleet for place in register.places}
    if not known == exist == placed:
        message = (
            f"the ledger knows {sorted(known)}, there are {sorted(exist)}, "
            f"and places for {sorted(placed)}"
        )
        raise sim.judge.condemn("inventory", message)
    _check_routing(sim, state, register)
    holding = sim.oracles.holding[book.service]
    _check_sizes(sim, state, register, holding)
    for entry in state.fleets:
        holding.rests(entry)


def _check_routing(sim: Simulation, state: State, register: Register) -> None:
    expected = {state.live.name: 100} if state.live else {}
    found = dict(register.routing.weights)
    if found != expected or register.routing.preview is not None:
        message = f"{register.routing} is served, and the ledger says {expected}"
        raise sim.judge.condemn("inventory", message)


def _check_sizes(
    sim: Simulation, state: State, register: Register, holding: Holding
) -> None:
    for entry in state.fleets:
        size = holding.size_of(entry)
        alive = {s.id for s in _servers(sim, entry.name)}
        place = register.place_of(entry.name)
        members = {member.instance for member in place.members} if place else set()
        left_out = alive - members if entry.status is FleetStatus.LIVE else set()
        if len(alive) > size or left_out:
            message = (
                f"{entry.name} is to have {size}, there are {sorted(alive)}, "
                f"and {sorted(members)} are members"
            )
            raise sim.judge.condemn("inventory", message)


def _check_repeated(sim: Simulation, service: Service) -> None:
    before = _truth(sim, service)
    immutable.recover(service)
    if _truth(sim, service) != before:
        raise sim.judge.condemn("repeated", "recovery at rest has changed something")


def _truth(sim: Simulation, service: Service) -> _Truth:
    book = sim.oracles.books[service.name]
    register = sim.cloud.switch(service.name).now
    return book.state.sequence, register, sim.cloud.fleets.now


def _servers(sim: Simulation, name: FleetName) -> tuple[Server, ...]:
    fleet = sim.cloud.fleets.now.get(name)
    return fleet.alive(sim.cloud.now_us) if fleet else ()
