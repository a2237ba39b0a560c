"""Target groups: a fleet's place at a load balancer, with its members and their health.

A group is called like its fleet, so that it can be found by name, and carries our tags.
"Each target group can be used with only one load balancer", and one that no rule or
listener names is not probed: its targets are ``unused`` (botocore's model of `TargetHealth`).
A group without one healthy target "fails open": it sends requests to all of them, so that
only `health` says whether a fleet is ready
(https://docs.aws.amazon.com/elasticloadbalancing/latest/application/target-group-health-checks.html).
"""

from datetime import timedelta
from typing import TYPE_CHECKING

import attrs

from immutable.errors import BackendError, Conflict, InvalidInput, Taken, Unavailable
from immutable.model import FleetName, HealthCheck, LedgerId, ServiceName
from immutable_aws.errors import NAME, said
from immutable_aws.rules.balancers import balancing_of
from immutable_aws.rules.slots import FLEET, LEDGER, ROLE, SERVICE
from immutable_aws.session import Aws

if TYPE_CHECKING:
    from mypy_boto3_elbv2.literals import ProtocolEnumType
    from mypy_boto3_elbv2.type_defs import (
        CreateTargetGroupInputTypeDef,
        TagTypeDef,
    )

LONGEST_NAME = 32
_DELAY = "deregistration_delay.timeout_seconds"
_INTERVAL_S, _TIMEOUT_S = 5, 4
_PASSES, _FAILURES = 2, 2
_ANSWERED = "200-499"
"""What counts as ready where no path is given: any answer but a server's error."""
_WELL = "200-399"
_GONE = "TargetGroupNotFound"


@attrs.frozen(kw_only=True)
class Wanted:
    """A group that is to be there."""

    fleet: FleetName
    service: ServiceName
    owner: LedgerId
    vpc: str
    protocol: "ProtocolEnumType"
    port: int
    health: HealthCheck

    @property
    def tags(self) -> "list[TagTypeDef]":
        """Return its tags."""
        named = {
            SERVICE: self.service,
            LEDGER: self.owner,
            FLEET: self.fleet,
            ROLE: "place",
        }
        return [{"Key": key, "Value": named[key]} for key in sorted(named)]


