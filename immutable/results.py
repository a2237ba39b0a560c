"""What the calls return: frozen values, with everything that a caller may want to keep."""

from datetime import datetime, timedelta

import attrs

from immutable.errors import ImmutableError, RecoveryNeeded, Refused
from immutable.model import (
    DeploymentId,
    FleetName,
    InstanceLog,
    Outcome,
    Release,
    ReleaseNumber,
    Routing,
    ServiceName,
)
from immutable.service import Options, Service

_GOOD = frozenset({Outcome.LIVE})


@attrs.frozen(kw_only=True)
class StepReport:
    """One effect of a deployment: its word, its result, and what it cost."""

    step: str
    fleet: FleetName
    result: str
    took: timedelta
    detail: str = ""


@attrs.frozen(kw_only=True)
class Deployment:
    """How one call on a service ended.

    ``calls`` counts the reads and effects that were asked of the backend and the switch.
    ``evidence`` holds the last words of instances that were destroyed after a failure.
    """

    service: ServiceName
    verb: str
    outcome: Outcome
    id: DeploymentId | None = None
    release: Release | None = None
    error: ImmutableError | None = None
    leftovers: tuple[str, ...] = ()
    evidence: tuple[InstanceLog, ...] = ()
    warnings: tuple[str, ...] = ()
    steps: tuple[StepReport, ...] = ()
    calls: int = 0
    began_at: datetime
    took: timedelta

    @property
    def is_live(self) -> bool:
        """Return whether what was asked for is what serves now."""
        return self.outcome in _GOOD

    def raise_for_outcome(self) -> None:
        """Raise the deployment's error unless what was asked for is live."""
        if self.is_live:
            return
        if self.error is not None:
            raise self.error
        kind = Refused if self.outcome is Outcome.REFUSED else RecoveryNeeded
        raise kind(f"{self.service}: {self.verb} ended {self.outcome}")


@attrs.frozen(kw_only=True)
class PlannedStep:
    """One effect that a deployment would have."""

    step: str
    fleet: FleetName
    detail: str = ""


@attrs.frozen(kw_only=True)
class Plan:
    """What a deployment would do, as a value. Making one changes nothing.

    ``ledger_head`` and ``switch_version`` are what it was made from; a deployment of the
    plan is refused when either has moved since.
    """

    service: Service
    options: Options
    verb: str
    release: Release
    steps: tuple[PlannedStep, ...]
    size: int
    peak_instances: int
    """The most instances that exist at once: live, standby and new."""
    calls: int
    """Reads and effects that will be asked of the backend and the switch, if all goes well."""
    warnings: tuple[str, ...] = ()
    ledger_head: int
    switch_version: str

    @property
    def is_empty(self) -> bool:
        """Return whether nothing would be done: the release is live already."""
        return not self.steps

    def __str__(self) -> str:
        """Return the plan as people read it, a line for each step."""
        head = f"{self.verb} {self.service.name} v{self.release.number}: {self.size} instances"
        lines = [
            f"  {i}. {s.step} {s.fleet} {s.detail}" for i, s in enumerate(self.steps, 1)
        ]
        tail = [f"  ! {warning}" for warning in self.warnings]
        cost = f"  peak {self.peak_instances} instances, {self.calls} calls"
        return "\n".join(line.rstrip() for line in (head, *lines, cost, *tail))


@attrs.frozen(kw_only=True)
class FleetStatusLine:
    """A fleet that the ledger answers for."""

    name: FleetName
    release: ReleaseNumber
    role: str
    size: int
    weight: int
    retire_at: datetime | None = None


@attrs.frozen(kw_only=True)
class Status:
    """How a service stands, as the ledger and the switch say.

    ``drift`` says in words how the two disagree; None when they agree, or when the switch
    was not asked.
    """

    service: ServiceName
    release: Release | None
    routing: Routing | None
    fleets: tuple[FleetStatusLine, ...]
    deploying: str | None
    """The verb of the deployment in progress, or of one whose deployer died."""
    interrupted: bool
    """A deployer died; `recover` finishes what it left."""
    latest: Outcome | None
    latest_error: str = ""
    drift: str | None = None


@attrs.frozen(kw_only=True)
class HistoryLine:
    """One deployment that the ledger knows of, oldest first."""

    deployment: DeploymentId
    verb: str
    release: ReleaseNumber | None
    fleet: FleetName | None
    began_at: datetime
    ended_at: datetime | None
    outcome: Outcome | None
    """None while it is in progress, or when its deployer died."""
    error: str = ""
