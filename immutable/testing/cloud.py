"""The truth of a simulated cloud: what exists, what is routed, and what was."""

from collections.abc import Callable, Mapping
from datetime import timedelta
from types import MappingProxyType

import attrs

from immutable.model import (
    FleetName,
    FleetSpec,
    Health,
    Image,
    ImageId,
    InstanceId,
    Member,
    Probe,
)
from immutable.testing.calls import Request
from immutable.testing.chances import Chance
from immutable.testing.groups import Keeper
from immutable.testing.past import Past
from immutable.testing.provider import Provider
from immutable.testing.registers import Joined, Register, joined
from immutable.testing.scheduling import Scheduler
from immutable.testing.servers import Behaviour, Fleet, Server, born
from immutable.testing.watching import Unwatched, Watch

PROBED_US = 10_000
"""So long after a member joined, a probe of it has been made."""
Fleets = Mapping[FleetName, Fleet]


@attrs.define(eq=False)
class Cloud:
    """What there really is. Every change is shown to ``watch``."""

    provider: Provider
    scheduler: Scheduler
    chance: Chance
    watch: Watch = attrs.field(factory=Unwatched)
    images: dict[ImageId, Image] = attrs.field(factory=dict)
    usual: Behaviour = attrs.field(factory=Behaviour)
    """How servers behave of whose image nothing else is said."""
    behaviours: dict[ImageId, Behaviour] = attrs.field(factory=dict)
    fleets: Past[Fleets] = attrs.field(factory=lambda: Past(MappingProxyType({})))
    switches: dict[str, Past[Register]] = attrs.field(factory=dict)
    """By service."""
    ever: dict[FleetName, set[InstanceId]] = attrs.field(factory=dict)
    """Every server that there ever was: their logs outlive them."""
    keeper: Keeper = attrs.field(init=False)
    """What the provider does by itself."""

    def __attrs_post_init__(self) -> None:
        """Begin with nobody's load changing."""
        self.keeper = Keeper(self)

    def switch(self, service: str) -> Past[Register]:
        """Return a service's switch; it is there from the beginning."""
        if service not in self.switches:
            self.switches[service] = Past(Register(kind=self.provider.switch))
        return self.switches[service]

    def behaviour(self, image: ImageId) -> Behaviour:
        """Draw how one server of an image behaves."""
        usual = self.behaviours.get(image, self.usual)
        if not self.provider.sickness or self.chance.random() > self.provider.sickness:
            return usual
        return _sick(usual, self.chance)

    @property
    def now_us(self) -> int:
        """Return the instant that it is."""
        return self.scheduler.now_us

    def change_fleet(
        self, request: Request, name: FleetName, fleet: Fleet | None
    ) -> None:
        """Change a fleet, make it, or with None end it."""
        before = self.fleets.now.get(name)
        others = {n: f for n, f in self.fleets.now.items() if n != name}
        found = others if fleet is None else {**others, name: fleet}
        self.fleets.put(self.now_us, MappingProxyType(found))
        if fleet is not None:
            self.ever.setdefault(name, set()).update(s.id for s in fleet.servers)
            self.keeper.notice(fleet)
        self.watch.fleet_changed(request, name, before, fleet)

    def change_switch(self, request: Request, service: str, register: Register) -> None:
        """Change what a switch holds."""
        before = self.switch(service).now
        self.switch(service).put(self.now_us, register)
        self.watch.switch_changed(request, service, before, register)

    def kill(self, instance: InstanceId) -> None:
        """Let a server die."""
        for name, fleet in self.fleets.now.items():
            if fleet.server(instance) is None:
                continue
            servers = tuple(
                attrs.evolve(s, dies_us=self.now_us) if s.id == instance else s
                for s in fleet.servers
            )
            changed = attrs.evolve(fleet, servers=servers)
            self.fleets.put(
                self.now_us, MappingProxyType({**self.fleets.now, name: changed})
            )
            self.keeper.notice(changed)

    def born(self, spec: FleetSpec, name: InstanceId) -> Server:
        """Return a server that is launched now."""
        return born(spec, name, self.behaviour(spec.image.id), self.now_us)

    @property
    def room(self) -> int | None:
        """Return how many more servers there can be; None: no limit."""
        capacity = self.provider.capacity
        return None if capacity is None else max(capacity - self.count(self.now_us), 0)

    def bind(self, request: Request, fleet: Fleet) -> None:
        """Put a fleet's servers into its place, where launching does so."""
        service = fleet.spec.tags.service
        register = self.switch(service).now
        if not self.provider.launch_binds or not register.place_of(fleet.name):
            return
        members = tuple(
            Member(instance=s.id, address=s.address, port=fleet.spec.port)
            for s in fleet.alive(self.now_us)
        )
        bound = joined(register, fleet.name, members, self.now_us)
        self.change_switch(request, service, bound)

    def is_placed(self, fleet: FleetName) -> bool:
        """Return whether any switch has a place for the fleet."""
        return any(switch.now.place_of(fleet) for switch in self.switches.values())

    def count(self, when_us: int) -> int:
        """Return how many servers take up room."""
        return sum(len(fleet.alive(when_us)) for fleet in self.fleets.now.values())

    def probes(self, service: str, name: FleetName, when_us: int) -> tuple[Probe, ...]:
        """Return what the switch knew of each member of a fleet at an instant."""
        place = self.switch(service).at(when_us).place_of(name)
        fleet = self.fleets.at(when_us).get(name)
        joined = place.joined if place else ()
        return tuple(_probe(member, fleet, when_us) for member in joined)

    def instants(self, service: str, from_us: int, until_us: int) -> tuple[int, ...]:
        """Return every instant in a span at which some fleet may have become ready."""
        found = {from_us, until_us, *self.fleets.changes(from_us, until_us)}
        found.update(self.switch(service).changes(from_us, until_us))
        register = self.switch(service).now
        joins = (j.since_us for place in register.places for j in place.joined)
        found.update(since_us + PROBED_US for since_us in joins)
        servers = (s for f in self.fleets.now.values() for s in f.servers)
        found.update(us for server in servers for us in server.begins_to_answer())
        return tuple(sorted(us for us in found if from_us <= us <= until_us))


def _probe(member: Joined, fleet: Fleet | None, when_us: int) -> Probe:
    instance = member.member.instance
    server = fleet.server(instance) if fleet else None
    if server is None:
        return Probe(instance=instance, health=Health.UNREADY, evidence="no route")
    if when_us < member.since_us + PROBED_US:
        return Probe(instance=instance, health=Health.UNKNOWN, evidence="no probe yet")
    return server.probe(when_us)


def _sick(usual: Behaviour, chance: Chance) -> Behaviour:
    after = timedelta(seconds=chance.random() * 10)
    ways: tuple[Callable[[], Behaviour], ...] = (
        lambda: attrs.evolve(usual, ready=False),
        lambda: attrs.evolve(usual, dies_after=after),
        lambda: attrs.evolve(usual, flaps_after=after),
    )
    return chance.choice(ways)()
