"""Creating, changing and deleting groups."""

from collections.abc import Mapping

import attrs
from moto.core.exceptions import ServiceException
from moto.ec2.models import ec2_backends

from emulators.aws.groups.alarms import forget_policies
from emulators.aws.groups.engine import dismiss, settle
from emulators.aws.groups.launching import version_of
from emulators.aws.groups.model import Group
from emulators.aws.groups.reading import find, groups
from emulators.aws.groups.waiting import resize
from emulators.aws.hooks import Call, handles, refuse
from emulators.aws.params import Params


@handles("autoscaling", "CreateAutoScalingGroup")
def create_group(call: Call) -> object:
    """Create a group, once for each name.

    Source: botocore, CreateAutoScalingGroup: ``AlreadyExists`` *"You already have an Auto
    Scaling group or launch configuration with this name."* moto overwrites it.
    ``LimitExceeded`` *"You have already reached a limit for your Amazon EC2 Auto Scaling
    resources"*.
    """
    name = call.params.text("AutoScalingGroupName")
    place = (call.account, call.region)
    if (place, name) in call.world.groups:
        message = (
            "AutoScalingGroup by this name already exists - A group with the name "
        )
        raise refuse("AlreadyExists", f"{message}{name} already exists")
    if len(groups(call)) >= call.world.settings.groups:
        message = "You have already reached your quota of Auto Scaling groups"
        raise refuse("LimitExceeded", message)
    group = _new(call, name)
    _check(group)
    _check_template(group)
    for arn in call.params.texts("TargetGroupARNs"):
        bind(call, group, arn)
    for source in call.params.bags("TrafficSources"):
        bind(call, group, source.text("Identifier"))
    call.world.groups[place, name] = group
    settle(call.world, group)
    return None


@handles("autoscaling", "UpdateAutoScalingGroup")
def update_group(call: Call) -> object:
    """Change what is named, and nothing else; the sizes must fit each other.

    Source: botocore, UpdateAutoScalingGroup: *"Any properties that you don't specify
    are not changed by this update request."* But the desired capacity follows bounds
    that it is outside of.
    """
    group = find(call, call.params.text("AutoScalingGroupName"))
    _refuse_deleted(group)
    changed = _changed(call, group)
    _check(changed)
    _check_template(changed)
    for field in attrs.fields(Group):
        setattr(group, field.name, getattr(changed, field.name))
    group.retry_at, group.failures = 0.0, 0
    settle(call.world, group)
    return None


@handles("autoscaling", "SetDesiredCapacity")
def set_desired(call: Call) -> object:
    """Change the size, within the bounds.

    Source: botocore, SetDesiredCapacity; ``ScalingActivityInProgress`` where a cooldown is
    to be honoured is not modelled.
    """
    group = find(call, call.params.text("AutoScalingGroupName"))
    _refuse_deleted(group)
    resize(group, call.params.number("DesiredCapacity") or 0)
    settle(call.world, group)
    return None


@handles("autoscaling", "DeleteAutoScalingGroup")
def delete_group(call: Call) -> object:
    """Delete an empty group, or with force one with its instances.

    Source: botocore, DeleteAutoScalingGroup: *"If the group has instances or scaling
    activities in progress, you must specify the option to force the deletion in order
    for it to succeed."* ``ResourceInUse``. With force: *"the group is to be deleted
    along with all instances associated with the group, without waiting for all
    instances to be terminated"*, while ``AutoScalingGroup.Status`` tells *"Delete in
    progress"*. moto deletes at once.
    """
    group = find(call, call.params.text("AutoScalingGroupName"))
    if not call.params.flag("ForceDelete"):
        if group.slots:
            message = (
                "You cannot delete an AutoScalingGroup while there are instances or "
                "pending Spot instance request(s) still in the group."
            )
            raise refuse("ResourceInUse", message)
        forget_policies(group, [str(p["PolicyARN"]) for p in group.policies.values()])
        call.world.groups.pop(((call.account, call.region), group.name))
        return None
    forget_policies(group, [str(p["PolicyARN"]) for p in group.policies.values()])
    group.status = "Delete in progress"
    group.desired = group.minimum = 0
    for slot in group.slots:
        if slot.is_alive:
            dismiss(call.world, group, slot, "the group was deleted by force")
        slot.leaves_at = 0.0
    settle(call.world, group)
    return None


def bind(call: Call, group: Group, arn: str) -> None:
    """Attach a target group.

    Source: EC2 Auto Scaling user guide: a target group that does not exist is refused with
    ValidationError.
    """
    if arn not in call.world.pools:
        message = "Provided Target Groups may not be valid. Please ensure they exist"
        raise refuse("ValidationError", f"{message} and try again.")
    group.targets[arn] = "Added"