class TargetGroups:
    """The target groups of one service, by calls."""

    def __init__(self, aws: Aws, service: ServiceName) -> None:
        self._aws = aws
        self._balancing = balancing_of(aws)
        self._service = service

    def make(self, wanted: Wanted, *, drain: timedelta) -> str:
        """Make a group, or find the one that was made before, and return its ARN.

        "If you attempt to create multiple target groups with the same settings, each call
        succeeds"; with others, the name is a duplicate.

        Raises:
            InvalidInput: the name does not fit.
            Taken: a group of this name is somebody else's, or has other settings.
            Unavailable: it was made, and is not known yet to the next call, as seen in
                hashicorp/terraform-provider-aws, issue 19920; to be repeated.
        """
        if len(wanted.fleet) > LONGEST_NAME:
            message = (
                f"{wanted.fleet} is longer than {LONGEST_NAME}, as target groups are"
            )
            raise InvalidInput(message, hint="choose a shorter service name")
        try:
            arn = self._create(wanted)
        except Taken:
            arn = self._found_again(wanted)
        try:
            self.delay(arn, drain)
        except BackendError as exc:
            if said(exc) != _GONE:
                raise
            raise _unseen(wanted.fleet) from exc
        return arn

    def delay(self, arn: str, drain: timedelta) -> None:
        """Set how long a target that leaves may go on with what it has begun."""
        self._aws.change(
            "elbv2.ModifyTargetGroupAttributes",
            arn,
            lambda: self._aws.changes.elbv2.modify_target_group_attributes(
                TargetGroupArn=arn,
                Attributes=[{"Key": _DELAY, "Value": str(int(drain.total_seconds()))}],
            ),
        )

    def delayed(self, arn: str) -> timedelta:
        """Return how long a target that leaves may go on: what is set now."""
        rows = self._aws.read(
            "elbv2.DescribeTargetGroupAttributes",
            arn,
            lambda: self._aws.reads.elbv2.describe_target_group_attributes(
                TargetGroupArn=arn
            ),
        )["Attributes"]
        found = {row.get("Key", ""): row.get("Value", "") for row in rows}
        return timedelta(seconds=int(found.get(_DELAY, "300")))

    def find(self, fleet: FleetName) -> str | None:
        """Return the ARN of this service's group for a fleet; None: there is none.

        A group of the same name without our tags is somebody else's. One that was made here
        a moment ago is there, whether or not AWS finds it by its name already.
        """
        try:
            rows = self._aws.read(
                "elbv2.DescribeTargetGroups",
                fleet,
                lambda: self._aws.reads.elbv2.describe_target_groups(Names=[fleet]),
            )["TargetGroups"]
        except BackendError as exc:
            if said(exc) != _GONE:
                raise
            return self._balancing.made_lately(fleet)
        arn = rows[0]["TargetGroupArn"]
        return arn if self._tags(arn).get(SERVICE) == self._service else None

    def delete(self, arn: str) -> None:
        """Delete a group; one that is gone is no error: see `Balancing.delete`.

        Raises:
            Conflict: a rule or a listener names it; nothing was changed.
        """
        try:
            self._balancing.delete(arn)
        except BackendError as exc:
            if said(exc) == "ResourceInUse":
                raise _in_use(arn) from exc
            raise

    def _create(self, wanted: Wanted) -> str:
        request = _request(wanted)
        answer = self._aws.change(
            "elbv2.CreateTargetGroup",
            wanted.fleet,
            lambda: self._aws.changes.elbv2.create_target_group(**request),
        )
        arn = answer["TargetGroups"][0].get("TargetGroupArn", "")
        self._balancing.made(wanted.fleet, arn)
        return arn

    def _found_again(self, wanted: Wanted) -> str:
        arn = self.find(wanted.fleet)
        if arn is None or not self._is_alike(arn, wanted):
            raise Taken(
                f"a target group {wanted.fleet} is there, and not as wanted",
                hint="delete it, if nobody needs it",
                operation="switch.attach",
                resource=wanted.fleet,
                backend=NAME,
            )
        return arn

    def _is_alike(self, arn: str, wanted: Wanted) -> bool:
        rows = self._aws.read(
            "elbv2.DescribeTargetGroups",
            arn,
            lambda: self._aws.reads.elbv2.describe_target_groups(TargetGroupArns=[arn]),
        )["TargetGroups"]
        found = rows[0]
        return (
            found.get("VpcId") == wanted.vpc
            and found.get("Protocol") == wanted.protocol
            and found.get("Port") == wanted.port
            and found.get("HealthCheckPort") == str(wanted.health.port)
            and found.get("HealthCheckPath", "/") == (wanted.health.path or "/")
        )

    def _tags(self, arn: str) -> dict[str, str]:
        rows = self._aws.read(
            "elbv2.DescribeTags",
            arn,
            lambda: self._aws.reads.elbv2.describe_tags(ResourceArns=[arn]),
        )["TagDescriptions"]
        return {t["Key"]: t.get("Value", "") for row in rows for t in row["Tags"]}


def _request(wanted: Wanted) -> "CreateTargetGroupInputTypeDef":
    health = wanted.health
    request: CreateTargetGroupInputTypeDef = {
        "Name": wanted.fleet,
        "Protocol": wanted.protocol,
        "Port": wanted.port,
        "VpcId": wanted.vpc,
        "TargetType": "instance",
        "HealthCheckProtocol": "TCP",
        "HealthCheckPort": str(health.port),
        "HealthCheckIntervalSeconds": _INTERVAL_S,
        "HealthCheckTimeoutSeconds": _TIMEOUT_S,
        "HealthyThresholdCount": _PASSES,
        "UnhealthyThresholdCount": _FAILURES,
        "Tags": wanted.tags,
    }
    # "the TCP protocol is not supported for health checks if the protocol of the target
    # group is HTTP": then any answer but a server's error will do
    if wanted.protocol == "HTTP" or health.path:
        request["HealthCheckProtocol"] = "HTTP"
        request["HealthCheckPath"] = health.path or "/"
        request["Matcher"] = {"HttpCode": _WELL if health.path else _ANSWERED}
    return request


def _unseen(fleet: FleetName) -> Unavailable:
    return Unavailable(
        f"the target group {fleet} was made, and is not known everywhere yet",
        hint="attach again",
        operation="switch.attach",
        resource=fleet,
        backend=NAME,
        retryable=True,
    )


def _in_use(arn: str) -> Conflict:
    return Conflict(
        "the target group is still named by a rule or a listener",
        hint="read the switch again: something moved",
        operation="switch.detach",
        resource=arn,
        backend=NAME,
    )
