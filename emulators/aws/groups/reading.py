"""The describe calls of Auto Scaling."""

from collections.abc import Iterable, Sequence
from typing import TypeVar

from moto.core.exceptions import ServiceException

from emulators.aws.groups.launching import version_of
from emulators.aws.groups.model import Group, Slot
from emulators.aws.hooks import Call, handles, refuse
from emulators.aws.params import Params

T = TypeVar("T")
_GROUPS_MOST, _ACTIVITIES_MOST, _INSTANCES_MOST = 100, 100, 50


@handles("autoscaling", "DescribeAutoScalingGroups")
def describe_groups(call: Call) -> object:
    """Describe groups by name and by filters; names that are not there are left out.

    Source: botocore, DescribeAutoScalingGroups; ``MaxRecords``: *"The default value is 50
    and the maximum value is 100."*
    """
    names = call.params.texts("AutoScalingGroupNames")
    found = [g for g in groups(call) if not names or g.name in names]
    kept = [g for g in found if _passes(g, call.params.bags("Filters"))]
    page, token = paged(call, kept, 50, _GROUPS_MOST)
    return {"AutoScalingGroups": [told(g) for g in page], "NextToken": token}


@handles("autoscaling", "DescribeAutoScalingInstances")
def describe_instances(call: Call) -> object:
    """Describe the instances of all groups, or those that are named."""
    ids = call.params.texts("InstanceIds")
    found = [
        {"AutoScalingGroupName": group.name, **_instance(slot)}
        for group in groups(call)
        for slot in group.slots
        if not ids or slot.id in ids
    ]
    page, token = paged(call, found, 50, _INSTANCES_MOST)
    return {"AutoScalingInstances": page, "NextToken": token}


@handles("autoscaling", "DescribeScalingActivities")
def describe_activities(call: Call) -> object:
    """Tell of every launch and termination, the latest first, with why one failed.

    Source: botocore, DescribeScalingActivities: *"the StatusMessage element in the
    response indicates the cause of the failure"*; *"Activities still in progress are
    described first."* moto has none.
    """
    name = call.params.text("AutoScalingGroupName")
    chosen = [find(call, name)] if name else groups(call)
    wanted = call.params.texts("ActivityIds")
    found = [a for g in chosen for a in g.activities if not wanted or a.id in wanted]
    found.sort(key=lambda activity: activity.end is not None)
    page, token = paged(call, found, 100, _ACTIVITIES_MOST)
    return {"Activities": [a.told() for a in page], "NextToken": token}


@handles("autoscaling", "DescribeLoadBalancerTargetGroups")
def describe_target_groups(call: Call) -> object:
    """Tell the state of each target group: Adding until one target is healthy.

    Source: botocore, ``LoadBalancerTargetGroupState``: Added: *"All Auto Scaling instances
    are registered with the target group"*; InService: *"At least one Auto Scaling instance
    passed an ELB health check"*; Removing: *"being deregistered"*.
    """
    group = find(call, call.params.text("AutoScalingGroupName"))
    found = [
        {"LoadBalancerTargetGroupARN": arn, "State": _bound(call, group, arn, state)}
        for arn, state in group.targets.items()
    ]
    return {"LoadBalancerTargetGroups": found}


@handles("autoscaling", "DescribeTrafficSources")
def describe_sources(call: Call) -> object:
    """Tell the same of traffic sources, of which only target groups are known here."""
    group = find(call, call.params.text("AutoScalingGroupName"))
    found = [
        {
            "TrafficSource": arn,
            "Identifier": arn,
            "Type": "elbv2",
            "State": _bound(call, group, arn, state),
        }
        for arn, state in group.targets.items()
    ]
    return {"TrafficSources": found}


@handles("autoscaling", "DescribeTags")
def describe_tags(call: Call) -> object:
    """Describe the tags of all groups."""
    filters = call.params.bags("Filters")
    found = [
        tag
        for group in groups(call)
        for tag in _tags(group)
        if all(_tag_passes(tag, each) for each in filters)
    ]
    page, token = paged(call, found, 50, 100)
    return {"Tags": page, "NextToken": token}


@handles("autoscaling", "DescribeAccountLimits")
def describe_limits(call: Call) -> object:
    """Tell how many groups there may be, and are. moto has no such call.

    Source: botocore, DescribeAccountLimits: ``MaxNumberOfAutoScalingGroups`` *"The default is
    200 groups per Region."*, ``NumberOfAutoScalingGroups``.
    """
    return {
        "MaxNumberOfAutoScalingGroups": call.world.settings.groups,
        "MaxNumberOfLaunchConfigurations": 200,
        "NumberOfAutoScalingGroups": len(groups(call)),
        "NumberOfLaunchConfigurations": 0,
    }


def groups(call: Call) -> list[Group]:
    """Return the groups of the caller's account and region."""
    here = (call.account, call.region)
    return [g for (place, _), g in call.world.groups.items() if place == here]


