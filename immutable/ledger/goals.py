"""What a deployment is to achieve, frozen when it begins."""

from datetime import datetime, timedelta

import attrs

from immutable.model import FleetName, InstanceId, Release, Routing
from immutable.strategies import Stage


@attrs.frozen(kw_only=True)
class DeployGoal:
    """Make a release live: a deploy, or a rollback to an earlier release."""

    verb: str
    release: Release
    fleet: FleetName
    reused: bool
    """The fleet exists already (a warm standby) and survives a failure."""
    size: int
    fixed_size: bool
    """The caller chose the size; otherwise the incumbent's live size wins."""
    incumbent: FleetName | None
    before: Routing
    """What is served now, and restored on failure."""
    stages: tuple[Stage, ...]
    keep_warm: timedelta
    validators: tuple[str, ...]
    ready_timeout: timedelta
    validate_timeout: timedelta
    drain: timedelta


@attrs.frozen(kw_only=True)
class ScaleGoal:
    """Make the live fleet another size."""

    fleet: FleetName
    size: int
    before: int
    initial: tuple[InstanceId, ...]
    ready_timeout: timedelta
    drain: timedelta


@attrs.frozen(kw_only=True)
class HealGoal:
    """Replace the live fleet's dead and unready instances."""

    fleet: FleetName
    unready: tuple[InstanceId, ...]
    ready_timeout: timedelta
    drain: timedelta


@attrs.frozen(kw_only=True)
class TidyGoal:
    """Retire fleets whose time has come. From here on they are tombstones."""

    fleets: tuple[FleetName, ...]
    drain: timedelta
    closing: bool = False
    """Production is to be closed first: the whole service goes."""
    before: Routing = attrs.field(factory=Routing)
    """What was served when this was decided; nothing else is closed."""
    settles: datetime | None = None
    """Everything that may have been in flight then has landed, and been looked for."""


@attrs.frozen(kw_only=True)
class AdoptGoal:
    """Accept what the switch does, and make it this ledger's."""

    fleet: FleetName | None
    """What is to serve everything from here on; None: nothing is served."""
    release: Release | None
    size: int
    keep_warm: timedelta
    """For the fleet that the ledger took for live."""
    ready_timeout: timedelta


Goal = DeployGoal | ScaleGoal | HealGoal | TidyGoal | AdoptGoal
