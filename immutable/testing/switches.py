"""`immutable.protocols.Switch` on a simulated cloud, of each of the three kinds."""

from datetime import timedelta

from immutable.capabilities import SwitchCapabilities
from immutable.errors import Conflict, Unsupported
from immutable.model import (
    WHOLE,
    Attachment,
    Endpoint,
    FleetName,
    HealthCheck,
    LedgerId,
    Member,
    Probe,
    Routing,
    ServiceName,
    SwitchView,
    Version,
)
from immutable.testing import registers
from immutable.testing.calls import Request
from immutable.testing.cloud import Cloud
from immutable.testing.gate import Gate
from immutable.testing.registers import Register, check
from immutable.testing.scheduling import to_us

_NOWHERE = "simulated.invalid"
_PRODUCTION = Endpoint(host=_NOWHERE, port=80)
_PREVIEW = Endpoint(host=_NOWHERE, port=81)


class SimulatedSwitch:
    """One service's switch; what it holds is in the cloud's register."""

    def __init__(self, cloud: Cloud, gate: Gate, service: ServiceName) -> None:
        self._cloud = cloud
        self._gate = gate
        self._service = service
        self._past = cloud.switch(service)
        # an acknowledged write that lands again, where nothing compares, is beyond defence
        self._is_blind = cloud.provider.switch == "blind"

    @property
    def capabilities(self) -> SwitchCapabilities:
        """Return what the provider's switch declares."""
        return self._cloud.provider.switch_capabilities

    def preflight(self) -> tuple[str, ...]:
        """Check nothing: the switch is there."""
        return self._gate.read("switch.preflight", look=lambda _: ())

    def endpoints(self) -> tuple[Endpoint, Endpoint]:
        """Return two addresses that no network has."""
        return _PRODUCTION, _PREVIEW

    def read(self) -> SwitchView:
        """Return the register as it is, or was a while ago."""
        return self._gate.read("switch.read", look=lambda us: _view(self._past.at(us)))

    def attach(
        self,
        fleet: FleetName,
        *,
        health: HealthCheck,
        owner: LedgerId,
        expected: Version,
    ) -> Version:
        """Give a fleet its place."""
        return self._gate.effect(
            "switch.attach",
            fleet,
            health,
            owner,
            expected,
            once=self._is_blind,
            compare=lambda: check(self._past.now, expected, sending=True),
            land=lambda request: self._put(
                request,
                registers.attached(self._past.now, fleet, health, owner, expected),
            ),
        )

    def join(
        self, fleet: FleetName, members: tuple[Member, ...], *, drain: timedelta
    ) -> None:
        """Make the fleet's members exactly these."""
        self._gate.effect(
            "switch.join",
            fleet,
            members,
            drain,
            land=lambda request: self._join(request, fleet, members),
        )

    def health(self, fleet: FleetName) -> tuple[Probe, ...]:
        """Return one probe for each member, as it is or was a while ago."""
        return self._gate.read(
            "switch.health",
            fleet,
            look=lambda us: self._cloud.probes(self._service, fleet, us),
        )

    def write(self, routing: Routing, *, owner: LedgerId, expected: Version) -> Version:
        """Set the routing in one step, as this kind of switch does."""
        self._check(routing)
        return self._gate.effect(
            "switch.write",
            routing,
            owner,
            expected,
            once=self._is_blind,
            compare=lambda: check(self._past.now, expected, sending=True),
            land=lambda request: self._write(request, routing, owner, expected),
        )

    def sessions(self, fleet: FleetName) -> int | None:
        """Return how many requests a fleet is still serving."""
        return self._gate.read(
            "switch.sessions", fleet, look=lambda us: self._serving(fleet, us)
        )

    def detach(
        self, fleet: FleetName, *, owner: LedgerId, expected: Version
    ) -> Version:
        """Take away the fleet's place."""
        return self._gate.effect(
            "switch.detach",
            fleet,
            owner,
            expected,
            once=self._is_blind,
            compare=lambda: check(self._past.now, expected, sending=True),
            land=lambda request: self._put(
                request, registers.detached(self._past.now, fleet, owner, expected)
            ),
        )

    def _check(self, routing: Routing) -> None:
        can = self.capabilities
        if not can.weighted and any(weight != WHOLE for _, weight in routing.weights):
            raise Unsupported("this switch moves all traffic or none")
        if not can.preview and routing.preview is not None:
            raise Unsupported("this switch has no preview route")

    def _join(
        self, request: Request, fleet: FleetName, members: tuple[Member, ...]
    ) -> None:
        now_us = self._cloud.now_us
        self._put(request, registers.joined(self._past.now, fleet, members, now_us))

    def _write(
        self, request: Request, routing: Routing, owner: LedgerId, expected: Version
    ) -> Version:
        changed = registers.written(self._past.now, routing, owner, expected)
        version = self._put(request, changed)
        if changed.kind == "slot" and int(version) > int(expected) + 1:
            raise Conflict(f"slot {version} serves; this one landed below it")
        return version

    def _put(self, request: Request, register: Register) -> Version:
        self._cloud.change_switch(request, self._service, register)
        return Version(str(register.version))

    def _serving(self, fleet: FleetName, when_us: int) -> int:
        """Return 1 while the fleet has traffic, and as long as requests then go on."""
        drains_us = to_us(self._cloud.provider.drains_in)
        instants = self._past.changes(when_us - drains_us, when_us)
        seen = (self._past.at(us) for us in (when_us - drains_us, *instants))
        return int(any(register.routing.weight_of(fleet) for register in seen))


def _view(register: Register) -> SwitchView:
    return SwitchView(
        routing=register.routing,
        version=Version(str(register.version)),
        attachments=tuple(
            Attachment(fleet=p.fleet, place=f"place-{p.fleet}", members=p.members)
            for p in register.places
        ),
        owner=register.owner,
    )
