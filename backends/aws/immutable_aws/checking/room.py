"""Whether a deployment's peak fits: vCPUs of the account, groups, addresses of subnets."""

from collections.abc import Iterable, Iterator
from typing import TYPE_CHECKING

import attrs

from immutable.errors import InvalidInput, NotEnough
from immutable_aws.errors import NAME
from immutable_aws.session import Aws

if TYPE_CHECKING:
    from mypy_boto3_ec2.type_defs import InstanceTypeDef, SubnetTypeDef

# Running On-Demand and Spot instances of the standard families, counted in vCPUs:
# https://docs.aws.amazon.com/ec2/latest/instancetypes/ec2-instance-quotas.html
STANDARD = frozenset("acdhimrtz")
_QUOTAS_OF_THEIR_OWN = ("dl", "hpc", "inf", "trn")
_ON_DEMAND_QUOTA = "L-1216C47A"
_SPOT_QUOTA = "L-34B43A08"
_AT_WORK = [{"Name": "instance-state-name", "Values": ["pending", "running"]}]


@attrs.frozen(kw_only=True)
class Kind:
    """An instance type: how many vCPUs it counts for, and what it can boot."""

    name: str
    vcpus: int
    architectures: frozenset[str]

    @property
    def is_standard(self) -> bool:
        """Return whether it is counted by the quota of the standard families."""
        return _is_standard(self.name)


def kinds(aws: Aws, names: tuple[str, ...]) -> tuple[Kind, ...]:
    """Return what is known of instance types, in the given order; one call.

    Raises:
        InvalidInput: the region has no such type.
    """
    said = aws.read(
        "ec2.DescribeInstanceTypes",
        ", ".join(names),
        lambda: aws.reads.ec2.describe_instance_types(
            Filters=[{"Name": "instance-type", "Values": list(names)}]
        ),
    )
    found = {
        str(each.get("InstanceType")): Kind(
            name=str(each.get("InstanceType")),
            vcpus=each.get("VCpuInfo", {}).get("DefaultVCpus", 0),
            architectures=frozenset(
                each.get("ProcessorInfo", {}).get("SupportedArchitectures", [])
            ),
        )
        for each in said["InstanceTypes"]
    }
    if missing := [name for name in names if name not in found]:
        raise InvalidInput(
            f"{aws.place.region} has no instance type {', '.join(missing)}",
            hint="check the spelling: aws ec2 describe-instance-type-offerings",
            backend=NAME,
        )
    return tuple(found[name] for name in names)


def check_vcpus(aws: Aws, kind: Kind, instances: int, *, spot: bool) -> None:
    """Check that so many instances more stay within the account's quota; two readings.

    Raises:
        NotEnough: they would not.
    """
    if not kind.is_standard or not instances:
        return
    code = _SPOT_QUOTA if spot else _ON_DEMAND_QUOTA
    said = aws.read(
        "service-quotas.GetServiceQuota",
        code,
        lambda: aws.reads.quotas.get_service_quota(ServiceCode="ec2", QuotaCode=code),
    )
    limit = int(said["Quota"].get("Value", 0))
    used, needed = _vcpus_used(aws, kind, spot=spot), kind.vcpus * instances
    if used + needed > limit:
        raise NotEnough(
            f"{instances} more {kind.name} need {needed} vCPUs, and {limit - used} of"
            f" {limit} are free",
            hint=f"ask for more: quota {code} of Amazon EC2, or retire fleets",
            operation="service-quotas.GetServiceQuota",
            backend=NAME,
        )


def check_groups(aws: Aws) -> None:
    """Check that there may be one Auto Scaling group more; one reading.

    Raises:
        NotEnough: there may not.
    """
    said = aws.read(
        "autoscaling.DescribeAccountLimits",
        "Auto Scaling groups",
        aws.reads.autoscaling.describe_account_limits,
    )
    limit, used = (
        said["MaxNumberOfAutoScalingGroups"],
        said["NumberOfAutoScalingGroups"],
    )
    if used >= limit:
        raise NotEnough(
            f"there are {used} Auto Scaling groups, and {limit} are allowed",
            hint="ask for more, or retire fleets",
            operation="autoscaling.DescribeAccountLimits",
            backend=NAME,
        )


def check_addresses(subnets: Iterable["SubnetTypeDef"], instances: int) -> None:
    """Check that subnets have an address for each of so many instances more.

    Raises:
        NotEnough: they have not.
    """
    found = tuple(subnets)
    free = sum(subnet.get("AvailableIpAddressCount", 0) for subnet in found)
    if free < instances:
        names = ", ".join(str(subnet.get("SubnetId")) for subnet in found)
        raise NotEnough(
            f"{names}: {free} addresses are free, and {instances} are needed",
            hint="name larger subnets, or more of them: ?subnets=",
            backend=NAME,
        )


def _is_standard(name: str) -> bool:
    return name[0] in STANDARD and not name.startswith(_QUOTAS_OF_THEIR_OWN)


def _vcpus_used(aws: Aws, kind: Kind, *, spot: bool) -> int:
    def pages() -> list["InstanceTypeDef"]:
        paginator = aws.reads.ec2.get_paginator("describe_instances")
        return [
            instance
            for page in paginator.paginate(Filters=_AT_WORK)  # type: ignore[arg-type] # a constant is no FilterTypeDef to mypy
            for reservation in page["Reservations"]
            for instance in reservation.get("Instances", [])
        ]

    found = aws.read("ec2.DescribeInstances", "vCPUs", pages)
    return sum(_counted(found, kind, spot=spot))


def _counted(
    instances: Iterable["InstanceTypeDef"], kind: Kind, *, spot: bool
) -> Iterator[int]:
    for instance in instances:
        is_spot = instance.get("InstanceLifecycle") == "spot"
        if is_spot == spot and _is_standard(str(instance.get("InstanceType"))):
            cpus = instance.get("CpuOptions", {})
            # an answer that leaves them out counts as ours would
            cores = cpus.get("CoreCount", kind.vcpus)
            yield cores * cpus.get("ThreadsPerCore", 1)
