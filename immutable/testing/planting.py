"""A release that went live before the simulation began, put there at once.

Everything is as the engine would have left it, so that schedules need not spend their
time on first deployments in which nothing goes wrong.
"""

import uuid
from types import MappingProxyType

import attrs

from immutable.deploying import admitting
from immutable.deploying.admitting import Wish
from immutable.deploying.view import Context, spec_of
from immutable.ledger.codec import decode_identity, encode, encode_identity
from immutable.ledger.records import Begun, Entry, Finished, Record
from immutable.ledger.state import FleetEntry, FleetStatus, State
from immutable.model import (
    WHOLE,
    DeploymentId,
    FleetSpec,
    HealthCheck,
    Image,
    LedgerId,
    Member,
    Outcome,
    Release,
    ReleaseNumber,
    Routing,
    Token,
)
from immutable.service import Service
from immutable.testing.calls import Request
from immutable.testing.groups import Group
from immutable.testing.registers import SLOTS_KEPT, Joined, Place, Register
from immutable.testing.scheduling import Process
from immutable.testing.servers import Fleet, Server, born, missing_names, to_datetime
from immutable.testing.simulation import Simulation
from immutable.testing.store import SERVICE

FOUNDER = "founder"
"""Who deployed what is planted, by name."""
POLICIES = "by load"
MOST = 5
"""The most instances that the provider scales what is planted to."""
_AGO_US = -60_000_000
_IDENTITY = "ledger"


def plant(sim: Simulation, service: Service, image: Image) -> None:
    """Make a release of an image live, before anything else is done to the service."""
    ledger = _identity(sim)
    state = sim.oracles.books[service.name].state
    deployment = DeploymentId(f"planted-{state.next_release}")
    goal = admitting.goal_for(service, state, _wish(service, state, image), deployment)
    _append(sim, service, Begun(deployment=deployment, goal=goal))
    state = sim.oracles.books[service.name].state
    entry = state.fleet(goal.fleet)
    if entry is not None:
        _build(sim, service, entry, ledger)
    _append(sim, service, Finished(outcome=Outcome.LIVE, live=goal.fleet))
    if sim.cloud.provider.scales_itself:
        _hold(sim, service)


def _hold(sim: Simulation, service: Service) -> None:
    """Let the provider keep what serves, and leave the others alone."""
    fleets = dict(sim.cloud.fleets.now)
    for entry in sim.oracles.books[service.name].state.fleets:
        fleet = fleets[entry.name]
        frozen = entry.status is not FleetStatus.LIVE
        group = Group(frozen=frozen, policies=POLICIES, most=MOST)
        fleets[entry.name] = attrs.evolve(fleet, group=group.fitting(entry.size))
    sim.cloud.fleets.put(sim.cloud.now_us, MappingProxyType(fleets))


def _wish(service: Service, state: State, image: Image) -> Wish:
    release = Release(
        number=ReleaseNumber(state.next_release),
        image=image,
        ports=service.ports,
        health=service.health_check,
    )
    return Wish(verb="deploy", release=release, size=None, strategy=service.strategy)


def _identity(sim: Simulation) -> LedgerId:
    """Return the ledger's identity; it is founded when it has none."""
    found = sim.store.records(_IDENTITY)
    if found:
        return decode_identity(found[0][1])
    ledger = LedgerId(str(uuid.UUID(sim.here.unique())))
    sim.store.plant(_request(sim), _IDENTITY, 1, encode_identity(ledger))
    return ledger


def _append(sim: Simulation, service: Service, entry: Entry) -> None:
    now = to_datetime(sim.cloud.now_us)
    sequence = sim.oracles.books[service.name].state.sequence + 1
    record = Record(
        sequence=sequence,
        at=now,
        by=FOUNDER,
        lease_until=now if isinstance(entry, Begun) else None,
        snapshot=0,
        nonce=sim.here.unique(),
        entry=entry,
    )
    stream = f"{SERVICE}{service.name}"
    sim.store.plant(_request(sim), stream, sequence, encode(record))


def _build(
    sim: Simulation, service: Service, entry: FleetEntry, ledger: LedgerId
) -> None:
    """Put the fleet into the cloud, and give it the traffic."""
    spec = _spec(sim, service, entry, ledger)
    behaviour = sim.cloud.behaviours[entry.release.image.id]
    names = missing_names((), spec, Token("planted"), 0)
    servers = tuple(born(spec, name, behaviour, _AGO_US) for name in sorted(names))
    fleet = Fleet(name=entry.name, spec=spec, servers=servers)
    others = sim.cloud.fleets.now
    sim.cloud.fleets.put(
        sim.cloud.now_us, MappingProxyType({**others, entry.name: fleet})
    )
    switch = sim.cloud.switch(service.name)
    switch.put(
        sim.cloud.now_us,
        _served(switch.now, spec, servers, service.health_check, ledger),
    )


def _spec(
    sim: Simulation, service: Service, entry: FleetEntry, ledger: LedgerId
) -> FleetSpec:
    provider = sim.cloud.provider
    context = Context(
        service=service.name,
        ledger=ledger,
        backend=provider.capabilities,
        switch=provider.switch_capabilities,
        previewed=False,
        judged=False,
    )
    return spec_of(entry, context, size=entry.size, place=None)


def _served(
    register: Register,
    spec: FleetSpec,
    servers: tuple[Server, ...],
    health: HealthCheck,
    ledger: LedgerId,
) -> Register:
    members = [
        Member(instance=s.id, address=s.address, port=spec.port) for s in servers
    ]
    joined = tuple(Joined(member=member, since_us=_AGO_US) for member in members)
    place = Place(fleet=spec.name, health=health, joined=joined)
    places = sorted((*register.places, place), key=lambda place: place.fleet)
    routing = Routing(weights={spec.name: WHOLE})
    version = register.version + 1
    slots = (*register.slots, (version, routing))[-SLOTS_KEPT:]
    return attrs.evolve(
        register,
        version=version,
        routing=routing,
        owner=ledger,
        places=tuple(places),
        slots=slots if register.kind == "slot" else (),
    )


def _request(sim: Simulation) -> Request:
    return Request("ledger.append", (), Process(name=FOUNDER), sim.cloud.now_us)
