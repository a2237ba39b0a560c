"""An account in an emulated AWS, with a network and a load balancer given.

What tests and benches need before they can begin: clients, subnets in three zones, an image
with a behaviour, and waiting for a state instead of for a time.
"""

import functools
import itertools
import time
from collections import Counter
from collections.abc import Callable
from typing import TYPE_CHECKING, Literal, TypeVar

import attrs
import boto3
from botocore.config import Config

from emulators.aws.handle import Emulator
from emulators.plane.behaviour import Behaviour

if TYPE_CHECKING:
    from mypy_boto3_autoscaling import AutoScalingClient
    from mypy_boto3_autoscaling.type_defs import (
        ActivityTypeDef,
        AutoScalingGroupTypeDef,
    )
    from mypy_boto3_cloudwatch import CloudWatchClient
    from mypy_boto3_ec2 import EC2Client
    from mypy_boto3_ec2.type_defs import InstanceTypeDef
    from mypy_boto3_elbv2 import ElasticLoadBalancingv2Client
    from mypy_boto3_elbv2.type_defs import ActionTypeDef, RuleTypeDef

    Clients = tuple[
        EC2Client, ElasticLoadBalancingv2Client, AutoScalingClient, CloudWatchClient
    ]

T = TypeVar("T")
Kind = Literal["application", "network"]
REGION = "eu-west-1"
KEY, SECRET = "AKIAEMULATED", "emulated"
WAIT_S = 20.0
_UNAVAILABLE: "ActionTypeDef" = {
    "Type": "fixed-response",
    "FixedResponseConfig": {"StatusCode": "503", "ContentType": "text/plain"},
}
_PORT = 8000
_DELAY = "deregistration_delay.timeout_seconds"
_NUMBERS = itertools.count(1)
ONCE = Config(retries={"total_max_attempts": 1}, read_timeout=60)


