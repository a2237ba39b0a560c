"""What exists without the ledger's saying: found by name, tags and the ledger's id."""

import json

from immutable.deploying import looking
from immutable.deploying.engine import Engine
from immutable.deploying.freezing import is_astray
from immutable.deploying.view import size_of
from immutable.errors import Refused
from immutable.ledger.entries import evolve_fleets
from immutable.ledger.evolving import evolved
from immutable.ledger.state import FleetEntry, FleetStatus, State
from immutable.model import (
    DeploymentId,
    FleetName,
    FleetView,
    HealthCheck,
    Image,
    InstanceState,
    LedgerId,
    Release,
    ReleaseNumber,
    SwitchView,
)


def orphans(engine: Engine, state: State, view: SwitchView) -> tuple[FleetName, ...]:
    """Return fleets and places of this ledger that it does not answer for, by name.

    Nothing that a request can reach is among them.
    """
    if engine.ledger is None:
        return ()
    known = {entry.name for entry in state.fleets}
    found = tagged(engine, engine.ledger)
    placed = {attachment.fleet for attachment in view.attachments}
    strangers = {fleet.name for fleet in found} | placed
    return tuple(
        sorted(name for name in strangers - known if not view.routing.mentions(name))
    )


def torn(engine: Engine, state: State) -> FleetName | None:
    """Return a fleet with more servers than it is to have, or with one that is no member."""
    view = looking.read_switch(engine)
    kept = (state.live, state.standby)
    return next((e.name for e in kept if e and _is_torn(engine, e, view)), None)


def _is_torn(engine: Engine, entry: FleetEntry, view: SwitchView) -> bool:
    found = looking.observe(engine, entry.name)
    instances = found.instances if found else ()
    alive = {i.id for i in instances if i.state is not InstanceState.GONE}
    place = view.attachment_of(entry.name)
    members = {member.instance for member in place.members} if place else alive
    if found is not None and found.frozen is not None:
        # how many there are is the provider's business, unless it is frozen
        surplus = found.frozen and len(alive) > size_of(entry, found)
        return surplus or is_astray(entry, found) or bool(alive - members)
    return len(alive) > entry.size or bool(alive - members)


def sized(engine: Engine, state: State) -> State:
    """Return the state with what serves as large as a provider that scales it says."""
    live = state.live
    if live is None or not engine.backend.capabilities.scales_itself:
        return state
    view = looking.observe(engine, live.name)
    return evolve_fleets(state, (live.name,), size=as_large_as(live, view, engine).size)


def as_large_as(
    entry: FleetEntry, view: FleetView | None, engine: Engine
) -> FleetEntry:
    """Return an entry with the size that a fleet has by a provider that scales it."""
    if not engine.backend.capabilities.scales_itself:
        return entry
    return evolved(entry, size=size_of(entry, view))


def tagged(engine: Engine, ledger: LedgerId) -> tuple[FleetView, ...]:
    """Return every fleet of this service that carries a ledger's id, by name."""
    fleets, service = engine.backend.fleets, engine.service.name
    return looking.ask(engine, lambda: fleets.list(service=service, ledger=ledger))


def entry_of(engine: Engine, fleet: FleetView) -> FleetEntry:
    """Return what a lost ledger must have said of a fleet, from what its instances carry.

    Raises:
        Refused: they do not carry enough, or it does not agree with their digest.
    """
    tags = dict(fleet.tags)
    release = _release(engine, fleet, tags)
    if release.digest[:16] != tags.get("immutable-digest"):
        raise _unreadable(fleet, "what its instances carry does not match their digest")
    alive = [i for i in fleet.instances if i.state is not InstanceState.GONE]
    return FleetEntry(
        name=fleet.name,
        release=release,
        deployment=DeploymentId(tags.get("immutable-deployment", "")),
        size=max(len(alive), 1),
        status=FleetStatus.LIVE,
        # nobody is left who would let it go
        frozen=False if fleet.frozen else None,
    )


def _release(engine: Engine, fleet: FleetView, tags: dict[str, str]) -> Release:
    told = next((i for i in fleet.instances if i.document and i.image), None)
    if told is None or not told.document or not told.image:
        raise _unreadable(fleet, "no instance says what it was launched from")
    wanted = told.image
    image = looking.ask(engine, lambda: engine.backend.images.find(wanted))
    if image is None:
        raise _unreadable(fleet, f"image {told.image} is gone")
    try:
        return _parsed(told.document, tags, image)
    except (ValueError, TypeError, KeyError) as exc:
        raise _unreadable(fleet, "the document of its instances is damaged") from exc


def _parsed(document: str, tags: dict[str, str], image: Image) -> Release:
    fields = json.loads(document)
    return Release(
        number=ReleaseNumber(int(tags["immutable-release"])),
        image=image,
        configuration=fields["configuration"],
        ports=tuple(int(port) for port in fields["ports"]),
        health=HealthCheck(port=int(fields["port"]), path=fields["health"]),
    )


def _unreadable(fleet: FleetView, why: str) -> Refused:
    return Refused(
        f"fleet {fleet.name} cannot be made out: {why}",
        hint="deploy to a new switch, or restore the ledger from a copy",
    )
