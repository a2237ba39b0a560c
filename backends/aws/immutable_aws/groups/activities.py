"""Why a group lacks instances: its own failed attempts to launch them.

A group tries again for as long as it exists, and its calls all succeed; only its
activities tell. "If an attempt to launch instances failed, the StatusCode value is Failed or
Cancelled and the StatusMessage element in the response indicates the cause" (model of
DescribeScalingActivities, 2011-01-01).
"""

import re
from typing import TYPE_CHECKING

from immutable.errors import BackendError, NotEnough
from immutable.model import FleetName
from immutable_aws.session import Aws

if TYPE_CHECKING:
    from collections.abc import Sequence

    from mypy_boto3_autoscaling.type_defs import ActivityTypeDef

_RECENT = 20
_FAILED = frozenset({"Failed", "Cancelled"})
_DONE = _FAILED | {"Successful"}
# https://docs.aws.amazon.com/autoscaling/ec2/userguide/ts-as-instancelaunchfailure.html
# and …/ts-as-capacity.html list what it says
_NO_ROOM = re.compile(
    r"limit|capacity|quota|insufficient|exceeded|free addresses", re.IGNORECASE
)


def failure(aws: Aws, fleet: FleetName) -> BackendError | None:
    """Return why a group launches nothing; None while it is still at it.

    Returns:
        `NotEnough` where there was no room, else what the provider said.
    """
    answer = aws.read(
        "autoscaling.DescribeScalingActivities",
        fleet,
        lambda: aws.reads.autoscaling.describe_scaling_activities(
            AutoScalingGroupName=fleet, MaxRecords=_RECENT
        ),
    )
    reason = reason_in(answer["Activities"])
    return _error(fleet, reason) if reason else None


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