@attrs.frozen(kw_only=True)
class Account:
    """Clients of one account, and what it has to begin with.

    The clients never retry: a test sees each error, and each call counts once.
    """

    emulator: Emulator
    ec2: "EC2Client"
    autoscaling: "AutoScalingClient"
    elbv2: "ElasticLoadBalancingv2Client"
    cloudwatch: "CloudWatchClient"
    region: str
    kind: Kind
    vpc: str
    subnets: tuple[str, ...]
    """One in each of three zones."""
    load_balancer: str
    """The ARN of a load balancer of that kind."""
    listener: str
    """The ARN of its listener: that of an application load balancer answers 503 unless a rule
    says otherwise, that of a network load balancer has an empty target group."""

    @classmethod
    def make(cls, emulator: Emulator, kind: Kind = "application") -> "Account":
        """Make it, in an emulator that has nothing yet."""
        ec2, elbv2, scaling, cloudwatch = _clients(emulator.url)
        vpc = ec2.create_vpc(CidrBlock=emulator.network)["Vpc"]["VpcId"]
        subnets = _subnets(ec2, emulator, vpc)
        balancer = elbv2.create_load_balancer(Name="given", Subnets=subnets, Type=kind)
        arn = balancer["LoadBalancers"][0]["LoadBalancerArn"]
        return cls(
            emulator=emulator,
            ec2=ec2,
            autoscaling=scaling,
            cloudwatch=cloudwatch,
            region=REGION,
            kind=kind,
            elbv2=elbv2,
            vpc=vpc,
            subnets=tuple(subnets),
            load_balancer=arn,
            listener=_listen(elbv2, arn, vpc, kind, _PORT),
        )

    @functools.cached_property
    def plain_image(self) -> str:
        """Return an image whose machines answer everything, made at the first use."""
        return self.image()

    @property
    def url(self) -> str:
        """Return where clients reach the listener."""
        return self.emulator.address_of(self.listener)

    def listener_at(self, number: int) -> str:
        """Return the n-th listener of the load balancer, made when it is first asked for."""
        rows = self.elbv2.describe_listeners(LoadBalancerArn=self.load_balancer)
        known = {row["Port"]: row["ListenerArn"] for row in rows["Listeners"]}
        port = _PORT + number
        if port in known:
            return known[port]
        return _listen(self.elbv2, self.load_balancer, self.vpc, self.kind, port)

    def image(self, behaviour: Behaviour | str = "") -> str:
        """Return a new image that is available, whose machines do what is said."""
        name = f"image-{next(_NUMBERS)}"
        image = self.ec2.register_image(
            Name=name, RootDeviceName="/dev/xvda", Architecture="x86_64"
        )["ImageId"]
        self.emulator.behave(image, behaviour)
        self.until(lambda: self.image_state(image) == "available")
        return image

    def image_state(self, image: str) -> str:
        """Return the state of an image."""
        return self.ec2.describe_images(ImageIds=[image])["Images"][0]["State"]

    def launch(self, image: str, count: int = 1) -> list[str]:
        """Launch instances without waiting for them, and return their ids."""
        found = self.ec2.run_instances(
            ImageId=image,
            MinCount=count,
            MaxCount=count,
            InstanceType="t3.micro",
            SubnetId=self.subnets[0],
        )
        return [instance["InstanceId"] for instance in found["Instances"]]

    def state(self, instance: str) -> str:
        """Return the state of an instance."""
        found = self.ec2.describe_instances(InstanceIds=[instance])
        return found["Reservations"][0]["Instances"][0]["State"]["Name"]

    def target_group(
        self, name: str, *, path: str = "/health", drain_s: int = 60
    ) -> str:
        """Return the ARN of a new target group, probed as often as AWS allows."""
        found = self.elbv2.create_target_group(
            Name=name,
            Protocol="HTTP",
            Port=8080,
            VpcId=self.vpc,
            HealthCheckPath=path,
            HealthCheckIntervalSeconds=5,
            HealthyThresholdCount=2,
        )
        arn = found["TargetGroups"][0]["TargetGroupArn"]
        self.elbv2.modify_target_group_attributes(
            TargetGroupArn=arn, Attributes=[{"Key": _DELAY, "Value": str(drain_s)}]
        )
        return arn

    def place(self, name: str, priority: int = 100) -> str:
        """Return the ARN of a new target group that a rule names, as a fleet needs it."""
        target_group = self.target_group(name, drain_s=5)
        self.rule(priority, target_group, f"/{name}")
        return target_group

    def template(self, name: str, image: str) -> str:
        """Return the id of a new launch template."""
        found = self.ec2.create_launch_template(
            LaunchTemplateName=name,
            LaunchTemplateData={"ImageId": image, "InstanceType": "t3.micro"},
        )
        return found["LaunchTemplate"]["LaunchTemplateId"]

    def group(
        self, name: str, image: str, size: int = 3, *, target_group: str | None = None
    ) -> None:
        """Create an Auto Scaling group over all subnets, of version 1 of a new template."""
        self.autoscaling.create_auto_scaling_group(
            AutoScalingGroupName=name,
            MinSize=0,
            MaxSize=2 * size,
            DesiredCapacity=size,
            LaunchTemplate={
                "LaunchTemplateId": self.template(name, image),
                "Version": "1",
            },
            VPCZoneIdentifier=",".join(self.subnets),
            TargetGroupARNs=[target_group] if target_group else [],
            HealthCheckType="ELB" if target_group else "EC2",
            HealthCheckGracePeriod=0,
        )

    def described(self, name: str) -> "AutoScalingGroupTypeDef":
        """Return a group as AWS tells it."""
        found = self.autoscaling.describe_auto_scaling_groups(
            AutoScalingGroupNames=[name]
        )
        return found["AutoScalingGroups"][0]

    def activities(self, name: str) -> "list[ActivityTypeDef]":
        """Return a group's scaling activities, the newest first."""
        found = self.autoscaling.describe_scaling_activities(AutoScalingGroupName=name)
        return found["Activities"]

    def instances(self) -> "list[InstanceTypeDef]":
        """Return every instance of the account, ended ones too."""
        found = self.ec2.describe_instances()["Reservations"]
        return [instance for each in found for instance in each["Instances"]]

    def members(self, name: str) -> list[tuple[str, str]]:
        """Return the id and the lifecycle state of each instance of a group."""
        instances = self.described(name)["Instances"]
        return [(each["InstanceId"], each["LifecycleState"]) for each in instances]

    def in_service(self, name: str) -> set[str]:
        """Return which instances of a group are in service."""
        return {each for each, state in self.members(name) if state == "InService"}

    def rule(self, priority: int, target_group: str, path: str = "*") -> str:
        """Send everything, or a path, to a target group, and return the rule's ARN."""
        found = self.elbv2.create_rule(
            ListenerArn=self.listener,
            Priority=priority,
            Conditions=[{"Field": "path-pattern", "Values": [path]}],
            Actions=[{"Type": "forward", "TargetGroupArn": target_group}],
        )
        return found["Rules"][0]["RuleArn"]

    def rules(self) -> "list[RuleTypeDef]":
        """Return the listener's rules as AWS tells them, the default one left out."""
        rows = self.elbv2.describe_rules(ListenerArn=self.listener)["Rules"]
        return [row for row in rows if not row["IsDefault"]]

    def target_groups(self) -> set[str]:
        """Return the names of all target groups."""
        rows = self.elbv2.describe_target_groups()["TargetGroups"]
        return {row["TargetGroupName"] for row in rows}

    def displace(self, target_group: str) -> None:
        """Delete a target group, and the rules that name it."""
        for row in self.rules():
            if target_group in str(row["Actions"]):
                self.elbv2.delete_rule(RuleArn=row["RuleArn"])
        self.elbv2.delete_target_group(TargetGroupArn=target_group)

    def health(self, target_group: str) -> Counter[str]:
        """Return how many targets are in each state of health."""
        found = self.elbv2.describe_target_health(TargetGroupArn=target_group)
        told = [each["TargetHealth"] for each in found["TargetHealthDescriptions"]]
        return Counter(each["State"] for each in told)

    def serve(self, name: str, behaviour: str, priority: int, size: int = 3) -> str:
        """Bring a fleet of some behaviour into traffic, whole and healthy."""
        target_group = self.target_group(name)
        self.group(name, self.image(behaviour), size, target_group=target_group)
        self.until(lambda: len(self.in_service(name)) == size)
        self.rule(priority, target_group)
        self.until(lambda: self.health(target_group)["healthy"] == size)
        return target_group

    def until(self, good: Callable[[], T], timeout_s: float = WAIT_S) -> T:
        """Wait until something holds, and return what it gave.

        Raises:
            TimeoutError: it did not come to hold.
        """
        deadline = time.monotonic() + timeout_s
        while not (found := good()):
            if time.monotonic() > deadline:
                raise TimeoutError(f"not within {timeout_s} s; last seen: {found!r}")
            time.sleep(0.02)
        return found


