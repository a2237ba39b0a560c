"""What a case is given: the subject's parts, and a service that nobody had."""

from __future__ import annotations

import functools
import uuid
from typing import TYPE_CHECKING, cast

from immutable.groups import Groups
from immutable.machines import Machines
from immutable.model import (
    DeploymentId,
    FleetName,
    FleetSpec,
    HealthCheck,
    Image,
    InstanceId,
    LedgerId,
    Release,
    ReleaseNumber,
    ServiceName,
    Tags,
    Token,
    Version,
)
from immutable.names import fleet_name, token_of
from immutable.protocols import Backend, Switch
from immutable.testing.conformance.case import Case, Reach
from immutable.testing.conformance.opened import Opened
from immutable.testing.conformance.passing import backend_by, by_way, switch_by
from immutable.testing.conformance.watching import Watch

if TYPE_CHECKING:
    from immutable.testing.conformance.trial import Trial


class Parts(Watch):
    """The subject's parts, and the values of one service of its own."""

    def __init__(self, case: Case[Trial], opened: Opened) -> None:
        super().__init__(case.name, case.clause, opened.terms)
        self._reach = case.reach
        self.opened = opened
        self.service = self.fresh_service()
        self.ledger = self.fresh_ledger()
        self.deployment = DeploymentId(self.here.unique()[:12])
        self.notes: list[tuple[str, str]] = []
        """What the report is to show beside the outcome."""
        self.services[self.service] = {self.ledger}

    @functools.cached_property
    def backend(self) -> Backend:
        """Return the backend; it is read only when what was done must be seen."""
        return backend_by(self.hasty_backend, self._patient)

    @functools.cached_property
    def hasty_backend(self) -> Backend:
        """Return the backend for whoever minds staleness himself, as deployers do."""
        return backend_by(self.opened.backend, self._watched)

    def reopened(self) -> Backend:
        """Open the backend anew, as another process would."""
        opened = backend_by(self.opened.open_backend(), self._watched)
        return backend_by(opened, self._patient)

    def kill(self, instance: InstanceId) -> None:
        """Let an instance die by itself."""
        if self.subject.kill is None:
            raise AssertionError("the subject cannot let instances die")
        self.subject.kill(instance)
        self.changed()

    @property
    def groups(self) -> Groups:
        """Return the fleet side, where its provider heals and scales by itself."""
        return cast("Groups", self.backend.fleets)

    def scale_by(self, fleet: FleetName) -> None:
        """Give a fleet a rule by which its provider scales it."""
        if self.subject.scale_by is None:
            raise AssertionError("the subject cannot give rules to a fleet")
        self.subject.scale_by(fleet)
        self.changed()

    def scaling(self, fleet: FleetName) -> object:
        """Return by what its provider scales a fleet."""
        if self.subject.scaling is None:
            raise AssertionError("the subject cannot say what scales a fleet")
        return self.subject.scaling(fleet)

    def abandon(self) -> None:
        """Let a build be killed half-way."""
        if self.subject.abandon is None:
            raise AssertionError("the subject cannot let builds be killed")
        self.subject.abandon()
        self.changed()

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
        return switch_by(self.opened.open_switch(service), self._watched)

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
        return self.opened.image(self.subject.good)

    @property
    def another(self) -> Image:
        """Return the other image."""
        return self.opened.image(self.subject.another)

    @property
    def spare(self) -> Image:
        """Return an image that may be deleted, found or built anew."""
        return self.opened.resolve(self.subject.spare)

    @property
    def strange(self) -> Version:
        """Return a version that no switch ever had."""
        return Version("no-such-version")

    @property
    def broken_image(self) -> Image:
        """Return the image whose instances never become ready."""
        return self.opened.image(self.subject.broken)

    @property
    def usual(self) -> Image:
        """Return the image that is good enough for this case."""
        inert = self.subject.inert
        if self._reach is Reach.OBJECTS and inert is not None:
            return self.opened.image(inert)
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
