"""Scaling policies, scheduled actions and lifecycle hooks of groups."""

import datetime as dt
import time
import uuid

from emulators.aws.groups.alarms import alarms_of, drop_actions
from emulators.aws.groups.model import Group
from emulators.aws.groups.reading import find, groups, paged
from emulators.aws.groups.waiting import go_on, resize
from emulators.aws.hooks import Call, handles, refuse
from emulators.aws.params import Params

_IGNORED = {"AutoScalingGroupName"}


@handles("autoscaling", "PutScalingPolicy")
def put_policy(call: Call) -> object:
    """Keep a policy, by group and name.

    Source: botocore, PutScalingPolicy: *"Creates or updates a scaling policy for an Auto
    Scaling group."* moto keeps it by name alone, whatever the group.
    """
    group = find(call, call.params.text("AutoScalingGroupName"))
    name = call.params.text("PolicyName")
    unique = uuid.uuid5(uuid.NAMESPACE_URL, f"{group.arn}{name}")
    arn = f"arn:aws:autoscaling:{group.region}:{group.account}:scalingPolicy:{unique}"
    arn += f":autoScalingGroupName/{group.name}:policyName/{name}"
    kind = call.params.text("PolicyType", "SimpleScaling")
    said = {**call.params.values, "PolicyType": kind, "PolicyARN": arn, "Alarms": []}
    group.policies[name] = {"Enabled": True, **said}
    return {"PolicyARN": arn, "Alarms": alarms_of(group, arn)}


@handles("autoscaling", "DescribePolicies")
def describe_policies(call: Call) -> object:
    """Describe the policies of one group, or of all, each with its alarms.

    Source: botocore, ``ScalingPolicy.Alarms``: *"The CloudWatch alarms related to the
    policy."*
    """
    names = call.params.texts("PolicyNames")
    kinds = call.params.texts("PolicyTypes")
    found = [
        {**policy, "Alarms": alarms_of(group, str(policy["PolicyARN"]))}
        for group in _chosen(call)
        for policy in group.policies.values()
        if not names or {policy["PolicyName"], policy["PolicyARN"]} & set(names)
    ]
    kept = [policy for policy in found if not kinds or policy["PolicyType"] in kinds]
    page, token = paged(call, kept, 50, 100)
    return {"ScalingPolicies": page, "NextToken": token}


@handles("autoscaling", "DeletePolicy")
def delete_policy(call: Call) -> object:
    """Forget a policy, named by name or ARN."""
    wanted = call.params.text("PolicyName")
    for group in _chosen(call):
        for name, policy in list(group.policies.items()):
            if wanted in {name, policy["PolicyARN"]}:
                drop_actions(group, str(policy["PolicyARN"]))
                del group.policies[name]
                return None
    raise refuse("ValidationError", f"ScalingPolicy name not found: {wanted}")


@handles("autoscaling", "ExecutePolicy")
def execute_policy(call: Call) -> object:
    """Change a group's size as a simple policy says, within its bounds.

    Source: botocore, ``AdjustmentType``: ChangeInCapacity, ExactCapacity,
    PercentChangeInCapacity.
    """
    group = find(call, call.params.text("AutoScalingGroupName"))
    policy = Params(group.policies[call.params.text("PolicyName")])
    by = policy.number("ScalingAdjustment") or 0
    kind = policy.text("AdjustmentType")
    if kind == "PercentChangeInCapacity":
        by = group.desired * by // 100
    wanted = by if kind == "ExactCapacity" else group.desired + by
    resize(group, min(max(wanted, group.minimum), group.maximum))
    return None


@handles("autoscaling", "PutScheduledUpdateGroupAction")
def put_scheduled(call: Call) -> object:
    """Keep a scheduled action, and perform it at its start.

    Source: botocore, PutScheduledUpdateGroupAction. ``Recurrence`` is kept and not performed.
    """
    group = find(call, call.params.text("AutoScalingGroupName"))
    _schedule(group, call.params)
    return None


@handles("autoscaling", "BatchPutScheduledUpdateGroupAction")
def put_several(call: Call) -> object:
    """Keep several scheduled actions."""
    group = find(call, call.params.text("AutoScalingGroupName"))
    for each in call.params.bags("ScheduledUpdateGroupActions"):
        _schedule(group, each)
    return {"FailedScheduledUpdateGroupActions": []}