def find(call: Call, name: str) -> Group:
    """Return a group.

    Raises:
        ServiceException: there is none of this name.
    """
    found = call.world.groups.get(((call.account, call.region), name))
    if found is None:
        message = "AutoScalingGroup name not found - AutoScalingGroup does not exist"
        raise refuse("ValidationError", message)
    return found


def paged(
    call: Call, found: Sequence[T], default: int, most: int
) -> tuple[Sequence[T], str | None]:
    """Return one page, and the token of the next."""
    token = call.params.text("NextToken", "0")
    if not token.isdigit():
        raise refuse("InvalidNextToken", "The NextToken value is not valid.")
    start, size = int(token), min(call.params.number("MaxRecords") or default, most)
    more = len(found) > start + size
    return found[start : start + size], str(start + size) if more else None


def told(group: Group) -> dict[str, object]:
    """Return a group as DescribeAutoScalingGroups does."""
    plain = {
        "AutoScalingGroupName": group.name,
        "AutoScalingGroupARN": group.arn,
        "MinSize": group.minimum,
        "MaxSize": group.maximum,
        "DesiredCapacity": group.desired,
        "DefaultCooldown": group.cooldown_s,
        "AvailabilityZones": list(group.zones),
        "LoadBalancerNames": [],
        "TargetGroupARNs": [a for a, s in group.targets.items() if s != "Removing"],
        "HealthCheckType": group.health_type,
        "HealthCheckGracePeriod": group.grace_s,
        "Instances": [_instance(slot) for slot in group.slots],
        "CreatedTime": group.created,
        "SuspendedProcesses": _suspended(group),
        "VPCZoneIdentifier": ",".join(group.subnets),
        "EnabledMetrics": [
            {"Metric": m, "Granularity": "1Minute"} for m in group.metrics
        ],
        "Tags": _tags(group),
        "TerminationPolicies": list(group.policies_of_ending),
        "NewInstancesProtectedFromScaleIn": group.protects,
        "CapacityRebalance": False,
        "TrafficSources": [{"Identifier": a, "Type": "elbv2"} for a in group.targets],
    }
    plain |= {"Status": group.status} if group.status else {}
    if group.mixed is not None:
        return plain | {"MixedInstancesPolicy": group.mixed}
    return plain | {"LaunchTemplate": _template(group)}


def _template(group: Group) -> dict[str, object]:
    """Return the template with id and name, and the version as it was asked for."""
    try:
        found = version_of(group)
    except ServiceException:
        # it was deleted: the group goes on to name it
        return dict(group.template)
    return {**found, "Version": group.template.get("Version", "$Default")}


def _suspended(group: Group) -> list[dict[str, str]]:
    return [
        {"ProcessName": name, "SuspensionReason": why}
        for name, why in group.suspended.items()
    ]


def _tags(group: Group) -> list[dict[str, object]]:
    own = {"ResourceId": group.name, "ResourceType": "auto-scaling-group"}
    return [
        {**own, "Value": "", "PropagateAtLaunch": False, **tag} for tag in group.tags
    ]


def _instance(slot: Slot) -> dict[str, object]:
    return {
        "InstanceId": slot.id,
        "InstanceType": slot.type,
        "AvailabilityZone": slot.zone,
        "LifecycleState": slot.state,
        "HealthStatus": slot.health,
        "LaunchTemplate": dict(slot.template),
        "ProtectedFromScaleIn": slot.protected,
    }


def _bound(call: Call, group: Group, arn: str, state: str) -> str:
    pool = call.world.pools.get(arn)
    if state == "Removing" or pool is None:
        return state
    states = {m.id: m.state for m in list(pool.members.values())}
    serving = [slot.id for slot in group.slots if slot.state == "InService"]
    if any(states.get(each) == "healthy" for each in serving):
        return "InService"
    return "Added" if all(each in states for each in serving) else "Adding"


def _passes(group: Group, filters: Iterable[Params]) -> bool:
    tags = {str(tag["Key"]): str(tag.get("Value", "")) for tag in group.tags}
    return all(_one_passes(tags, each) for each in filters)


def _one_passes(tags: dict[str, str], asked: Params) -> bool:
    name, values = asked.text("Name"), asked.texts("Values")
    if name == "tag-key":
        return any(key in values for key in tags)
    if name == "tag-value":
        return any(value in values for value in tags.values())
    if name.startswith("tag:"):
        return tags.get(name.removeprefix("tag:")) in values
    raise refuse("ValidationError", f"Filter type {name} is not correct.")


def _tag_passes(tag: dict[str, object], asked: Params) -> bool:
    names = {
        "auto-scaling-group": "ResourceId",
        "key": "Key",
        "value": "Value",
        "propagate-at-launch": "PropagateAtLaunch",
    }
    found = str(tag[names[asked.text("Name")]])
    return found.lower() in [each.lower() for each in asked.texts("Values")]
