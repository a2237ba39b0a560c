"""Native groups of a simulated provider: what it does to fleets by itself, if it may."""

from itertools import count
from typing import TYPE_CHECKING

import attrs

from immutable.fleets import member_name
from immutable.model import FleetName, InstanceId, Token
from immutable.testing.calls import Request
from immutable.testing.chances import Chance
from immutable.testing.scheduling import Process

if TYPE_CHECKING:
    from immutable.testing.cloud import Cloud
    from immutable.testing.servers import Fleet, Server

PROVIDER = "the provider"
"""The name of the process that changes groups by itself."""
KEEP = "provider.keep"
"""What it does to a group by itself, as a call."""
_NOTICES_US = 200_000
"""So long after something has happened to a group its provider sees to it."""
_STIRS = 0.25
_SOON_US = 100_000


@attrs.frozen(kw_only=True)
class Group:
    """How a provider keeps one fleet by itself."""

    frozen: bool = True
    """It leaves it alone."""
    policies: str = ""
    """By what it scales it; a fleet without any is not scaled."""
    least: int = 1
    most: int

    def fitting(self, size: int) -> "Group":
        """Return it with bounds that allow a size."""
        least, most = min(self.least, size), max(self.most, size)
        return attrs.evolve(self, least=least, most=most)

    def thawed(self, like: "Group | None", size: int) -> "Group":
        """Return it let go, by the rules of another where there is one."""
        return attrs.evolve(like or self, frozen=False).fitting(size)


@attrs.define(eq=False)
class Keeper:
    """The provider's own loop: replaces what is dead, and scales by chance."""

    cloud: "Cloud"
    chance: Chance | None = None
    """Draws when fleets are scaled; None: they never are."""
    is_calm: bool = False
    """Nothing is replaced or scaled any more, only brought to the size that was set."""
    _process: Process = attrs.field(factory=lambda: Process(name=PROVIDER))
    _serial: "count[int]" = attrs.field(factory=count)

    def notice(self, fleet: "Fleet") -> None:
        """See to a fleet that has changed, in a while, and whenever one of it dies."""
        if fleet.group is None:
            return
        now_us = self.cloud.now_us
        deaths = {s.dies_us for s in fleet.servers if s.dies_us and s.dies_us > now_us}
        for when_us in (now_us, *sorted(deaths)):
            self.cloud.scheduler.at(
                when_us + _NOTICES_US, lambda: self._keep(fleet.name)
            )

    def stir(self) -> None:
        """Let time pass in which somebody's load may change."""
        chance = self.chance
        if chance is None or self.is_calm or chance.random() > _STIRS:
            return
        when_us = self.cloud.now_us + int(chance.random() * _SOON_US)
        self.cloud.scheduler.at(when_us, lambda: self._scale(chance))

    def scale(self, name: FleetName, size: int) -> None:
        """Scale a fleet now, within its bounds, unless it is frozen."""
        for fleet in self._loose():
            if fleet.name == name and fleet.group is not None:
                least, most = fleet.group.least, fleet.group.most
                self._bring(fleet, min(max(size, least), most))

    def police(self, name: FleetName, policies: str, least: int, most: int) -> None:
        """Give a fleet rules by which it is scaled."""
        fleet = self.cloud.fleets.now[name]
        if fleet.group is None:
            return
        group = attrs.evolve(fleet.group, policies=policies, least=least, most=most)
        about = (name, policies, least, most)
        request = Request("provider.police", about, self._process, self.cloud.now_us)
        self.cloud.change_fleet(request, name, attrs.evolve(fleet, group=group))

    def _scale(self, chance: Chance) -> None:
        loose = [f for f in self._loose() if f.group and f.group.policies]
        if self.is_calm or not loose:
            return
        fleet = chance.choice(loose)
        busy = self._is_busy(fleet.name) and chance.random() < 0.5  # noqa: PLR2004 - half of what is busy is too busy
        size = fleet.spec.size + (1 if busy else -1)
        if fleet.group and fleet.group.least <= size <= fleet.group.most:
            self._bring(fleet, size)

    def _keep(self, name: FleetName) -> None:
        fleet = next((f for f in self._loose() if f.name == name), None)
        if fleet is not None:
            self._bring(fleet, fleet.spec.size)

    def _bring(self, fleet: "Fleet", size: int) -> None:
        """Bring a fleet to a size, without what is dead."""
        now_us = self.cloud.now_us
        alive = fleet.alive(now_us)
        kept = alive[:size] if not self.is_calm or len(alive) > size else fleet.servers
        made = () if self.is_calm else self._born(fleet, size - len(kept))
        servers = tuple(sorted((*kept, *made), key=lambda server: server.id))
        spec = attrs.evolve(fleet.spec, size=size)
        if (servers, spec) == (fleet.servers, fleet.spec):
            return
        request = Request(KEEP, (fleet.name,), self._process, now_us)
        changed = attrs.evolve(fleet, spec=spec, servers=servers)
        self.cloud.change_fleet(request, fleet.name, changed)
        self.cloud.bind(request, changed)

    def _born(self, fleet: "Fleet", lacking: int) -> "tuple[Server, ...]":
        room = self.cloud.room
        fitting = lacking if room is None else min(lacking, room)
        return tuple(
            self.cloud.born(fleet.spec, self._name(fleet.name))
            for _ in range(max(fitting, 0))
        )

    def _name(self, fleet: FleetName) -> InstanceId:
        token = Token(f"provider-{next(self._serial)}")
        return InstanceId(member_name(fleet, token, 0))

    def _loose(self) -> "list[Fleet]":
        fleets = self.cloud.fleets.now
        found = [fleets[name] for name in sorted(fleets)]
        return [f for f in found if f.group is not None and not f.group.frozen]

    def _is_busy(self, name: FleetName) -> bool:
        switches = self.cloud.switches.values()
        return any(switch.now.routing.weight_of(name) for switch in switches)
