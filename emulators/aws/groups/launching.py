"""How a group launches: through RunInstances, like anybody."""

from collections import Counter
from collections.abc import Mapping

from moto.core.exceptions import ServiceException
from moto.ec2.models import ec2_backends
from moto.ec2.models.instances import Reservation
from moto.ec2.responses import EC2Response

from emulators.aws.groups.model import Group, Slot
from emulators.aws.hooks import refuse
from emulators.aws.params import Params


def version_of(group: Group) -> dict[str, object]:
    """Return the template with the version that it stands for now, as a number.

    Source: botocore, ``LaunchTemplateSpecification.Version``: *"If the value is $Latest,
    Amazon EC2 Auto Scaling selects the latest version of the launch template when launching
    instances."*

    Raises:
        ServiceException: there is no such template or version.
    """
    backend = ec2_backends[group.account][group.region]
    spec = {k: v for k, v in group.template.items() if v}
    # nothing public finds a version by name or id, and by $Latest or $Default
    try:
        version = backend._get_template_from_args(  # noqa: SLF001
            {"Version": "$Default", **spec}
        )
    except LookupError as error:
        message = "The specified launch template does not exist."
        raise refuse("InvalidLaunchTemplateId.NotFound", message) from error
    return {
        "LaunchTemplateId": version.template.id,
        "LaunchTemplateName": version.template.name,
        "Version": str(version.number),
    }


def launch(group: Group) -> Slot | None:
    """Launch one instance, in the zone that has the fewest; None if it failed.

    Source: EC2 Auto Scaling user guide, "Distribute instances across Availability
    Zones": the zone with the fewest instances gets the next one; API,
    ``Activity.StatusMessage`` and "Troubleshoot": a launch that fails is an activity
    that failed, and is tried again. moto puts all in the first subnet.
    """
    count = len(group.alive)
    cause = (
        f"At {_spell(group)} {group.because}. At {_spell(group)} an instance was started "
        f"in response to a difference between desired and actual capacity, increasing the "
        f"capacity from {count} to {count + 1}."
    )
    activity = group.note("Launching a new EC2 instance", cause)
    try:
        template = version_of(group)
        found = _run_somewhere(group, template)
    except ServiceException as error:
        message = f"{error.message} Launching EC2 instance failed."
        activity.finish("Failed", message)
        return None
    instance = found.instances[0]
    activity.description += f": {instance.id}"
    slot = Slot(
        id=instance.id,
        zone=str(instance.placement.zone),
        subnet=str(instance.subnet_id),
        type=instance.instance_type,
        is_spot=instance.lifecycle == "spot",
        template=template,
        launch=activity,
        protected=group.protects,
    )
    group.slots.append(slot)
    return slot


def _run_somewhere(group: Group, template: Mapping[str, object]) -> Reservation:
    """Launch where there is the least; after a failure somewhere else.

    Source: botocore, ``AvailabilityZoneDistribution``: *"If launches fail in an
    Availability Zone, Auto Scaling will attempt to launch in another healthy Availability
    Zone instead."* The attempt that failed stays among the activities.
    """
    count = Counter(slot.subnet for slot in group.alive)
    ordered = sorted(group.subnets, key=lambda each: count[each])
    return _run(group, template, ordered[group.failures % len(ordered)])


def _run(group: Group, template: Mapping[str, object], subnet: str) -> Reservation:
    response = EC2Response()
    response.region, response.current_account = group.region, group.account
    response.uri_match, response.partition = {}, "aws"
    own = {"LaunchTemplateId": template["LaunchTemplateId"]}
    response.params = {
        "MinCount": 1,
        "MaxCount": 1,
        "LaunchTemplate": {**own, "Version": template["Version"]},
        "SubnetId": subnet,
        "TagSpecifications": [{"ResourceType": "instance", "Tags": _tags(group)}],
        **_overrides(group),
        **_market(group),
    }
    # it is the patched method: every rule for RunInstances holds here as well
    answer = response.run_instances()
    if not isinstance(answer.result, Reservation):
        raise TypeError(f"RunInstances answered {answer!r}")
    return answer.result


def _overrides(group: Group) -> dict[str, object]:
    found = Params(group.mixed or {}).bag("LaunchTemplate").bags("Overrides")
    named = [each.text("InstanceType") for each in found if "InstanceType" in each]
    return {"InstanceType": named[0]} if named else {}


def _market(group: Group) -> dict[str, object]:
    """Return whether the next instance is a spot instance.

    Source: botocore, ``InstancesDistribution``: the base capacity is on demand and *"is
    launched first as your group scales"*, then the percentage holds *"for your additional
    capacity beyond"* it; 100 where none is given.
    """
    bought = Params(group.mixed or {}).bag("InstancesDistribution")
    base = bought.number("OnDemandBaseCapacity") or 0
    given = bought.number("OnDemandPercentageAboveBaseCapacity")
    percent = 100 if given is None else given
    alive = group.alive
    spot = sum(slot.is_spot for slot in alive)
    above = max(0, len(alive) + 1 - base)
    if above * (100 - percent) < 100 * (spot + 1):
        return {}
    return {"InstanceMarketOptions": {"MarketType": "spot"}}


def _tags(group: Group) -> list[dict[str, object]]:
    """Return the tags for a new instance.

    Source: botocore, ``Tag.PropagateAtLaunch``: *"Determines whether the tag is added to
    new instances as they are launched in the group."*
    """
    own: list[dict[str, object]] = [
        {"Key": tag["Key"], "Value": tag.get("Value", "")}
        for tag in group.tags
        if tag.get("PropagateAtLaunch")
    ]
    return [*own, {"Key": "aws:autoscaling:groupName", "Value": group.name}]


def _spell(group: Group) -> str:
    return group.activities[0].start.isoformat() if group.activities else "first"
