"""What an account has before the first deployment, where a fixture of one test won't do."""

import functools
import ipaddress
from typing import Any

import attrs
import boto3
import pytest

from immutable.model import InstanceId, Member

REGION = "eu-west-1"
PORT = 8080
_FIRST = 8000


@attrs.frozen(kw_only=True)
class Estate:
    """A network, a load balancer with one listener, and an image that answers."""

    emulator: Any
    region: str
    network: str
    subnets: tuple[str, ...]
    load_balancer: str
    listener: str
    kind: str
    image: str
    ec2: Any
    elbv2: Any

    def servers(self, count: int) -> tuple[Member, ...]:
        """Launch instances, wait until they run, and return them as members."""
        launched = self.ec2.run_instances(
            ImageId=self.image,
            InstanceType="t3.micro",
            MinCount=count,
            MaxCount=count,
            SubnetId=self.subnets[0],
        )["Instances"]
        ids = [each["InstanceId"] for each in launched]
        settings = {"Delay": 1, "MaxAttempts": 30}
        self.ec2.get_waiter("instance_running").wait(
            InstanceIds=ids, WaiterConfig=settings
        )
        return tuple(
            Member(
                instance=InstanceId(each["InstanceId"]),
                address=each["PrivateIpAddress"],
                port=PORT,
            )
            for each in launched
        )

    def listener_at(self, number: int) -> str:
        """Return the n-th listener of the load balancer, made when it is first asked for."""
        rows = self.elbv2.describe_listeners(LoadBalancerArn=self.load_balancer)
        known = {row["Port"]: row["ListenerArn"] for row in rows["Listeners"]}
        if (port := _FIRST + number) in known:
            return str(known[port])
        return _listen(self.elbv2, self.load_balancer, self.network, self.kind, port)

    def rules(self) -> list[Any]:
        """Return the listener's rules, as AWS tells them, the default one left out."""
        rows = self.elbv2.describe_rules(ListenerArn=self.listener)["Rules"]
        return [row for row in rows if not row["IsDefault"]]

    def groups(self) -> set[str]:
        """Return the names of all target groups."""
        rows = self.elbv2.describe_target_groups()["TargetGroups"]
        return {row["TargetGroupName"] for row in rows}


@functools.cache
def _client(service: str, url: str) -> Any:
    return boto3.client(service, endpoint_url=url, region_name=REGION)  # type: ignore[call-overload]  # by name


def found(
    emulator: Any, patch: pytest.MonkeyPatch, *, kind: str = "application"
) -> Estate:
    """Found an estate in an emulated AWS, which the SDK's own settings then name."""
    for name in ("AWS_PROFILE", "AWS_REGION", "AWS_DEFAULT_REGION", "HTTP_PROXY"):
        patch.delenv(name, raising=False)
    patch.setenv("AWS_ACCESS_KEY_ID", "testing")
    patch.setenv("AWS_SECRET_ACCESS_KEY", "testing")
    patch.setenv("AWS_ENDPOINT_URL", emulator.url)
    # clients take long to make, and keep nothing: those of one emulator are shared
    patch.setenv("AWS_EXECUTION_ENV", "estate")
    ec2, elbv2 = _client("ec2", emulator.url), _client("elbv2", emulator.url)
    vpc = ec2.create_vpc(CidrBlock=emulator.network)["Vpc"]["VpcId"]
    blocks = ipaddress.ip_network(emulator.network).subnets(new_prefix=20)
    subnets = tuple(
        ec2.create_subnet(
            VpcId=vpc, CidrBlock=str(block), AvailabilityZone=f"{REGION}{zone}"
        )["Subnet"]["SubnetId"]
        for block, zone in zip(blocks, "ab", strict=False)
    )
    balancer = elbv2.create_load_balancer(Name="web", Subnets=list(subnets), Type=kind)
    arn = balancer["LoadBalancers"][0]["LoadBalancerArn"]
    emulator.configure(image_s=0)
    image = ec2.register_image(
        Name="good", RootDeviceName="/dev/xvda", Architecture="x86_64"
    )["ImageId"]
    return Estate(
        emulator=emulator,
        region=REGION,
        network=vpc,
        subnets=subnets,
        load_balancer=arn,
        listener=_listen(elbv2, arn, vpc, kind, _FIRST),
        kind=kind,
        image=image,
        ec2=ec2,
        elbv2=elbv2,
    )


def _listen(elbv2: Any, balancer: str, vpc: str, kind: str, port: int) -> str:
    if kind == "application":
        protocol, action = (
            "HTTP",
            {
                "Type": "fixed-response",
                "FixedResponseConfig": {
                    "StatusCode": "404",
                    "ContentType": "text/plain",
                },
            },
        )
    else:
        group = elbv2.create_target_group(
            Name=f"theirs-{port}", Protocol="TCP", Port=PORT, VpcId=vpc
        )["TargetGroups"][0]["TargetGroupArn"]
        protocol, action = "TCP", {"Type": "forward", "TargetGroupArn": group}
    made = elbv2.create_listener(
        LoadBalancerArn=balancer, Protocol=protocol, Port=port, DefaultActions=[action]
    )
    return str(made["Listeners"][0]["ListenerArn"])
