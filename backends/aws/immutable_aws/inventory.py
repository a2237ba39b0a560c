"""Everything that exists for a service: named by kind and id, asked kind by kind.

For sweeps, preflights and tests that look for leaks: some ten calls, and pages. It asks each
service itself, whose lists are current, and not the index of all tags, which is not.
"""

from collections.abc import Iterable, Iterator
from typing import TYPE_CHECKING, TypeVar

from immutable.model import LedgerId, ServiceName
from immutable_aws.session import Aws
from immutable_aws.tagging import Pairs, pairs_of

if TYPE_CHECKING:
    from mypy_boto3_ec2.type_defs import FilterTypeDef

_TAGS_AT_ONCE = 20
"""The most resources that elbv2:DescribeTags takes."""
_LOGS_AT_ONCE = 50
_OVER = "terminated"
_Row = tuple[str, Pairs]
_T = TypeVar("_T")


def inventory(
    aws: Aws, *, service: ServiceName, ledger: LedgerId | None = None
) -> frozenset[str]:
    """Return the names of all that is tagged with a service, and a ledger if one is given.

    Such as ``group shop-v1-3f9a1c``, ``instance i-0abc``, ``place shop-v1-3f9a1c``; a rule
    is named with its role and priority. Instances that are terminated do not count.
    """
    wanted = {("immutable-service", str(service))}
    if ledger is not None:
        wanted.add(("immutable-ledger", str(ledger)))
    rows = aws.read("inventory", service, lambda: list(_everything(aws, wanted)))
    return frozenset(name for name, tags in rows if wanted <= set(tags))


def _everything(aws: Aws, wanted: Iterable[tuple[str, str]]) -> Iterator[_Row]:
    filters: list[FilterTypeDef] = [
        {"Name": f"tag:{key}", "Values": [value]} for key, value in sorted(wanted)
    ]
    yield from _groups(aws)
    yield from _computers(aws, filters)
    yield from _disks(aws, filters)
    yield from _networks(aws, filters)
    yield from _places(aws)
    yield from _rules(aws)
    yield from _log_groups(aws)
    yield from _alarms(aws, dict(wanted)["immutable-service"])


def _groups(aws: Aws) -> Iterator[_Row]:
    paginator = aws.reads.autoscaling.get_paginator("describe_auto_scaling_groups")
    for page in paginator.paginate():
        for group in page["AutoScalingGroups"]:
            yield f"group {group['AutoScalingGroupName']}", pairs_of(group["Tags"])


def _computers(aws: Aws, filters: "list[FilterTypeDef]") -> Iterator[_Row]:
    ec2 = aws.reads.ec2
    for page in ec2.get_paginator("describe_launch_templates").paginate(
        Filters=filters
    ):
        for row in page["LaunchTemplates"]:
            yield f"template {row['LaunchTemplateName']}", pairs_of(row.get("Tags", []))
    for found in ec2.get_paginator("describe_instances").paginate(Filters=filters):
        for reservation in found["Reservations"]:
            for instance in reservation.get("Instances", []):
                if instance["State"]["Name"] != _OVER:
                    tags = pairs_of(instance.get("Tags", []))
                    yield f"instance {instance['InstanceId']}", tags


def _disks(aws: Aws, filters: "list[FilterTypeDef]") -> Iterator[_Row]:
    ec2 = aws.reads.ec2
    for page in ec2.get_paginator("describe_volumes").paginate(Filters=filters):
        for volume in page["Volumes"]:
            yield f"volume {volume['VolumeId']}", pairs_of(volume.get("Tags", []))
    snapshots = ec2.get_paginator("describe_snapshots").paginate(
        OwnerIds=["self"], Filters=filters
    )
    for copies in snapshots:
        for copy in copies["Snapshots"]:
            yield f"snapshot {copy['SnapshotId']}", pairs_of(copy.get("Tags", []))
    images = ec2.get_paginator("describe_images").paginate(
        Owners=["self"], Filters=filters
    )
    for listed in images:
        for image in listed["Images"]:
            yield f"image {image['ImageId']}", pairs_of(image.get("Tags", []))


