"""Why a group lacks instances: its own failed attempts to launch them.

A group tries again for as long as it exists, and its calls all succeed; only its
activities tell. "If an attempt to launch instances failed, the StatusCode value is Failed or
Cancelled and the StatusMessage element in the response indicates the cause" (model of
DescribeScalingActivities, 2011-01-01).
"""

import re
from datetime import datetime, timedelta
from typing import TYPE_CHECKING

from immutable import host
from immutable.errors import BackendError, NotEnough
from immutable.model import FleetName
from immutable_aws.session import Aws

if TYPE_CHECKING:
    from collections.abc import Sequence

    from mypy_boto3_autoscaling.type_defs import ActivityTypeDef

_RECENT = 20
_STANDS = timedelta(minutes=1)
"""A failure is believed when no other attempt has undone it for so long."""
_FAILED = frozenset({"Failed", "Cancelled"})
_DONE = _FAILED | {"Successful"}
# https://docs.aws.amazon.com/autoscaling/ec2/userguide/ts-as-instancelaunchfailure.html
# and …/ts-as-capacity.html list what it says
_NO_ROOM = re.compile(
    r"(?<!request )limit|capacity|quota|insufficient|(?<!limit )exceeded|free addresses",
    re.IGNORECASE,
)


class Attempts:
    """The attempts of one group, looked at again and again.

    That one failed is nothing yet: "If launches fail in an Availability Zone, Auto Scaling
    will attempt to launch in another healthy Availability Zone instead" (model of
    AvailabilityZoneDistribution), and between two attempts nothing is under way. Only
    where failures go on for a minute is the group given up.
    """

    def __init__(self, aws: Aws, fleet: FleetName) -> None:
        self._aws = aws
        self._fleet = fleet
        self._failing_since: datetime | None = None

    def check(self) -> None:
        """Look why a group lacks instances, with one call.

        Raises:
            NotEnough: it has been failing for a while, as there is no room.
            BackendError: it has been failing for a while, with what the provider said.
        """
        found, now = self._newest(), host.current().now()
        if found and found[0]["StatusCode"] == "Successful":
            self._failing_since = None
        if not (reason := reason_in(found)):
            return
        self._failing_since = self._failing_since or now
        if now - self._failing_since >= _STANDS:
            raise _error(self._fleet, reason)

    def _newest(self) -> "Sequence[ActivityTypeDef]":
        return self._aws.read(
            "autoscaling.DescribeScalingActivities",
            self._fleet,
            lambda: self._aws.reads.autoscaling.describe_scaling_activities(
                AutoScalingGroupName=self._fleet, MaxRecords=_RECENT
            ),
        )["Activities"]


def reason_in(activities: "Sequence[ActivityTypeDef]") -> str:
    """Return what the newest activity failed with; empty when one is under way.

    Args:
        activities: the newest first, as the provider lists them.
    """
    if any(activity["StatusCode"] not in _DONE for activity in activities):
        return ""
    newest = activities[0] if activities else None
    if newest is None or newest["StatusCode"] not in _FAILED:
        return ""
    return newest.get("StatusMessage") or newest["Cause"]


def _error(fleet: FleetName, reason: str) -> BackendError:
    kind, hint = BackendError, "the group would try again for ever; mend what it says"
    if _NO_ROOM.search(reason):
        kind, hint = NotEnough, "raise the quota, retire fleets, or name other types"
    return kind(
        f"{fleet}: no instance could be launched: {reason}",
        hint=hint,
        operation="fleets.launch",
        resource=fleet,
        backend="aws",
    )