@functools.cache
def _clients(url: str) -> "Clients":
    """Return clients, the same ones for each account: making one takes half a second."""
    session = session_of()
    return (
        session.client("ec2", endpoint_url=url, config=ONCE),
        session.client("elbv2", endpoint_url=url, config=ONCE),
        session.client("autoscaling", endpoint_url=url, config=ONCE),
        session.client("cloudwatch", endpoint_url=url, config=ONCE),
    )


@functools.cache
def session_of(key: str = KEY) -> boto3.Session:
    """Return a session of an access key; of which there are as many as one likes."""
    return boto3.Session(
        aws_access_key_id=key, aws_secret_access_key=SECRET, region_name=REGION
    )


def settings(url: str) -> dict[str, str]:
    """Return what the SDK reads from the environment, naming an emulator by its URL.

    Unset ``AWS_PROFILE``, ``AWS_REGION`` and ``AWS_DEFAULT_REGION`` beside it.
    """
    return {
        "AWS_ENDPOINT_URL": url,
        "AWS_ACCESS_KEY_ID": KEY,
        "AWS_SECRET_ACCESS_KEY": SECRET,
        "AWS_EC2_METADATA_DISABLED": "true",
    }


def _listen(
    elbv2: "ElasticLoadBalancingv2Client",
    balancer: str,
    vpc: str,
    kind: Kind,
    port: int,
) -> str:
    is_network = kind == "network"
    made = elbv2.create_listener(
        LoadBalancerArn=balancer,
        Protocol="TCP" if is_network else "HTTP",
        Port=port,
        DefaultActions=[_theirs(elbv2, vpc, port) if is_network else _UNAVAILABLE],
    )
    return made["Listeners"][0]["ListenerArn"]


def _theirs(
    elbv2: "ElasticLoadBalancingv2Client", vpc: str, port: int
) -> "ActionTypeDef":
    group = elbv2.create_target_group(
        Name=f"theirs-{port}", Protocol="TCP", Port=8080, VpcId=vpc
    )["TargetGroups"][0]["TargetGroupArn"]
    return {"Type": "forward", "TargetGroupArn": group}


def _subnets(ec2: "EC2Client", emulator: Emulator, vpc: str) -> list[str]:
    first, second, *_ = emulator.network.split(".")
    return [
        ec2.create_subnet(
            VpcId=vpc,
            CidrBlock=f"{first}.{second}.{16 * number}.0/20",
            AvailabilityZone=f"{REGION}{zone}",
        )["Subnet"]["SubnetId"]
        for number, zone in enumerate("abc")
    ]
