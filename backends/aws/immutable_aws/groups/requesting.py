"""What is asked of AWS for a fleet, made of its spec alone: no calls, no chance, no clock."""

import base64
from collections.abc import Mapping
from typing import TYPE_CHECKING

from immutable.authoring import NameRules
from immutable.errors import InvalidInput
from immutable.model import FleetName, FleetSpec, digest_of
from immutable_aws.config import AwsConfig, Spot
from immutable_aws.groups.template import PINNED
from immutable_aws.tagging import checked, to_tags

if TYPE_CHECKING:
    from mypy_boto3_autoscaling.type_defs import (
        CreateAutoScalingGroupTypeTypeDef,
        InstancesDistributionTypeDef,
        LaunchTemplateSpecificationTypeDef,
        MixedInstancesPolicyTypeDef,
    )
    from mypy_boto3_ec2.type_defs import (
        LaunchTemplateIamInstanceProfileSpecificationRequestTypeDef,
        RequestLaunchTemplateDataTypeDef,
    )

MAX_USER_DATA_BYTES = 16 * 1024
"""In raw form, before it is encoded
(https://docs.aws.amazon.com/AWSEC2/latest/UserGuide/instancedata-add-user-data.html)."""
LAUNCH_TAG = "immutable-launch"
"""Says with which parameters something was launched, so that a retry knows its own."""
# A fleet's name is that of its target group, too: model of CreateTargetGroup, 2015-12-01.
_NAMES = NameRules(max_chars=32, pattern="[a-zA-Z0-9]([a-zA-Z0-9-]*[a-zA-Z0-9])?")
_RESERVED = "internal-"


def check(spec: FleetSpec) -> None:
    """Refuse what AWS would refuse half-way through.

    Raises:
        InvalidInput: a name, tag or document that it does not take.
    """
    _check_name(spec.name)
    checked(spec.tags)
    size_bytes = len(spec.document.encode())
    if size_bytes > MAX_USER_DATA_BYTES:
        raise InvalidInput(
            f"{spec.name}: its configuration has {size_bytes} bytes",
            hint=f"user data may have {MAX_USER_DATA_BYTES}; "
            "let instances fetch the rest, and configure where from",
        )


def template_data(
    spec: FleetSpec, config: AwsConfig
) -> "RequestLaunchTemplateDataTypeDef":
    """Return what every instance of a fleet is launched with."""
    tags = to_tags({"Name": spec.name, **checked(spec.tags)})
    data: RequestLaunchTemplateDataTypeDef = {
        "ImageId": spec.image.id,
        "InstanceType": config.instance_types[0],  # type: ignore[typeddict-item]  # AWS knows more types than its stubs
        "UserData": base64.b64encode(spec.document.encode()).decode(),
        # nothing that answers for others on an instance can hand out its credentials
        "MetadataOptions": {
            "HttpEndpoint": "enabled",
            "HttpTokens": "required",
            "HttpPutResponseHopLimit": 1,
            # by them the agent of `immutable_aws.agent` knows where its logs belong, which
            # it can write only with a role
            "InstanceMetadataTags": "enabled"
            if config.instance_profile
            else "disabled",
        },
        "TagSpecifications": [
            {"ResourceType": "instance", "Tags": tags},
            {"ResourceType": "volume", "Tags": tags},
            {"ResourceType": "network-interface", "Tags": tags},
        ],
    }
    if config.security_groups:
        data["SecurityGroupIds"] = list(config.security_groups)
    if config.instance_profile:
        data["IamInstanceProfile"] = _profile(config.instance_profile)
    return data


def launch_tags(
    spec: FleetSpec, config: AwsConfig, subnets: tuple[str, ...]
) -> dict[str, str]:
    """Return the tags of a group and its template.

    One is a digest of all that they are made with, except the size.
    """
    spot = config.spot
    bought = (
        [spot.on_demand_base, spot.on_demand_percent, spot.strategy] if spot else []
    )
    parameters = digest_of(
        "launch",
        template_data(spec, config),
        config.instance_types,
        bought,
        config.grace.total_seconds(),
        sorted(subnets),
        spec.place,
    )
    return {**checked(spec.tags), LAUNCH_TAG: parameters[:16]}


def group_request(
    spec: FleetSpec,
    config: AwsConfig,
    *,
    template: str,
    subnets: tuple[str, ...],
    tags: Mapping[str, str],
) -> "CreateAutoScalingGroupTypeTypeDef":
    """Return what a fleet's group is created with."""
    request: CreateAutoScalingGroupTypeTypeDef = {
        "AutoScalingGroupName": spec.name,
        "MinSize": spec.size,
        "MaxSize": spec.size,
        "DesiredCapacity": spec.size,
        "VPCZoneIdentifier": ",".join(subnets),
        "HealthCheckType": "ELB" if spec.place else "EC2",
        "HealthCheckGracePeriod": int(config.grace.total_seconds()),
        "Tags": [
            {
                "ResourceId": spec.name,
                "ResourceType": "auto-scaling-group",
                "Key": key,
                "Value": value,
                "PropagateAtLaunch": False,
            }
            for key, value in sorted(tags.items())
        ],
    }
    if spec.place:
        request["TargetGroupARNs"] = [spec.place]
    pinned: LaunchTemplateSpecificationTypeDef = {
        "LaunchTemplateId": template,
        "Version": PINNED,
    }
    if config.spot or len(config.instance_types) > 1:
        request["MixedInstancesPolicy"] = _mixed(pinned, config)
    else:
        request["LaunchTemplate"] = pinned
    return request


def _check_name(name: FleetName) -> None:
    if not _NAMES.accepts(name) or name.startswith(_RESERVED):
        raise InvalidInput(
            f"{name!r} is no name for a target group",
            hint="use 1 to 32 of a-z, 0-9 and hyphens, not beginning with internal-",
        )


def _profile(
    named: str,
) -> "LaunchTemplateIamInstanceProfileSpecificationRequestTypeDef":
    return {"Arn": named} if named.startswith("arn:") else {"Name": named}


def _mixed(
    pinned: "LaunchTemplateSpecificationTypeDef", config: AwsConfig
) -> "MixedInstancesPolicyTypeDef":
    return {
        "LaunchTemplate": {
            "LaunchTemplateSpecification": pinned,
            "Overrides": [{"InstanceType": name} for name in config.instance_types],
        },
        "InstancesDistribution": _distribution(config.spot),
    }


def _distribution(spot: Spot | None) -> "InstancesDistributionTypeDef":
    if spot is None:
        return {
            "OnDemandAllocationStrategy": "prioritized",
            "OnDemandPercentageAboveBaseCapacity": 100,
        }
    return {
        "OnDemandAllocationStrategy": "prioritized",
        "OnDemandBaseCapacity": spot.on_demand_base,
        "OnDemandPercentageAboveBaseCapacity": spot.on_demand_percent,
        "SpotAllocationStrategy": spot.strategy,
    }
