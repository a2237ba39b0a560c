"""Where a fleet's instances are put: subnets of the network that its load balancer is in."""

import threading

from immutable.errors import BackendError, InvalidInput, Unavailable
from immutable.model import FleetSpec, ServiceName
from immutable_aws.config import AwsConfig
from immutable_aws.errors import NAME, said
from immutable_aws.rules.balancers import Placed, balancing_of
from immutable_aws.session import Aws

_NO_GROUP = "TargetGroupNotFound"
_UNKNOWN = frozenset({"InvalidSubnetID.NotFound", "InvalidSubnetId.Malformed"})


class Subnets:
    """The subnets of each service's fleets, found out once in a process."""

    def __init__(self, config: AwsConfig, aws: Aws) -> None:
        self._config = config
        self._aws = aws
        self._balancing = balancing_of(aws)
        self._found: dict[ServiceName, tuple[str, ...]] = {}
        self._lock = threading.Lock()

    def of(self, spec: FleetSpec) -> tuple[str, ...]:
        """Return where a fleet is launched.

        Raises:
            InvalidInput: nobody says where, or some are not in the network of the
                fleet's place at the switch.
        """
        with self._lock:
            if spec.tags.service not in self._found:
                self._found[spec.tags.service] = self._find(spec.place)
            return self._found[spec.tags.service]

    def _find(self, place: str | None) -> tuple[str, ...]:
        if place is None:
            return self._config.subnets or _nowhere()
        where = self._place(place)
        if not self._config.subnets:
            balancer = where.balancer and self._balancing.find(where.balancer)
            return balancer.subnets if balancer else _nowhere()
        self._check(self._config.subnets, where.vpc)
        return self._config.subnets

    def _place(self, place: str) -> Placed:
        try:
            return self._balancing.place(place)
        except BackendError as exc:
            if said(exc) != _NO_GROUP:
                raise
            raise _unseen(place) from exc

    def _check(self, subnets: tuple[str, ...], vpc: str) -> None:
        strangers = [name for name, there in self._vpcs(subnets) if there != vpc]
        if strangers:
            raise InvalidInput(
                f"{', '.join(strangers)}: not in {vpc}, where the load balancer is",
                hint="name subnets of the load balancer's own network",
            )

    def _vpcs(self, subnets: tuple[str, ...]) -> list[tuple[str, str]]:
        try:
            answer = self._aws.read(
                "ec2.DescribeSubnets",
                ", ".join(subnets),
                lambda: self._aws.reads.ec2.describe_subnets(SubnetIds=list(subnets)),
            )
        except BackendError as exc:
            if said(exc) not in _UNKNOWN:
                raise
            raise InvalidInput(exc.message, hint="check the subnets' ids") from exc
        return [(row["SubnetId"], row["VpcId"]) for row in answer["Subnets"]]


def _nowhere() -> tuple[str, ...]:
    raise InvalidInput(
        "nobody says in which subnets instances are to be launched",
        hint="name them: aws://region?subnets=subnet-…,subnet-…",
    )


def _unseen(place: str) -> Unavailable:
    # The switch made it a moment ago, and readings lag behind.
    return Unavailable(
        f"the load balancer does not show {place} yet, where the fleet is to be launched",
        hint="launch again; if it stays unseen, somebody has deleted it",
        operation="elbv2.DescribeTargetGroups",
        resource=place,
        backend=NAME,
        retryable=True,
    )
