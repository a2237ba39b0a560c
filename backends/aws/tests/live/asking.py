"""Asking AWS one thing at a time, and leaving nothing behind."""

import contextlib
import time
import uuid
from collections.abc import Callable
from typing import Any, TypeVar

import attrs
import boto3
import pytest
from botocore.config import Config
from botocore.exceptions import ClientError

_T = TypeVar("_T")
_TAGS = [{"Key": "immutable-live", "Value": "yes"}]
_ONCE = Config(retries={"total_max_attempts": 1})
UNAVAILABLE = {
    "Type": "fixed-response",
    "FixedResponseConfig": {"StatusCode": "503", "ContentType": "text/plain"},
}


@attrs.frozen(kw_only=True)
class Live:
    """An account to be asked, and what is given in it."""

    session: boto3.Session
    listener: str
    image: str
    port: int
    url: str
    """Where the listener is reached."""
    vpc: str
    subnet: str
    cleanup: contextlib.ExitStack
    made: list[str] = attrs.field(factory=list)

    def client(self, service: str) -> Any:
        """Return a client that repeats nothing."""
        return self.session.client(service, config=_ONCE)

    def name(self, what: str) -> str:
        """Return a name that nobody else has."""
        return f"live-{what}-{uuid.uuid4().hex[:8]}"

    def target_group(self, protocol: str = "HTTP") -> str:
        """Return a new target group, probed as often as AWS allows."""
        elbv2 = self.client("elbv2")
        arn = elbv2.create_target_group(
            Name=self.name("tg"),
            Protocol=protocol,
            Port=self.port,
            VpcId=self.vpc,
            HealthCheckIntervalSeconds=5,
            HealthCheckTimeoutSeconds=2,
            HealthyThresholdCount=2,
            Tags=_TAGS,
        )["TargetGroups"][0]["TargetGroupArn"]
        self.cleanup.callback(
            lambda: patiently(
                lambda: elbv2.delete_target_group(TargetGroupArn=arn), "ResourceInUse"
            )
        )
        return arn

    def rule(self, priority: int, action: dict[str, Any], path: str = "*") -> str:
        """Return a new rule, which is deleted at the end."""
        elbv2 = self.client("elbv2")
        arn = elbv2.create_rule(
            ListenerArn=self.listener,
            Priority=priority,
            Conditions=[{"Field": "path-pattern", "Values": [path]}],
            Actions=[action],
            Tags=_TAGS,
        )["Rules"][0]["RuleArn"]
        self.cleanup.callback(lambda: fine(elbv2.delete_rule, RuleArn=arn))
        return arn

    def launch(self, token: str) -> str:
        """Return an instance, launched under a token, which is terminated at the end."""
        ec2 = self.client("ec2")
        found = ec2.run_instances(
            ImageId=self.image,
            MinCount=1,
            MaxCount=1,
            InstanceType="t3.micro",
            SubnetId=self.subnet,
            ClientToken=token,
            TagSpecifications=[{"ResourceType": "instance", "Tags": _TAGS}],
        )["Instances"][0]["InstanceId"]
        self.cleanup.callback(lambda: ec2.terminate_instances(InstanceIds=[found]))
        return str(found)

    def group(self, size: int) -> dict[str, Any]:
        """Return with what a new Auto Scaling group was made, which is deleted at the end."""
        ec2, scaling = self.client("ec2"), self.client("autoscaling")
        name = self.name("asg")
        template = ec2.create_launch_template(
            LaunchTemplateName=name,
            LaunchTemplateData={"ImageId": self.image, "InstanceType": "t3.micro"},
        )["LaunchTemplate"]["LaunchTemplateId"]
        self.cleanup.callback(
            lambda: fine(ec2.delete_launch_template, LaunchTemplateName=name)
        )
        told = {
            "AutoScalingGroupName": name,
            "MinSize": size,
            "MaxSize": size,
            "LaunchTemplate": {"LaunchTemplateId": template, "Version": "1"},
            "VPCZoneIdentifier": self.subnet,
        }
        scaling.create_auto_scaling_group(**told)
        self.cleanup.callback(
            lambda: fine(
                scaling.delete_auto_scaling_group,
                AutoScalingGroupName=name,
                ForceDelete=True,
            )
        )
        return told


def fine(call: Callable[..., object], **given: object) -> None:
    """Call, and let go what is gone."""
    with contextlib.suppress(ClientError):
        call(**given)


def patiently(call: Callable[[], object], code: str) -> None:
    """Call until AWS does not refuse it with a code any more, for two minutes."""
    deadline = time.monotonic() + 120
    while refusal(call) == code and time.monotonic() < deadline:
        time.sleep(1)


def until(good: Callable[[], _T], within: float = 300.0) -> tuple[_T, float]:
    """Wait until something holds, and return what it gave, and how long it took."""
    began = time.monotonic()
    while not (found := good()):
        if time.monotonic() - began > within:
            pytest.fail(f"not within {within} s; last seen: {found!r}")
        time.sleep(0.2)
    return found, time.monotonic() - began


def refusal(call: Callable[..., object], **given: object) -> str:
    """Return the code that AWS refuses a call with; empty when it does not."""
    try:
        call(**given)
    except ClientError as exc:
        return str(exc.response["Error"]["Code"])
    return ""
