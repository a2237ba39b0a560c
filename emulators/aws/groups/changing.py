"""Calls about parts of groups: instances, target groups, processes, tags."""

from emulators.aws.groups.engine import dismiss, settle
from emulators.aws.groups.model import PROCESSES, Group, Slot
from emulators.aws.groups.reading import find, groups
from emulators.aws.groups.waiting import resize
from emulators.aws.groups.writing import bind
from emulators.aws.hooks import Call, handles, refuse


@handles("autoscaling", "SetInstanceHealth")
def set_health(call: Call) -> object:
    """Take an instance for unhealthy, or healthy, because the caller says so.

    Source: botocore, SetInstanceHealth; ``ShouldRespectGracePeriod``: *"If the Auto Scaling
    group of the specified instance has a HealthCheckGracePeriod specified for the group, by
    default, this call respects the grace period."* The grace period is not applied here:
    what is set, is set. moto stores it and replaces nothing.
    """
    group, slot = _member(call, call.params.text("InstanceId"))
    slot.health = call.params.text("HealthStatus")
    settle(call.world, group)
    return None


@handles("autoscaling", "TerminateInstanceInAutoScalingGroup")
def terminate(call: Call) -> object:
    """Terminate instances, with or without others in their place.

    Source: botocore, TerminateInstanceInAutoScalingGroup: *"If you do not specify the option
    to decrement the desired capacity, Amazon EC2 Auto Scaling launches instances to replace
    the ones that are terminated."* Below MinSize it is refused.
    """
    several = call.params.texts("InstanceIds")
    found = [_member(call, e) for e in several or [call.params.text("InstanceId")]]
    if call.params.flag("ShouldDecrementDesiredCapacity"):
        _decrement(found[0][0], len(found))
    cause = "an instance was taken out of service in response to a user request"
    for group, slot in found:
        dismiss(call.world, group, slot, cause)
    settle(call.world, found[0][0])
    told = [slot.ending.told() for _, slot in found if slot.ending]
    return {"Activities": told} if several else {"Activity": told[0]}


@handles("autoscaling", "DetachInstances")
def detach(call: Call) -> object:
    """Let instances go on without the group, and without its target groups.

    Source: botocore, DetachInstances: *"If there are target groups attached to the Auto
    Scaling group, the instances are deregistered from the target groups."*
    """
    group = find(call, call.params.text("AutoScalingGroupName"))
    ids = call.params.texts("InstanceIds")
    if call.params.flag("ShouldDecrementDesiredCapacity"):
        _decrement(group, len(ids))
    told = []
    for slot in [each for each in group.slots if each.id in ids]:
        group.slots.remove(slot)
        for arn in group.targets:
            pool = call.world.pools.get(arn)
            if pool:
                pool.deregister(slot.id)
        activity = group.note(f"Detaching EC2 instance: {slot.id}", "a user request")
        activity.finish("Successful")
        told.append(activity.told())
    return {"Activities": told}


@handles("autoscaling", "SetInstanceProtection")
def protect(call: Call) -> object:
    """Protect instances from being chosen when the group shrinks."""
    group = find(call, call.params.text("AutoScalingGroupName"))
    ids = call.params.texts("InstanceIds")
    for slot in group.slots:
        if slot.id in ids:
            slot.protected = call.params.flag("ProtectedFromScaleIn")
    return {}


@handles("autoscaling", "AttachLoadBalancerTargetGroups")
def attach_target_groups(call: Call) -> object:
    """Register every instance in service, now and as they come.

    Source: botocore, AttachLoadBalancerTargetGroups: *"Attaches one or more target
    groups to the specified Auto Scaling group."* Attaching again changes nothing.
    """
    group = find(call, call.params.text("AutoScalingGroupName"))
    for arn in call.params.texts("TargetGroupARNs"):
        bind(call, group, arn)
    settle(call.world, group)
    return {}


@handles("autoscaling", "AttachTrafficSources")
def attach_sources(call: Call) -> object:
    """Attach target groups by their newer name. moto has no such call."""
    group = find(call, call.params.text("AutoScalingGroupName"))
    for source in call.params.bags("TrafficSources"):
        bind(call, group, source.text("Identifier"))
    settle(call.world, group)
    return {}


