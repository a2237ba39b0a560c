"""What `decide` can answer.

Effects change the world, one external effect each, and are journalled before and after.
The rest look, wait, or end. Every effect sets absolute values and repeats safely.
"""

from datetime import datetime, timedelta

import attrs

from immutable.deploying.facts import Fact, Reason
from immutable.model import (
    FleetName,
    FleetSpec,
    HealthCheck,
    InstanceId,
    Member,
    Outcome,
    Routing,
    Version,
)


@attrs.frozen(kw_only=True)
class Attach:
    """Give the fleet its place at the switch, without traffic."""

    fleet: FleetName
    health: HealthCheck
    expected: Version


@attrs.frozen(kw_only=True)
class Launch:
    """Create the fleet's instances, or complete what an earlier launch began."""

    spec: FleetSpec

    @property
    def fleet(self) -> FleetName:
        """Return the fleet that is launched."""
        return self.spec.name


@attrs.frozen(kw_only=True)
class Join:
    """Make the attachment's members exactly these."""

    fleet: FleetName
    members: tuple[Member, ...]
    drain: timedelta


@attrs.frozen(kw_only=True)
class Route:
    """Set the whole routing; ``stage`` is the stage of the strategy that this reaches."""

    fleet: FleetName
    routing: Routing
    expected: Version
    stage: int | None = None


@attrs.frozen(kw_only=True)
class Fence:
    """Write the routing to itself, so that a dead owner's write in flight is refused."""

    fleet: FleetName
    routing: Routing
    expected: Version
    unplaced: bool = False
    """The reading it rests upon shows that the fleet has no place."""


@attrs.frozen(kw_only=True)
class Resize:
    """Make the fleet another size, destroying those named first."""

    spec: FleetSpec
    remove: tuple[InstanceId, ...] = ()

    @property
    def fleet(self) -> FleetName:
        """Return the fleet that is resized."""
        return self.spec.name


@attrs.frozen(kw_only=True)
class Replace:
    """Destroy one instance and launch another in its stead."""

    spec: FleetSpec
    instance: InstanceId

    @property
    def fleet(self) -> FleetName:
        """Return the fleet that is healed."""
        return self.spec.name


@attrs.frozen(kw_only=True)
class Detach:
    """Take away the fleet's place; refused by the switch while it has traffic."""

    fleet: FleetName
    expected: Version


@attrs.frozen(kw_only=True)
class Retire:
    """Destroy the fleet, but not its logs."""

    fleet: FleetName


@attrs.frozen(kw_only=True)
class Freeze:
    """Keep the provider from healing and scaling the fleet by itself."""

    fleet: FleetName


@attrs.frozen(kw_only=True)
class Thaw:
    """Let the provider heal and scale the fleet, by the rules of the one named."""

    fleet: FleetName
    like: FleetName | None = None


Effect = (
    Attach
    | Launch
    | Join
    | Route
    | Fence
    | Resize
    | Replace
    | Detach
    | Retire
    | Freeze
    | Thaw
)


@attrs.frozen(kw_only=True)
class Look:
    """Read one fact."""

    fact: Fact


@attrs.frozen(kw_only=True)
class Wait:
    """Let time pass, then read these facts again; ends by the engine's clock."""

    on: str
    facts: tuple[Fact, ...]
    pause: timedelta
    until: datetime


@attrs.frozen(kw_only=True)
class Resolve:
    """Say what became of an effect whose outcome was unknown, having read it back."""

    number: int
    applied: bool


@attrs.frozen(kw_only=True)
class Abort:
    """Turn back: from here on the deployment only undoes what it did."""

    reason: Reason


@attrs.frozen(kw_only=True)
class Finish:
    """End. ``live`` is the fleet that serves production from here on."""

    outcome: Outcome
    live: FleetName | None
    reason: Reason | None = None
    leftovers: tuple[str, ...] = ()


@attrs.frozen(kw_only=True)
class Pause:
    """Give up for now, with the deployment open: recovery goes on from here."""

    reason: Reason
    leftovers: tuple[str, ...] = ()


Decision = Effect | Look | Wait | Resolve | Abort | Pause | Finish


def name_of(step: Decision) -> str:
    """Return the step's word, as users read it in events and plans."""
    return type(step).__name__.lower()


def subject_of(step: Effect) -> str:
    """Return what tells this step from others of its kind within one deployment."""
    match step:
        case Replace(instance=instance):
            return instance
        case Resize(spec=spec, remove=remove):
            return ":".join((spec.name, str(spec.size), *remove))
        case _:
            return step.fleet
