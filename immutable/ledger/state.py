"""What a service's records add up to."""

import enum
from datetime import datetime

import attrs

from immutable.deploying.facts import Reason
from immutable.deploying.steps import Effect
from immutable.ledger.goals import Goal
from immutable.model import (
    DeploymentId,
    FleetName,
    InstanceId,
    Outcome,
    Release,
    ReleaseNumber,
    Routing,
)


class FleetStatus(enum.StrEnum):
    """Where a fleet is in its life."""

    NEW = "new"
    LIVE = "live"
    STANDBY = "standby"
    RETIRING = "retiring"
    """A tombstone: no later decision gives it weight again."""


@attrs.frozen(kw_only=True, slots=False)
class FleetEntry:
    """A fleet that the ledger answers for, from launch to the end of its retirement."""

    name: FleetName
    release: Release
    deployment: DeploymentId
    """The deployment that launched it; its tags name it."""
    size: int
    status: FleetStatus
    retire_at: datetime | None = None
    """When a standby's time is over."""
    changed_at: datetime | None = None
    """When instances were last created or destroyed on purpose."""
    frozen: bool | None = None
    """What was last asked of a provider that heals and scales by itself; None: nothing, or
    nothing that could still take effect."""
    thawed_at: datetime | None = None
    """When it was last let go."""


@attrs.frozen(kw_only=True)
class Pending:
    """An effect that was begun and not settled."""

    number: int
    step: Effect


@attrs.frozen(kw_only=True, slots=False)
class Attempt:
    """A deployment that has begun and not ended."""

    id: DeploymentId
    goal: Goal
    sequence: int
    """The number of its first record: the fencing token."""
    begun_at: datetime
    steps: int = 0
    steps_before: int = 0
    """Steps that earlier deployers of this attempt took."""
    pending: Pending | None = None
    unfenced_at: datetime | None = None
    """Since when a write to the switch may be in flight; None: none is."""
    suspect: Pending | None = None
    """The routing that may be in flight; what became of it is read after the fence."""
    failures: int = 0
    """Failed tries since the last step that was applied."""
    failed_at: datetime | None = None
    trouble: Reason | None = None
    """Why the latest try failed."""
    permanent: bool = False
    """Trying again would not help."""
    launched_at: datetime | None = None
    checked_at: datetime | None = None
    """When the fleet came to the preview route."""
    stage: int = -1
    staged_at: datetime | None = None
    routed: Routing | None = None
    """What this deployment last wrote to the switch."""
    written: Pending | None = None
    """What it last wrote to the switch; None: whoever took over has written nothing yet."""
    written_at: datetime | None = None
    """When it last wrote to the switch."""
    changed: Pending | None = None
    """What it last did to a fleet; None as above."""
    changed_at: datetime | None = None
    """When it did so."""
    replaced: tuple[InstanceId, ...] = ()
    unplaced: tuple[FleetName, ...] = ()
    """Fleets proven to have no place at the switch."""
    retired: tuple[FleetName, ...] = ()
    froze: tuple[FleetName, ...] = ()
    """Fleets that it holds back, or may: to be let go before it goes back."""
    thawing: tuple[FleetName, ...] = ()
    """Fleets that it has let go, or may have."""
    thawed: tuple[FleetName, ...] = ()
    """Fleets that it has let go."""
    resumed_at: datetime | None = None
    """When it was last taken over from a deployer that died."""
    aborting: Reason | None = None
    aborting_at: datetime | None = None


@attrs.frozen(kw_only=True)
class Ending:
    """How the latest deployment ended."""

    id: DeploymentId
    outcome: Outcome
    at: datetime
    reason: Reason | None = None
    leftovers: tuple[str, ...] = ()


@attrs.frozen(kw_only=True, slots=False)
class State:
    """What a service's records add up to; bounded, whatever the length of history."""

    sequence: int = 0
    snapshot: int = 0
    owner: str = ""
    lease_until: datetime | None = None
    next_release: int = 1
    releases: tuple[Release, ...] = ()
    """The latest that were ever live, ascending; older ones are read from history."""
    fleets: tuple[FleetEntry, ...] = ()
    attempt: Attempt | None = None
    latest: Ending | None = None
    shifted_at: datetime | None = None
    """When production traffic was last moved."""
    doubted_at: datetime | None = None
    """Since when something may be left over that nobody has looked for."""
    strays: tuple[FleetName, ...] = ()
    """Found by a restored ledger; only an explicit sweep retires them."""

    @property
    def live(self) -> FleetEntry | None:
        """Return the fleet that serves production."""
        return self._first(FleetStatus.LIVE)

    @property
    def standby(self) -> FleetEntry | None:
        """Return the fleet that was live before, while it is kept warm."""
        return self._first(FleetStatus.STANDBY)

    def fleet(self, name: FleetName) -> FleetEntry | None:
        """Return a fleet's entry, or None when the ledger does not answer for it."""
        return next((entry for entry in self.fleets if entry.name == name), None)

    def release(self, number: ReleaseNumber) -> Release | None:
        """Return one of the latest releases that were ever live."""
        return next((r for r in self.releases if r.number == number), None)

    def leased(self, now: datetime) -> bool:
        """Return whether a deployer may be presumed at work."""
        return (
            self.attempt is not None
            and self.lease_until is not None
            and now < self.lease_until
        )

    def _first(self, status: FleetStatus) -> FleetEntry | None:
        return next((entry for entry in self.fleets if entry.status == status), None)


EMPTY = State()
"""What no records add up to."""