@handles("autoscaling", "DetachLoadBalancerTargetGroups")
def detach_target_groups(call: Call) -> object:
    """Let the group's targets drain.

    Source: botocore, DetachLoadBalancerTargetGroups: *"When you detach a target group, it
    enters the Removing state while deregistering the instances in the group. When all
    instances are deregistered, then you can no longer describe the target group"*.
    """
    name = call.params.text("AutoScalingGroupName")
    for arn in call.params.texts("TargetGroupARNs"):
        _unbind(call, find(call, name), arn)
    return {}


@handles("autoscaling", "DetachTrafficSources")
def detach_sources(call: Call) -> object:
    """Detach target groups by their newer name. moto has no such call."""
    name = call.params.text("AutoScalingGroupName")
    for source in call.params.bags("TrafficSources"):
        _unbind(call, find(call, name), source.text("Identifier"))
    return {}


@handles("autoscaling", "SuspendProcesses")
def suspend(call: Call) -> object:
    """Suspend processes, all of them if none is named.

    Source: EC2 Auto Scaling user guide, "Suspend and resume Amazon EC2 Auto Scaling
    processes". moto honours none. A group that is going is refused; the words are those that
    users report (cloud-custodian, issue 497).
    """
    group = _standing(call)
    for process in _processes(call):
        group.suspended[process] = "User suspended at an unknown time"
    return None


@handles("autoscaling", "ResumeProcesses")
def resume(call: Call) -> object:
    """Resume processes, all of them if none is named; see ``suspend``."""
    group = _standing(call)
    for process in _processes(call):
        group.suspended.pop(process, None)
    settle(call.world, group)
    return None


def _standing(call: Call) -> Group:
    group = find(call, call.params.text("AutoScalingGroupName"))
    if group.status:
        message = "Processes may not be suspended while the AutoScaling group is pending delete"
        raise refuse("ValidationError", message)
    return group


@handles("autoscaling", "CreateOrUpdateTags")
def tag(call: Call) -> object:
    """Set tags of groups; instances get them when they are launched."""
    for each in call.params.bags("Tags"):
        group, own = find(call, each.text("ResourceId")), dict(each.values)
        others = [t for t in group.tags if t["Key"] != own["Key"]]
        group.tags = (*others, own)
    return None


@handles("autoscaling", "DeleteTags")
def untag(call: Call) -> object:
    """Remove tags of groups."""
    for each in call.params.bags("Tags"):
        group, key = find(call, each.text("ResourceId")), each.text("Key")
        group.tags = tuple(t for t in group.tags if t["Key"] != key)
    return None


@handles("autoscaling", "EnableMetricsCollection", "DisableMetricsCollection")
def collect_metrics(call: Call) -> object:
    """Note which metrics are collected; none is."""
    group, named = (
        find(call, call.params.text("AutoScalingGroupName")),
        set(call.params.texts("Metrics")),
    )
    enabling = call.operation == "EnableMetricsCollection"
    kept = set(group.metrics) | named if enabling else set(group.metrics) - named
    group.metrics = tuple(sorted(kept)) if named else ()
    return None


def _member(call: Call, instance: str) -> tuple[Group, Slot]:
    for group in groups(call):
        for slot in group.slots:
            if slot.id == instance and slot.is_alive:
                return group, slot
    message = (
        f"Instance Id not found - No managed instance found for instance ID {instance}"
    )
    raise refuse("ValidationError", message)


def _decrement(group: Group, count: int) -> None:
    if group.desired - count < group.minimum:
        message = (
            f"Currently, desiredSize equals minSize ({group.minimum}). Terminating "
            f"instance without replacement will violate group's min size constraint. "
            f"Either set shouldDecrementDesiredCapacity flag to false or lower group's "
            f"min size."
        )
        raise refuse("ValidationError", message)
    resize(group, group.desired - count)


def _unbind(call: Call, group: Group, arn: str) -> None:
    if arn not in group.targets:
        message = "Trying to remove Target Groups that are not part of the group"
        raise refuse("ValidationError", message)
    pool = call.world.pools.get(arn)
    group.targets[arn] = "Removing"
    if pool:
        for slot in group.slots:
            pool.deregister(slot.id)

    def forget() -> None:
        if group.targets.get(arn) == "Removing":
            group.targets.pop(arn)

    call.at(pool.drain_s if pool else 0.0, forget)


def _processes(call: Call) -> tuple[str, ...]:
    named = call.params.texts("ScalingProcesses")
    unknown = sorted(set(named) - set(PROCESSES))
    if unknown:
        raise refuse("ValidationError", f"Unknown scaling processes: {unknown}")
    return named or PROCESSES