def _networks(aws: Aws, filters: "list[FilterTypeDef]") -> Iterator[_Row]:
    ec2 = aws.reads.ec2
    for page in ec2.get_paginator("describe_network_interfaces").paginate(
        Filters=filters
    ):
        for card in page["NetworkInterfaces"]:
            name = f"network interface {card['NetworkInterfaceId']}"
            yield name, pairs_of(card.get("TagSet", []))
    for found in ec2.get_paginator("describe_security_groups").paginate(
        Filters=filters
    ):
        for group in found["SecurityGroups"]:
            yield f"security group {group['GroupId']}", pairs_of(group.get("Tags", []))


def _places(aws: Aws) -> Iterator[_Row]:
    paginator = aws.reads.elbv2.get_paginator("describe_target_groups")
    named = {
        group["TargetGroupArn"]: f"place {group['TargetGroupName']}"
        for page in paginator.paginate()
        for group in page["TargetGroups"]
        if "TargetGroupArn" in group and "TargetGroupName" in group
    }
    for arn, tags in _tags(aws, sorted(named)):
        yield named[arn], tags


def _rules(aws: Aws) -> Iterator[_Row]:
    for listener in _listeners(aws):
        pages = aws.reads.elbv2.get_paginator("describe_rules").paginate(
            ListenerArn=listener
        )
        priorities = {
            rule["RuleArn"]: rule.get("Priority", "")
            for page in pages
            for rule in page["Rules"]
            if "RuleArn" in rule and not rule.get("IsDefault")
        }
        for arn, tags in _tags(aws, sorted(priorities)):
            role = dict(tags).get("immutable-role", "")
            yield f"rule {role} {priorities[arn]}", tags


def _listeners(aws: Aws) -> Iterator[str]:
    elbv2 = aws.reads.elbv2
    for page in elbv2.get_paginator("describe_load_balancers").paginate():
        for balancer in page["LoadBalancers"]:
            listed = elbv2.get_paginator("describe_listeners").paginate(
                LoadBalancerArn=balancer["LoadBalancerArn"]
            )
            for found in listed:
                yield from (listener["ListenerArn"] for listener in found["Listeners"])


def _tags(aws: Aws, arns: list[str]) -> Iterator[_Row]:
    for some in _batches(arns, _TAGS_AT_ONCE):
        answer = aws.reads.elbv2.describe_tags(ResourceArns=some)
        for row in answer["TagDescriptions"]:
            yield row.get("ResourceArn", ""), pairs_of(row.get("Tags", []))


def _log_groups(aws: Aws) -> Iterator[_Row]:
    """Yield the log groups below ``/immutable/``, the only ones whose tags are asked for."""
    logs = aws.reads.logs
    pages = logs.get_paginator("describe_log_groups").paginate(
        logGroupNamePrefix="/immutable/", PaginationConfig={"PageSize": _LOGS_AT_ONCE}
    )
    for page in pages:
        for group in page["logGroups"]:
            arn = group["arn"].removesuffix(":*")
            tags = logs.list_tags_for_resource(resourceArn=arn)["tags"]
            yield f"log group {group['logGroupName']}", tuple(sorted(tags.items()))


def _alarms(aws: Aws, service: str) -> Iterator[_Row]:
    """Yield the alarms that are called like a fleet, the only ones whose tags are asked for."""
    cloudwatch = aws.reads.cloudwatch
    pages = cloudwatch.get_paginator("describe_alarms").paginate(
        AlarmNamePrefix=f"{service}-v"
    )
    for page in pages:
        for alarm in page["MetricAlarms"]:
            arn = alarm.get("AlarmArn", "")
            tags = cloudwatch.list_tags_for_resource(ResourceARN=arn)["Tags"]
            yield f"alarm {alarm.get('AlarmName')}", pairs_of(tags)


def _batches(items: list[_T], size: int) -> Iterator[list[_T]]:
    return (items[start : start + size] for start in range(0, len(items), size))
