"""Alarms that people have made for a group's scaling policies, copied with the policies.

A policy that tracks a target has alarms of the provider's own. The other kinds do nothing
by themselves: an alarm names the policy by its ARN and, mostly, its group. The copy of a
policy has an ARN of its own, and what hangs on the old group goes with it: "any alarm that no
longer has an associated action" (model of DeleteAutoScalingGroup, 2011-01-01).
"""

from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING, TypeAlias, cast

from immutable.model import FleetName, digest_of
from immutable_aws.groups.group import Group
from immutable_aws.session import Aws
from immutable_aws.tagging import shared

if TYPE_CHECKING:
    from mypy_boto3_autoscaling.type_defs import ScalingPolicyTypeDef
    from mypy_boto3_cloudwatch.type_defs import (
        MetricAlarmTypeDef,
        PutMetricAlarmInputTypeDef,
    )

Alarm: TypeAlias = "PutMetricAlarmInputTypeDef"
_MARK = "immutable-alarms"
"""Tags a group for which alarms were made, so that the others cost no call."""
_BY_THEMSELVES = frozenset({"TargetTrackingScaling", "PredictiveScaling"})
_AT_ONCE = 100
"""The most that DescribeAlarms and DeleteAlarms take."""
_SUFFIX_CHARS = 8
_ACTIONS = ("AlarmActions", "InsufficientDataActions", "OKActions")
_UNSAID: tuple[object, ...] = (None, "", [])
"""What is not there; a threshold of 0 is."""
_FIELDS = (
    *_ACTIONS,
    "ActionConfiguration",
    "ActionsEnabled",
    "AlarmDescription",
    "ComparisonOperator",
    "DatapointsToAlarm",
    "Dimensions",
    "EvaluateLowSampleCountPercentile",
    "EvaluationCriteria",
    "EvaluationInterval",
    "EvaluationPeriods",
    "EvaluationWindow",
    "ExtendedStatistic",
    "MetricName",
    "Metrics",
    "Namespace",
    "Period",
    "Statistic",
    "Threshold",
    "ThresholdMetricId",
    "TreatMissingData",
    "Unit",
    "WarmUpConfiguration",
)


class Alarms:
    """The alarms of one account and region, as far as they scale groups."""

    def __init__(self, aws: Aws) -> None:
        self._aws = aws

    def copy(
        self,
        like: Group,
        group: Group,
        policies: "Iterable[ScalingPolicyTypeDef]",
        arns: Mapping[str, str],
    ) -> None:
        """Give the policies of a group the alarms of those that they are copies of.

        Args:
            like: the group that has them.
            group: the group that gets them.
            policies: those of ``like``.
            arns: of each of them, the ARN of its copy.
        """
        names = sorted(set(_named(policies)))
        if not names:
            return
        if _MARK not in dict(group.tags):
            self._mark(group.name)
        for start in range(0, len(names), _AT_ONCE):
            for row in self._described(like.name, names[start : start + _AT_ONCE]):
                self._put(alarm_for(row, like, group, arns))

    def delete(self, group: Group) -> None:
        """Delete the alarms that were made for a group; none is no error."""
        if _MARK not in dict(group.tags):
            return
        pages = self._aws.reads.cloudwatch.get_paginator("describe_alarms").paginate(
            AlarmNamePrefix=f"{group.name}-", AlarmTypes=["MetricAlarm"]
        )
        rows = self._aws.read(
            "cloudwatch.DescribeAlarms",
            group.name,
            lambda: [row for page in pages for row in page["MetricAlarms"]],
        )
        names = [row["AlarmName"] for row in rows if "AlarmName" in row]
        for start in range(0, len(names), _AT_ONCE):
            self._delete(group.name, names[start : start + _AT_ONCE])

    def _mark(self, group: FleetName) -> None:
        self._aws.change(
            "autoscaling.CreateOrUpdateTags",
            group,
            lambda: self._aws.changes.autoscaling.create_or_update_tags(
                Tags=[
                    {
                        "ResourceId": group,
                        "ResourceType": "auto-scaling-group",
                        "Key": _MARK,
                        "Value": "copied",
                        "PropagateAtLaunch": False,
                    }
                ]
            ),
        )

    def _described(
        self, about: FleetName, names: list[str]
    ) -> "list[MetricAlarmTypeDef]":
        answer = self._aws.read(
            "cloudwatch.DescribeAlarms",
            about,
            lambda: self._aws.reads.cloudwatch.describe_alarms(
                AlarmNames=names, AlarmTypes=["MetricAlarm"], MaxRecords=_AT_ONCE
            ),
        )
        return answer["MetricAlarms"]

    def _put(self, alarm: Alarm) -> None:
        self._aws.change(
            "cloudwatch.PutMetricAlarm",
            alarm["AlarmName"],
            lambda: self._aws.changes.cloudwatch.put_metric_alarm(**alarm),
        )

    def _delete(self, about: FleetName, names: list[str]) -> None:
        self._aws.change(
            "cloudwatch.DeleteAlarms",
            about,
            lambda: self._aws.changes.cloudwatch.delete_alarms(AlarmNames=names),
        )


def alarm_for(
    row: "MetricAlarmTypeDef", like: Group, group: Group, arns: Mapping[str, str]
) -> Alarm:
    """Return the alarm of one group as it is to be for another.

    It watches that group, or its target group, where it watched the first one's, and sets
    off that group's policies; whom else it tells stays as it is.
    """
    places = zip(_places(like), _places(group), strict=False)
    swaps = {like.name: group.name, **dict(places)}
    told = {**row}
    kept = {
        key: _watching(told[key], swaps)
        for key in _FIELDS
        if told.get(key) not in _UNSAID
    }
    for key in _ACTIONS:
        actions = cast("list[str]", told.get(key, []))
        kept[key] = [arns.get(action, action) for action in actions]
    kept["AlarmName"] = _renamed(row.get("AlarmName", ""), like, group)
    kept["ActionsEnabled"] = row.get("ActionsEnabled", True)
    kept["Tags"] = [
        {"Key": key, "Value": value} for key, value in shared(group.tags).items()
    ]
    return cast("Alarm", kept)


def _named(policies: "Iterable[ScalingPolicyTypeDef]") -> Iterable[str]:
    for policy in policies:
        if policy.get("PolicyType") not in _BY_THEMSELVES:
            for alarm in policy.get("Alarms", []):
                if name := alarm.get("AlarmName"):
                    yield name


def _renamed(name: str, like: Group, group: Group) -> str:
    """Return the name of a copy: of the copy of a copy the same, but for the group's."""
    prefix = f"{like.name}-"
    own = name.startswith(prefix)
    suffix = (
        name.removeprefix(prefix) if own else digest_of("alarm", name)[:_SUFFIX_CHARS]
    )
    return f"{group.name}-{suffix}"


def _places(group: Group) -> list[str]:
    """Return target groups as metrics name them: ``targetgroup/<name>/<id>``."""
    return [place.rpartition(":")[2] for place in group.places]


def _watching(value: object, swaps: Mapping[str, str]) -> object:
    """Return a part of an alarm whose dimensions name the other group."""
    match value:
        case {"Name": str(name), "Value": str(said)} if said in swaps:
            return {"Name": name, "Value": swaps[said]}
        case dict():
            return {key: _watching(item, swaps) for key, item in value.items()}
        case list():
            return [_watching(item, swaps) for item in value]
        case _:
            return value
