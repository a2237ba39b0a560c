"""What a case gets: the subject's parts, a fresh service, and words to judge with."""

import functools
import uuid
from collections.abc import Callable
from datetime import datetime, timedelta

import attrs

from immutable.errors import Conflict, ImmutableError
from immutable.model import (
    Attachment,
    DeploymentId,
    Endpoint,
    FleetName,
    FleetSpec,
    FleetView,
    Health,
    HealthCheck,
    Image,
    InstanceId,
    LedgerId,
    Member,
    Release,
    ReleaseNumber,
    Routing,
    ServiceName,
    SwitchView,
    Tags,
    Token,
    Version,
)
from immutable.names import fleet_name, token_of
from immutable.protocols import Backend, Machines, Switch
from immutable.testing.conformance.broken import Broken
from immutable.testing.conformance.case import Case, Reach
from immutable.testing.conformance.judging import GRACE, POLL, Judge
from immutable.testing.conformance.opened import Opened
from immutable.testing.conformance.passing import backend_by, by_way, switch_by

_READINGS = frozenset(
    {
        "fleets.list",
        "fleets.observe",
        "images.find",
        "logs.read",
        "machines.list",
        "switch.health",
        "switch.read",
        "switch.sessions",
    }
)


class Trial(Judge):
    """One case's own world at the provider."""

    def __init__(self, case: Case["Trial"], opened: Opened) -> None:
        super().__init__(case.name, case.clause, opened.terms)
        self._reach = case.reach
        self._opened = opened
        self.service = self.fresh_service()
        self.ledger = self.fresh_ledger()
        self.deployment = DeploymentId(self.here.unique()[:12])
        self.notes: list[tuple[str, str]] = []
        """What the report is to show beside the outcome."""
        self.services: dict[ServiceName, set[LedgerId]] = {self.service: {self.ledger}}
        self.untranslated: list[tuple[str, Exception]] = []
        self._changed_at: datetime | None = None

    # the parts

    @functools.cached_property
    def backend(self) -> Backend:
        """Return the backend; it is read only when what was done must be seen."""
        return backend_by(self.hasty_backend, self._patient)

    @functools.cached_property
    def hasty_backend(self) -> Backend:
        """Return the backend for whoever minds staleness himself, as deployers do."""
        return backend_by(self._opened.backend, self._watched)

    def reopened(self) -> Backend:
        """Open the backend anew, as another process would."""
        opened = backend_by(self._opened.open_backend(), self._watched)
        return backend_by(opened, self._patient)

    def kill(self, instance: InstanceId) -> None:
        """Let an instance die by itself."""
        if self.subject.kill is None:
            raise AssertionError("the subject cannot let instances die")
        self.subject.kill(instance)
        self._changed_at = self.here.now()

    @functools.cached_property
    def machines(self) -> Machines:
        """Return the single servers; errors that are not of the tree are noticed."""
        if self.subject.machines is None:
            raise AssertionError("the subject gives no Machines")
        watched = by_way(self.subject.machines, "machines", self._watched)
        return by_way(watched, "machines", self._patient)

    @functools.cached_property
    def switch(self) -> Switch:
        """Return the switch of the case's service."""
        return self.open_switch()

    def open_switch(self, service: ServiceName | None = None) -> Switch:
        """Open a switch anew, as another process would."""
        return switch_by(self.hasty_switch(service or self.service), self._patient)

    def hasty_switch(self, service: ServiceName) -> Switch:
        """Open a switch for whoever minds staleness himself."""
        self.services.setdefault(service, set())
        return switch_by(self._opened.open_switch(service), self._watched)

    # names and values

    def fresh_service(self, chars: int = 11) -> ServiceName:
        """Return a name that no service had."""
        return ServiceName(f"kit-{self.here.unique()}"[:chars])

    def fresh_ledger(self) -> LedgerId:
        """Return an id that no ledger had."""
        return LedgerId(str(uuid.UUID(self.here.unique())))

    def token(self, word: str = "one") -> Token:
        """Return a token: for the same word the same."""
        return token_of(self.ledger, self.deployment, word, self.service)

    def instance_id(self, word: str) -> InstanceId:
        """Return the id that an instance of this service could have."""
        return InstanceId(f"{self.service}-{word}")

    @property
    def check(self) -> HealthCheck:
        """Return what the switch is to probe."""
        return HealthCheck(port=self.subject.port, path=self.subject.health)

    @property
    def good(self) -> Image:
        """Return the image whose instances become ready."""
        return self._opened.image(self.subject.good)

    @property
    def another(self) -> Image:
        """Return the other image."""
        return self._opened.image(self.subject.another)

    @property
    def spare(self) -> Image:
        """Return an image that may be deleted, found or built anew."""
        return self._opened.resolve(self.subject.spare)

    @property
    def strange(self) -> Version:
        """Return a version that no switch ever had."""
        return Version("no-such-version")

    @property
    def broken_image(self) -> Image:
        """Return the image whose instances never become ready."""
        return self._opened.image(self.subject.broken)

    @property
    def usual(self) -> Image:
        """Return the image that is good enough for this case."""
        inert = self.subject.inert
        if self._reach is Reach.OBJECTS and inert is not None:
            return self._opened.image(inert)
        return self.good

    def release(self, image: Image, number: int = 1) -> Release:
        """Return a release of the case's service."""
        return Release(
            number=ReleaseNumber(number),
            image=image,
            ports=(self.subject.port,),
            health=self.check,
        )

    def spec(
        self,
        size: int | None = None,
        *,
        number: int = 1,
        image: Image | None = None,
        name: FleetName | None = None,
        document: str | None = None,
        service: ServiceName | None = None,
        ledger: LedgerId | None = None,
    ) -> FleetSpec:
        """Return what a fleet of the case's service is launched from."""
        service, ledger = service or self.service, ledger or self.ledger
        release = self.release(image or self.usual, number)
        named = name or fleet_name(service, release.number, self.deployment)
        return FleetSpec(
            name=named,
            image=release.image,
            document=document or f'{{"fleet":"{named}","for":"conformance"}}',
            size=size or self.subject.size,
            port=self.subject.port,
            tags=Tags(
                service=service,
                ledger=ledger,
                deployment=self.deployment,
                release=release.number,
                digest=release.digest,
            ),
        )

    # fleets

    def launch(self, spec: FleetSpec, token: Token | None = None) -> FleetSpec:
        """Launch a fleet; where launching binds, into a place of its own."""
        placed = self._placed(spec) if self.can.launch_binds else spec
        self.services.setdefault(spec.tags.service, set()).add(spec.tags.ledger)
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

    # the switch

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

    def placed(self, word: str) -> FleetName:
        """Give a fleet a place and nothing else: it can be routed to."""
        name = fleet_name(self.service, ReleaseNumber(1), DeploymentId(word))
        self.attach(name)
        return name

    def stand(self, word: str, size: int | None = None) -> FleetName:
        """Give a fleet with members a place; see `members`."""
        name = self.placed(word)
        members = self.members(name, size or self.subject.size)
        self.join(name, members)
        return name

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

    def _patient(self, name: str, call: Callable[[], object]) -> object:
        """Before a reading, wait until it must show what was done before."""
        if name in _READINGS and self._changed_at is not None:
            self.pause(self._changed_at + self.staleness - self.here.now())
        return call()

    def _watched(self, name: str, call: Callable[[], object]) -> object:
        self._note_launch(name, call)
        try:
            return self._dated(name, call)
        except (ImmutableError, Broken):
            raise
        except Exception as exc:
            # the engine would take it for a bug and go on: it is told at the end, too
            self.untranslated.append((name, exc))
            raise

    def _dated(self, name: str, call: Callable[[], object]) -> object:
        try:
            return call()
        finally:
            if name not in _READINGS:
                self._changed_at = self.here.now()

    def _note_launch(self, name: str, call: Callable[[], object]) -> None:
        if name != "fleets.launch" or not isinstance(call, functools.partial):
            return
        spec = call.args[0] if call.args else call.keywords.get("spec")
        if isinstance(spec, FleetSpec):
            self.services.setdefault(spec.tags.service, set()).add(spec.tags.ledger)
