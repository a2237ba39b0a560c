"""What a case can do: the deeds that it judges, each as the contract has it."""

from collections.abc import Callable
from datetime import timedelta

import attrs

from immutable.errors import Conflict
from immutable.model import (
    Attachment,
    DeploymentId,
    Endpoint,
    FleetName,
    FleetSpec,
    FleetView,
    Health,
    InstanceId,
    InstanceState,
    Member,
    ReleaseNumber,
    Routing,
    SwitchView,
    Token,
    Version,
)
from immutable.names import fleet_name
from immutable.protocols import Switch
from immutable.testing.conformance.judging import GRACE, POLL
from immutable.testing.conformance.parts import Parts


def alive(view: FleetView | None) -> int:
    """Return how many instances of a fleet are not known to be dead."""
    instances = view.instances if view else ()
    return sum(i.state is not InstanceState.GONE for i in instances)


def ids_of(view: FleetView | None) -> set[InstanceId]:
    """Return the ids of a fleet's instances."""
    return {instance.id for instance in view.instances} if view else set()


class Trial(Parts):
    """One case's own world at the provider."""

    def launch(self, spec: FleetSpec, token: Token | None = None) -> FleetSpec:
        """Launch a fleet; where launching binds, into a place of its own."""
        placed = self._placed(spec) if self.can.launch_binds else spec
        self.backend.fleets.launch(placed, token=token or self.token())
        return placed

    def observed(
        self, fleet: FleetName, good: Callable[[FleetView], bool], expected: str
    ) -> FleetView:
        """Return the fleet once it is as expected, within the declared staleness."""
        view = self.seen(
            lambda: self.backend.fleets.observe(fleet),
            lambda found: found is not None and good(found),
            expected,
        )
        if view is None:
            self.fail(expected, view)
        return view

    def sized(self, fleet: FleetName, size: int) -> FleetView:
        """Return the fleet once so many of its instances are alive."""
        expected = f"{size} instances of {fleet}"
        return self.observed(fleet, lambda view: alive(view) == size, expected)

    def exactly(self, fleet: FleetName, ids: set[InstanceId]) -> None:
        """Expect that the fleet has these instances and no other."""
        expected = f"exactly {sorted(ids)}"
        self.observed(fleet, lambda view: ids_of(view) == ids, expected)

    def retire(self, fleet: FleetName, token: Token | None = None) -> None:
        """Take a fleet off the switch, if it is there, and retire it."""
        self.detach(fleet)
        self.backend.fleets.retire(fleet, token=token or self.token("retire"))

    def gone(self, fleet: FleetName) -> None:
        """Expect that nothing of a fleet can be seen any more."""
        self.seen(
            lambda: self.backend.fleets.observe(fleet),
            lambda found: found is None,
            f"nothing of fleet {fleet}",
        )

    def _placed(self, spec: FleetSpec) -> FleetSpec:
        if spec.tags.service != self.service:
            return spec
        return attrs.evolve(spec, place=self.attach(spec.name).place)

    def moved(
        self, act: Callable[[Version], Version], switch: Switch | None = None
    ) -> Version:
        """Change the switch, reading it first; again when the reading was stale."""
        read = (switch or self.switch).read
        until = self.here.now() + self.switches.staleness + GRACE
        while True:
            try:
                return act(read().version)
            except Conflict:
                if self.here.now() >= until or not self.switches.staleness:
                    raise
                self.pause(POLL)

    def attach(self, fleet: FleetName) -> Attachment:
        """Give a fleet its place and return it."""
        self.moved(
            lambda version: self.switch.attach(
                fleet, health=self.check, owner=self.ledger, expected=version
            )
        )
        return self.place(fleet)

    def place(self, fleet: FleetName) -> Attachment:
        """Return the place that a fleet was given."""
        expected = f"a place for {fleet}"
        view = self.switch_seen(lambda v: v.attachment_of(fleet) is not None, expected)
        found = view.attachment_of(fleet)
        if found is None:
            self.fail(expected, view)
        return found

    def write(self, routing: Routing) -> Version:
        """Set the routing."""
        return self.moved(
            lambda version: self.switch.write(
                routing, owner=self.ledger, expected=version
            )
        )

    def detach(self, fleet: FleetName) -> None:
        """Take a fleet off the switch, its traffic first."""
        view = self.switch.read()
        if view.routing.mentions(fleet):
            self.write(Routing())
        if self.switch.read().attachment_of(fleet) is not None:
            self.moved(
                lambda version: self.switch.detach(
                    fleet, owner=self.ledger, expected=version
                )
            )

    def switch_seen(
        self, good: Callable[[SwitchView], bool], expected: str
    ) -> SwitchView:
        """Return the switch's view once it is as expected, within its staleness."""
        return self.seen(self.switch.read, good, expected)

    def join(self, fleet: FleetName, members: tuple[Member, ...]) -> None:
        """Make the members exactly these, and expect to see so."""
        self.switch.join(fleet, members, drain=timedelta())
        wanted = set(members)
        self.eventually(
            lambda: self.place(fleet).members,
            lambda found: set(found) == wanted and len(found) == len(members),
            f"exactly the members {sorted(m.instance for m in members)}",
        )

    def named(self, word: str) -> FleetName:
        """Return the name that a fleet of this service could have."""
        return fleet_name(self.service, ReleaseNumber(1), DeploymentId(word))

    def placed(self, word: str) -> FleetName:
        """Give a fleet a place and nothing else: it can be routed to."""
        name = self.named(word)
        self.attach(name)
        return name

    def stand(self, word: str, size: int | None = None) -> FleetName:
        """Give a fleet with members a place; see `members`."""
        name = self.placed(word)
        members = self.members(name, size or self.subject.size)
        self.join(name, members)
        return name

    def bring_in(self, spec: FleetSpec, token: Token | None = None) -> None:
        """Launch a fleet and join its instances to a place of its own."""
        self.attach(spec.name)
        self.launch(spec, token)
        self.join(spec.name, self.addressed(spec.name, spec.size))

    def members(self, fleet: FleetName, size: int) -> tuple[Member, ...]:
        """Return members for a fleet: servers of the subject's, or a fleet's instances."""
        if self.subject.servers is not None:
            return self.subject.servers(size)
        self.launch(self.spec(size, image=self.good, name=fleet), self.token(fleet))
        return self.addressed(fleet, size)

    def addressed(self, fleet: FleetName, size: int) -> tuple[Member, ...]:
        """Wait until each instance of a fleet has an address; return the members."""
        view = self.eventually(
            lambda: self.backend.fleets.observe(fleet),
            lambda found: (
                found is not None
                and sum(bool(i.address) for i in found.instances) >= size
            ),
            f"{size} instances of {fleet} with an address",
        )
        return tuple(
            Member(instance=i.id, address=i.address, port=i.port or self.subject.port)
            for i in (view.instances if view else ())
            if i.address
        )

    def ready(self, fleet: FleetName, size: int) -> None:
        """Wait until the switch calls so many members of a fleet ready."""
        self.eventually(
            lambda: self.switch.health(fleet),
            lambda probes: sum(p.health is Health.READY for p in probes) >= size,
            f"{size} members of {fleet} ready within {self.subject.ready_timeout}",
        )

    @property
    def production(self) -> Endpoint:
        """Return where clients connect."""
        return self.switch.endpoints()[0]
