"""What the rules look at: one deployment, its fleet, and the world as far as it is known."""

import json
from datetime import datetime, timedelta

import attrs

from immutable.capabilities import Capabilities, SwitchCapabilities
from immutable.deploying.facts import World
from immutable.ledger.state import Attempt, FleetEntry, FleetStatus, State
from immutable.model import (
    FleetName,
    FleetSpec,
    FleetView,
    Health,
    Instance,
    LedgerId,
    Member,
    Probe,
    ServiceName,
    Tags,
)

POLL = timedelta(milliseconds=50)
"""How often something quick is read while waiting for it."""
_SLOWEST = timedelta(seconds=1)
FRESH = timedelta(seconds=1)
"""How old a reading may be that a switch write relies upon."""


@attrs.frozen(kw_only=True)
class Context:
    """What does not change while a deployment runs."""

    service: ServiceName
    ledger: LedgerId
    backend: Capabilities
    switch: SwitchCapabilities
    previewed: bool
    """There are validators to ask before any traffic."""
    judged: bool
    """There are validators to ask under traffic."""

    @property
    def staleness(self) -> timedelta:
        """Return how old any reading may be."""
        return max(self.backend.staleness, self.switch.staleness)

    @property
    def poll(self) -> timedelta:
        """Return how often something is looked at that is soon otherwise."""
        return max(POLL, self.backend.pace)

    def patience(self, waited: timedelta) -> timedelta:
        """Return a pause in proportion to the wait: 2 percent of it is lost to polling."""
        pace = self.backend.pace
        return min(max(waited / 50, pace), max(_SLOWEST, pace))

    @property
    def late(self) -> timedelta:
        """Return after how long everything in flight has landed and can be seen."""
        return max(self.backend.late, self.switch.late) + self.staleness


@attrs.frozen(kw_only=True)
class Whole:
    """A deployment and the world: what the rules about several fleets are given."""

    state: State
    attempt: Attempt
    world: World
    context: Context


@attrs.frozen(kw_only=True)
class Scene(Whole):
    """A deployment, its fleet's entry, and the world: what most rules are given."""

    entry: FleetEntry

    @property
    def fleet(self) -> FleetName:
        """Return the name of the fleet that the deployment is about."""
        return self.entry.name

    @property
    def now(self) -> datetime:
        """Return the time by the engine's clock."""
        return self.world.now

    def instances(self) -> tuple[Instance, ...]:
        """Return the fleet's instances, the dead ones included; none when it is absent."""
        view = self.world.fleet(self.fleet)
        return view.instances if view else ()

    def dead(self) -> tuple[Instance, ...]:
        """Return the fleet's instances that the provider calls dead."""
        view = self.world.fleet(self.fleet)
        return view.dead if view else ()

    def alive(self) -> tuple[Instance, ...]:
        """Return the fleet's instances that the provider does not call dead."""
        view = self.world.fleet(self.fleet)
        return view.alive if view else ()

    def members(self) -> tuple[Member, ...]:
        """Return the living instances that have an address, as the switch is to know them."""
        view = self.world.fleet(self.fleet)
        return view.members(self.entry.release.health.port) if view else ()

    def joined(self) -> frozenset[Member]:
        """Return the members of the fleet's attachment; none when it has no place."""
        attachment = self.world.switch().attachment_of(self.fleet)
        return frozenset(attachment.members if attachment else ())

    @property
    def size(self) -> int:
        """Return how many instances the fleet is to have; see `size_of`."""
        if not self.context.backend.scales_itself:
            return self.entry.size
        return size_of(self.entry, self.world.fleet(self.fleet))

    @property
    def is_thawed(self) -> bool:
        """Return whether the provider heals and scales the fleet by itself at present."""
        view = self.world.fleet(self.fleet)
        return view is not None and view.frozen is False

    def spec(self, size: int) -> FleetSpec:
        """Return everything needed to launch the fleet with this many instances."""
        attachment = self.world.switch().attachment_of(self.fleet)
        place = attachment.place if attachment else None
        return spec_of(self.entry, self.context, size=size, place=place)

    def probes(self, *, fresh: timedelta | None = None) -> tuple[Probe, ...]:
        """Return the switch's probes of the fleet."""
        return self.world.health(self.fleet, fresh=fresh)


def ready_instances(probes: tuple[Probe, ...]) -> tuple[Probe, ...]:
    """Return the probes that passed."""
    return tuple(probe for probe in probes if probe.health is Health.READY)


def whole(probes: tuple[Probe, ...], size: int) -> bool:
    """Return whether a fleet is whole: at least one instance, and all of them ready."""
    return len(probes) >= max(size, 1) and len(ready_instances(probes)) == len(probes)


def serviceable(probes: tuple[Probe, ...]) -> bool:
    """Return whether a fleet that served before can serve again: half of it is ready.

    Going back to it must not fail for one dead server; healing comes after.
    """
    return bool(probes) and 2 * len(ready_instances(probes)) >= len(probes)


def size_of(entry: FleetEntry, view: FleetView | None) -> int:
    """Return how many instances a fleet is to have that its provider may have scaled.

    Its number wins, once the fleet has served: before that, nobody else has changed it.
    """
    desired = view.desired_size if view else None
    if entry.status is FleetStatus.NEW or not desired:
        return entry.size
    return desired


def spec_of(
    entry: FleetEntry, context: Context, *, size: int, place: str | None
) -> FleetSpec:
    """Return everything needed to launch a fleet of this entry's release."""
    release = entry.release
    return FleetSpec(
        name=entry.name,
        image=release.image,
        document=_document(entry, context),
        size=size,
        port=release.health.port,
        place=place,
        tags=Tags(
            service=context.service,
            ledger=context.ledger,
            deployment=entry.deployment,
            release=release.number,
            digest=release.digest,
        ),
    )


def _document(entry: FleetEntry, context: Context) -> str:
    release = entry.release
    fields = {
        "service": context.service,
        "release": release.number,
        "digest": release.digest,
        "port": release.health.port,
        "ports": release.ports,
        "health": release.health.path,
        "configuration": dict(release.configuration),
    }
    return json.dumps(fields, sort_keys=True)
