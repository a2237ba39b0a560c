"""What a group's scaling policies and scheduled actions have to be on another group.

Pure. A policy that counts requests for each target names the target group
(``app/<load balancer>/<id>/targetgroup/<name>/<id>``, model of PredefinedMetricSpecification,
2011-01-01): on the other group it has to name that one's.
"""

import re
from collections.abc import Iterable
from datetime import datetime
from typing import TYPE_CHECKING, TypeAlias, cast

from immutable_aws.groups.group import Group

if TYPE_CHECKING:
    from mypy_boto3_autoscaling.type_defs import (
        PutScalingPolicyTypeTypeDef,
        ScalingPolicyTypeDef,
        ScheduledUpdateGroupActionRequestTypeDef,
        ScheduledUpdateGroupActionTypeDef,
    )

Policy: TypeAlias = "PutScalingPolicyTypeTypeDef"
Action: TypeAlias = "ScheduledUpdateGroupActionRequestTypeDef"
_LABEL = "ResourceLabel"
_TARGET_GROUP = re.compile(r"targetgroup/[^/]+/[^/]+$")
# The provider's own, or older names of what is there under another.
_NOT_COPIED = frozenset({"Alarms", "MinAdjustmentStep", "PolicyARN"})
_ACTION_FIELDS = (
    "ScheduledActionName",
    "StartTime",
    "EndTime",
    "Recurrence",
    "MinSize",
    "MaxSize",
    "DesiredCapacity",
    "TimeZone",
)


def policies_for(
    group: Group, policies: "Iterable[ScalingPolicyTypeDef]"
) -> dict[str, Policy]:
    """Return policies as they are to be put on a group, by name."""
    place = next(iter(group.places), "").rpartition(":")[2]
    return {
        policy["PolicyName"]: _policy(policy, group, place)
        for policy in policies
        if "PolicyName" in policy
    }


def actions_for(
    actions: "Iterable[ScheduledUpdateGroupActionTypeDef]", now: datetime
) -> dict[str, Action]:
    """Return scheduled actions as they are to be put on another group, by name.

    One that recurs may have begun in the past, which the provider refuses for a new one; one
    that does not, and whose time is over, will do nothing any more.
    """
    return {
        action["ScheduledActionName"]: _action(action, now)
        for action in actions
        if "ScheduledActionName" in action and not _is_over(action, now)
    }


def _policy(policy: "ScalingPolicyTypeDef", group: Group, place: str) -> Policy:
    kept = {
        k: v for k, v in policy.items() if k not in _NOT_COPIED and v not in ("", [])
    }
    kept["AutoScalingGroupName"] = group.name
    return cast("Policy", _relabelled(kept, place))


def _relabelled(value: object, place: str) -> object:
    """Return a policy in which every label names the group's own target group."""
    match value:
        case dict():
            return {
                key: _TARGET_GROUP.sub(place, item)
                if key == _LABEL and isinstance(item, str) and place
                else _relabelled(item, place)
                for key, item in value.items()
            }
        case list():
            return [_relabelled(item, place) for item in value]
        case _:
            return value


def _is_over(action: "ScheduledUpdateGroupActionTypeDef", now: datetime) -> bool:
    begins = action.get("StartTime")
    return begins is not None and begins <= now and "Recurrence" not in action


def _action(action: "ScheduledUpdateGroupActionTypeDef", now: datetime) -> Action:
    kept = {k: v for k, v in action.items() if k in _ACTION_FIELDS}
    begins = action.get("StartTime")
    if begins is not None and begins <= now and "Recurrence" in action:
        del kept["StartTime"]
    return cast("Action", kept)