def _new(call: Call, name: str) -> Group:
    params = call.params
    minimum = params.number("MinSize") or 0
    desired = params.number("DesiredCapacity")
    subnets, zones = _places(call, params.text("VPCZoneIdentifier"))
    template, mixed = _templates(params)
    return Group(
        account=call.account,
        region=call.region,
        name=name,
        minimum=minimum,
        maximum=params.number("MaxSize") or 0,
        desired=minimum if desired is None else desired,
        subnets=subnets,
        zones=zones,
        template=template,
        mixed=mixed,
        health_type=_health(params, "EC2"),
        grace_s=params.number("HealthCheckGracePeriod") or 0,
        cooldown_s=params.number("DefaultCooldown") or 300,
        protects=params.flag("NewInstancesProtectedFromScaleIn"),
        policies_of_ending=params.texts("TerminationPolicies") or ("Default",),
        tags=tuple(tag.values for tag in params.bags("Tags")),
    )


def _changed(call: Call, group: Group) -> Group:
    params = call.params
    new = attrs.evolve(group)
    new.minimum = _or(params.number("MinSize"), group.minimum)
    new.maximum = _or(params.number("MaxSize"), group.maximum)
    asked = params.number("DesiredCapacity")
    new.desired = (
        min(max(group.desired, new.minimum), new.maximum) if asked is None else asked
    )
    if "VPCZoneIdentifier" in params:
        new.subnets, new.zones = _places(call, params.text("VPCZoneIdentifier"))
    if "LaunchTemplate" in params or "MixedInstancesPolicy" in params:
        new.template, new.mixed = _templates(params)
    new.health_type = _health(params, group.health_type)
    new.grace_s = _or(params.number("HealthCheckGracePeriod"), group.grace_s)
    new.cooldown_s = _or(params.number("DefaultCooldown"), group.cooldown_s)
    name = "NewInstancesProtectedFromScaleIn"
    new.protects = params.flag(name, default=group.protects)
    ending = params.texts("TerminationPolicies")
    new.policies_of_ending = ending or group.policies_of_ending
    return new


def _or(value: int | None, other: int) -> int:
    return other if value is None else value


def _health(params: Params, default: str) -> str:
    """Return the type of health check.

    Source: botocore, ``HealthCheckType``: EC2 always counts, and others beside it.
    """
    found = params.text("HealthCheckType", default).split(",")
    unknown = set(found) - {"EC2", "ELB", "EBS", "VPC_LATTICE"}
    if unknown:
        raise refuse("ValidationError", f"Unsupported health check type: {found}")
    return "ELB" if "ELB" in found else found[0]


def _templates(
    params: Params,
) -> tuple[Mapping[str, object], Mapping[str, object] | None]:
    mixed = params.bag("MixedInstancesPolicy")
    spec = mixed.bag("LaunchTemplate").bag("LaunchTemplateSpecification")
    if mixed.values:
        return spec.values, mixed.values
    own = params.bag("LaunchTemplate")
    if not own.values:
        message = (
            "Valid requests must contain either LaunchTemplate, LaunchConfigurationName, "
            "InstanceId or MixedInstancesPolicy parameter."
        )
        raise refuse("ValidationError", message)
    return own.values, None


def _places(call: Call, identifier: str) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """Return the subnets, and their zones.

    Source: botocore, ``VPCZoneIdentifier``: *"A comma-separated list of subnet IDs"*; all of
    one VPC.
    """
    backend = ec2_backends[call.account][call.region]
    names = tuple(each.strip() for each in identifier.split(",") if each.strip())
    if not names:
        message = "At least one Availability Zone or VPC Subnet is required."
        raise refuse("ValidationError", message)
    try:
        found = [backend.get_subnet(name) for name in names]
    except ServiceException as error:
        message = f"The subnet ID '{identifier}' does not exist"
        raise refuse("ValidationError", message) from error
    if len({subnet.vpc_id for subnet in found}) > 1:
        message = "You can't launch instances with subnets of different VPCs"
        raise refuse("ValidationError", message)
    zones = dict.fromkeys(str(subnet.availability_zone) for subnet in found)
    return names, tuple(zones)


def _check(group: Group) -> None:
    """Refuse sizes that do not fit.

    Source: botocore, ``DesiredCapacity``: *"must be greater than or equal to the minimum
    size of the group and less than or equal to the maximum size"*. moto takes any.
    """
    if group.minimum > group.maximum:
        message = "Max bound, {}, must be greater than or equal to min bound, {}"
        raise refuse("ValidationError", message.format(group.maximum, group.minimum))
    if not group.minimum <= group.desired <= group.maximum:
        message = (
            f"Desired capacity:{group.desired} must be between the specified min size:"
            f"{group.minimum} and max size:{group.maximum}"
        )
        raise refuse("ValidationError", message)


def _check_template(group: Group) -> None:
    """Refuse a launch template, or a version of it, that does not exist."""
    try:
        version_of(group)
    except ServiceException as error:
        message = f"You must use a valid fully-formed launch template. {error.message}"
        raise refuse("ValidationError", message) from error


def _refuse_deleted(group: Group) -> None:
    if group.status:
        message = "AutoScalingGroup is being deleted: it cannot be updated"
        raise refuse("ScalingActivityInProgress", message)
