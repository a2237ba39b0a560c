"""`immutable.protocols.Fleets` on a simulated cloud, and `immutable.groups.Groups`."""

from collections.abc import Callable

import attrs

from immutable.errors import BackendError, NotEnough
from immutable.model import (
    FleetName,
    FleetSpec,
    FleetView,
    InstanceId,
    LedgerId,
    ServiceName,
    Token,
)
from immutable.testing.calls import Request
from immutable.testing.cloud import Cloud
from immutable.testing.gate import Gate
from immutable.testing.groups import Group
from immutable.testing.servers import Fleet, Server, missing_names


class SimulatedFleets:
    """Fleets that exist in memory; their servers boot and die in virtual time."""

    def __init__(self, cloud: Cloud, gate: Gate) -> None:
        self._cloud = cloud
        self._gate = gate

    def launch(self, spec: FleetSpec, *, token: Token) -> None:
        """Create what is missing of a fleet."""
        self._gate.effect(
            "fleets.launch",
            spec,
            token,
            land=lambda request: self._change(request, spec, token, frozenset()),
        )

    def observe(self, fleet: FleetName) -> FleetView | None:
        """Return a fleet as it is, or was a while ago."""
        return self._gate.read(
            "fleets.observe", fleet, look=lambda us: self._seen(fleet, us)
        )

    def resize(
        self, spec: FleetSpec, *, remove: tuple[InstanceId, ...], token: Token
    ) -> None:
        """Destroy those named, then create what is missing."""
        self._gate.effect(
            "fleets.resize",
            spec,
            remove,
            token,
            land=lambda request: self._change(request, spec, token, frozenset(remove)),
        )

    def replace(self, spec: FleetSpec, *, instance: InstanceId, token: Token) -> None:
        """Destroy one server and what is left of dead ones; create what is missing."""
        self._gate.effect(
            "fleets.replace",
            spec,
            instance,
            token,
            land=lambda request: self._replace(request, spec, token, instance),
        )

    def retire(self, fleet: FleetName, *, token: Token) -> None:
        """Destroy a fleet."""
        self._gate.effect(
            "fleets.retire",
            fleet,
            token,
            land=lambda request: self._retire(request, fleet),
        )

    def freeze(self, fleet: FleetName, *, token: Token) -> None:
        """Leave a fleet alone from here on."""
        self._gate.effect(
            "fleets.freeze",
            fleet,
            token,
            land=lambda request: self._hold(
                request, fleet, lambda group, _: attrs.evolve(group, frozen=True)
            ),
        )

    def thaw(self, fleet: FleetName, *, like: FleetName | None, token: Token) -> None:
        """Heal and scale a fleet from here on, by the rules of another one."""
        self._gate.effect(
            "fleets.thaw",
            fleet,
            like,
            token,
            land=lambda request: self._hold(
                request,
                fleet,
                lambda group, size: group.thawed(self._group(like), size),
            ),
        )

    def list(self, *, service: ServiceName, ledger: LedgerId) -> tuple[FleetView, ...]:
        """Return every fleet with these tags, by name."""
        wanted = frozenset(
            {("immutable-service", str(service)), ("immutable-ledger", str(ledger))}
        )
        return self._gate.read(
            "fleets.list", service, ledger, look=lambda us: self._tagged(wanted, us)
        )

    def _seen(self, name: FleetName, when_us: int) -> FleetView | None:
        fleet = self._cloud.fleets.at(when_us).get(name)
        counted = self._cloud.provider.counts
        return fleet.as_view(when_us, counted=counted) if fleet else None

    def _tagged(
        self, wanted: frozenset[tuple[str, str]], when_us: int
    ) -> tuple[FleetView, ...]:
        fleets = self._cloud.fleets.at(when_us)
        counted = self._cloud.provider.counts
        return tuple(
            fleets[name].as_view(when_us, counted=counted)
            for name in sorted(fleets)
            if wanted <= set(fleets[name].tags)
        )

    def _replace(
        self, request: Request, spec: FleetSpec, token: Token, instance: InstanceId
    ) -> None:
        now_us = self._cloud.now_us
        fleet = self._cloud.fleets.now.get(spec.name)
        servers = fleet.servers if fleet else ()
        dead = {server.id for server in servers if server.is_gone(now_us)}
        self._change(request, spec, token, frozenset({instance} | dead))

    def _group(self, name: FleetName | None) -> Group | None:
        fleet = self._cloud.fleets.now.get(name) if name else None
        return fleet.group if fleet else None

    def _hold(
        self, request: Request, name: FleetName, change: Callable[[Group, int], Group]
    ) -> None:
        fleet = self._cloud.fleets.now.get(name)
        if fleet is None or fleet.group is None:
            return
        group = change(fleet.group, fleet.spec.size)
        self._cloud.change_fleet(request, name, attrs.evolve(fleet, group=group))

    def _grouped(
        self, call: str, spec: FleetSpec, before: Fleet | None
    ) -> tuple[FleetSpec, Group | None]:
        """Return the size that a change leaves a group with, and how it is kept."""
        if not self._cloud.provider.scales_itself:
            return spec, None
        if before is None or before.group is None:
            return spec, Group(most=spec.size)
        # only resizing sets the size of what the provider scales
        if call != "fleets.resize" and not before.group.frozen:
            spec = attrs.evolve(spec, size=before.spec.size)
        return spec, before.group.fitting(spec.size)

    def _change(
        self,
        request: Request,
        spec: FleetSpec,
        token: Token,
        remove: frozenset[InstanceId],
    ) -> None:
        now_us = self._cloud.now_us
        before = self._cloud.fleets.now.get(spec.name)
        spec, group = self._grouped(request.call, spec, before)
        kept = tuple(s for s in before.servers if s.id not in remove) if before else ()
        names = missing_names(kept, spec, token, now_us)
        fitting = names[: self._room(now_us, before, kept)]
        made = tuple(self._cloud.born(spec, name) for name in fitting)
        servers = tuple(sorted((*kept, *made), key=lambda server: server.id))
        changed = Fleet(name=spec.name, spec=spec, servers=servers, group=group)
        self._cloud.change_fleet(request, spec.name, changed)
        self._cloud.bind(request, changed)
        if len(fitting) < len(names):
            raise NotEnough(f"room for {len(fitting)} of {len(names)} servers")

    def _room(
        self, now_us: int, before: Fleet | None, kept: tuple[Server, ...]
    ) -> int | None:
        capacity = self._cloud.provider.capacity
        if capacity is None:
            return None
        leaving = len(before.alive(now_us)) if before else 0
        staying = sum(not server.is_gone(now_us) for server in kept)
        return max(capacity - self._cloud.count(now_us) + leaving - staying, 0)

    def _retire(self, request: Request, name: FleetName) -> None:
        fleet = self._cloud.fleets.now.get(name)
        if fleet is None:
            return
        if self._cloud.provider.guards_deletion and self._cloud.is_placed(name):
            raise BackendError(f"{name} is in use by the switch")
        self._cloud.change_fleet(request, name, None)
