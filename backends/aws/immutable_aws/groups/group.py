"""An Auto Scaling group as the library sees it, made of what the provider lists.

Which words it uses is in botocore's own model of Auto Scaling, 2011-01-01.
"""

from typing import TYPE_CHECKING

import attrs

from immutable.model import FleetName, InstanceId
from immutable_aws.groups.template import TemplateVersion
from immutable_aws.tagging import Pairs, pairs_of

if TYPE_CHECKING:
    from mypy_boto3_autoscaling.type_defs import (
        AutoScalingGroupTypeDef,
        InstanceTypeDef,
        LaunchTemplateSpecificationTypeDef,
    )

LET_GO = ("AZRebalance", "AlarmNotification", "ReplaceUnhealthy", "ScheduledActions")
"""The processes by which a group heals and scales itself; launching and terminating are not
among them, as they carry out what is asked of it."""
_KEPT = "InstanceRefresh"
HELD = (*LET_GO, _KEPT)
"""What is suspended in a group that is frozen. The last stays so for ever: instances are of
the release that they were launched from, and by it a group that was let go can be told from
one whose launcher died before it was frozen."""
_LEAVING = ("Terminating", "Terminated")


@attrs.frozen(kw_only=True)
class Seat:
    """An instance as its group lists it."""

    id: InstanceId
    lifecycle: str
    """Such as ``Pending``, ``InService``, ``Terminating:Wait``."""
    is_healthy: bool
    template: TemplateVersion | None
    """What it was launched from; None where the provider does not say."""

    @property
    def is_leaving(self) -> bool:
        """Return whether it is being terminated, which nothing stops."""
        return self.lifecycle.startswith(_LEAVING)


@attrs.frozen(kw_only=True)
class Group:
    """An Auto Scaling group."""

    name: FleetName
    smallest: int
    desired: int
    largest: int
    seats: tuple[Seat, ...]
    """In order of id."""
    tags: Pairs
    places: tuple[str, ...]
    """ARNs of the target groups that its instances are put into."""
    template: TemplateVersion | None
    suspended: frozenset[str]
    is_deleted: bool
    """Its deletion has begun."""

    @property
    def is_frozen(self) -> bool:
        """Return whether it does not change itself at present."""
        return self.suspended.issuperset(HELD)

    @property
    def is_let_go(self) -> bool:
        """Return whether it was frozen once, and is not any more."""
        return _KEPT in self.suspended and not self.is_frozen

    @property
    def staying(self) -> tuple[Seat, ...]:
        """Return the instances that are not on their way out."""
        return tuple(seat for seat in self.seats if not seat.is_leaving)


def group_of(row: "AutoScalingGroupTypeDef") -> Group:
    """Return a group as it is listed."""
    return Group(
        name=FleetName(row["AutoScalingGroupName"]),
        smallest=row["MinSize"],
        desired=row["DesiredCapacity"],
        largest=row["MaxSize"],
        seats=tuple(sorted(map(_seat, row.get("Instances", [])), key=lambda s: s.id)),
        tags=pairs_of(row.get("Tags", [])),
        places=tuple(row.get("TargetGroupARNs", [])),
        template=_version(_given(row)),
        suspended=frozenset(
            process.get("ProcessName", "")
            for process in row.get("SuspendedProcesses", [])
        ),
        is_deleted=bool(row.get("Status")),
    )


def _seat(row: "InstanceTypeDef") -> Seat:
    return Seat(
        id=InstanceId(row["InstanceId"]),
        lifecycle=row["LifecycleState"],
        is_healthy=row["HealthStatus"].lower() == "healthy",
        template=_version(row.get("LaunchTemplate")),
    )


def _given(
    row: "AutoScalingGroupTypeDef",
) -> "LaunchTemplateSpecificationTypeDef | None":
    """Return the template of a group, also where it is of several types or prices."""
    mixed = row.get("MixedInstancesPolicy", {}).get("LaunchTemplate", {})
    return row.get("LaunchTemplate") or mixed.get("LaunchTemplateSpecification")


def _version(
    given: "LaunchTemplateSpecificationTypeDef | None",
) -> TemplateVersion | None:
    template = (given or {}).get("LaunchTemplateId")
    version = (given or {}).get("Version")
    if not template or not version:
        return None
    return TemplateVersion(template=template, version=version)