@handles("autoscaling", "DescribeScheduledActions")
def describe_scheduled(call: Call) -> object:
    """Describe the scheduled actions of one group, or of all."""
    names = call.params.texts("ScheduledActionNames")
    found = [
        {"AutoScalingGroupName": group.name, **action}
        for group in _chosen(call)
        for action in group.schedule.values()
        if not names or action["ScheduledActionName"] in names
    ]
    page, token = paged(call, found, 50, 100)
    return {"ScheduledUpdateGroupActions": page, "NextToken": token}


@handles("autoscaling", "DeleteScheduledAction")
def delete_scheduled(call: Call) -> object:
    """Forget a scheduled action."""
    group = find(call, call.params.text("AutoScalingGroupName"))
    if group.schedule.pop(call.params.text("ScheduledActionName"), None) is None:
        raise refuse("ValidationError", "Scheduled action name not found")
    return None


@handles("autoscaling", "BatchDeleteScheduledAction")
def delete_several(call: Call) -> object:
    """Forget several scheduled actions."""
    group = find(call, call.params.text("AutoScalingGroupName"))
    for name in call.params.texts("ScheduledActionNames"):
        group.schedule.pop(name, None)
    return {"FailedScheduledActions": []}


@handles("autoscaling", "PutLifecycleHook")
def put_hook(call: Call) -> object:
    """Keep a lifecycle hook; the engine waits at it."""
    group = find(call, call.params.text("AutoScalingGroupName"))
    said = {
        "HeartbeatTimeout": 3600,
        "DefaultResult": "ABANDON",
        "GlobalTimeout": 172800,
        **call.params.values,
    }
    group.hooks[call.params.text("LifecycleHookName")] = said
    return {}


@handles("autoscaling", "DescribeLifecycleHooks")
def describe_hooks(call: Call) -> object:
    """Describe the lifecycle hooks of a group."""
    group = find(call, call.params.text("AutoScalingGroupName"))
    names = call.params.texts("LifecycleHookNames")
    kept = [h for name, h in group.hooks.items() if not names or name in names]
    return {"LifecycleHooks": kept}


@handles("autoscaling", "DeleteLifecycleHook")
def delete_hook(call: Call) -> object:
    """Forget a lifecycle hook; whoever waits at it goes on."""
    group = find(call, call.params.text("AutoScalingGroupName"))
    group.hooks.pop(call.params.text("LifecycleHookName"), None)
    return {}


@handles("autoscaling", "CompleteLifecycleAction")
def complete(call: Call) -> object:
    """Let an instance go on from where it waits.

    Source: EC2 Auto Scaling user guide, "How lifecycle hooks work": CONTINUE puts a new
    instance into service, ABANDON terminates it. moto answers HTTP 500.
    """
    group = find(call, call.params.text("AutoScalingGroupName"))
    for slot in group.slots:
        if slot.id == call.params.text("InstanceId") and slot.state.endswith(":Wait"):
            go_on(slot, call.params.text("LifecycleActionResult"))
            return {}
    raise refuse("ValidationError", "No active Lifecycle Action found")


@handles("autoscaling", "RecordLifecycleActionHeartbeat")
def heartbeat(call: Call) -> object:
    """Wait for another heartbeat's time."""
    group = find(call, call.params.text("AutoScalingGroupName"))
    for slot in group.slots:
        if slot.id == call.params.text("InstanceId"):
            slot.since = time.monotonic()
    return {}


def _schedule(group: Group, params: Params) -> None:
    name = params.text("ScheduledActionName")
    said = {
        k: v for k, v in params.values.items() if k not in _IGNORED and v is not None
    }
    arn = f"{group.arn.replace(':autoScalingGroup:', ':scheduledUpdateGroupAction:')}"
    group.schedule[name] = {**said, "ScheduledActionARN": f"{arn}:{name}"}
    start = group.schedule[name].get("StartTime")
    if isinstance(start, dt.datetime) and start.tzinfo is None:
        group.schedule[name]["StartTime"] = start.replace(tzinfo=dt.UTC)


def _chosen(call: Call) -> list[Group]:
    name = call.params.text("AutoScalingGroupName")
    return [find(call, name)] if name else groups(call)
