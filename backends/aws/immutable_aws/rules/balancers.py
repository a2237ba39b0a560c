"""Load balancers and the places behind them: what several parts of a process want to know.

Whoever reads it first tells the others, for a minute: where a load balancer is, and where a
target group is, does not change in the life of either.
"""

from datetime import datetime, timedelta
from functools import cache
from typing import TYPE_CHECKING

import attrs

from immutable import host
from immutable.errors import BackendError
from immutable_aws.errors import said
from immutable_aws.session import Aws

if TYPE_CHECKING:
    from mypy_boto3_elbv2.type_defs import LoadBalancerTypeDef

_LISTENER, _BALANCER = ":listener/", ":loadbalancer/"
_KEPT = timedelta(minutes=1)
_ABSENT = "TargetGroupNotFound"


@attrs.frozen(kw_only=True)
class Balancer:
    """A load balancer."""

    arn: str
    host: str
    """Its name in the DNS."""
    vpc: str
    subnets: tuple[str, ...]
    scheme: str = ""
    """``internet-facing`` or ``internal``; empty where AWS does not say."""


@attrs.frozen(kw_only=True)
class Placed:
    """Where a target group is."""

    vpc: str
    balancer: str
    """The ARN of the load balancer that has rules for it; empty: none has."""


class Balancing:
    """The load balancers and target groups of one account and region."""

    def __init__(self, aws: Aws) -> None:
        self._aws = aws
        self._balancers: dict[str, tuple[datetime, Balancer]] = {}
        self._places: dict[str, tuple[datetime, Placed]] = {}
        self._made: dict[str, tuple[datetime, str]] = {}
        self._gone: set[str] = set()

    def find(self, named: str) -> Balancer:
        """Return a load balancer by its ARN, without a call where it was read lately.

        One found by its name is asked for each time: another may have that name by now.

        Raises:
            BackendError: ``LoadBalancerNotFound``.
        """
        known = self._balancers.get(named)
        if known is not None and not _is_old(known[0]):
            return known[1]
        asked_at = host.current().now()
        found = _balancer(self._described(named))
        self._balancers[found.arn] = asked_at, found
        return found

    def place(self, group: str) -> Placed:
        """Return where a target group is; one call, or none.

        Raises:
            BackendError: ``TargetGroupNotFound``.
        """
        known = self._places.get(group)
        if known is not None and not _is_old(known[0]):
            return known[1]
        row = self._aws.read(
            "elbv2.DescribeTargetGroups",
            group,
            lambda: self._aws.reads.elbv2.describe_target_groups(
                TargetGroupArns=[group]
            ),
        )["TargetGroups"][0]
        balancers = row.get("LoadBalancerArns", [])
        return Placed(vpc=row.get("VpcId", ""), balancer=(*balancers, "")[0])

    def placed(self, group: str, where: Placed) -> None:
        """Keep where a target group is: a rule for it has just been made."""
        self._places[group] = host.current().now(), where

    def made(self, name: str, group: str) -> None:
        """Keep the ARN of a target group that has just been made."""
        self._made[name] = host.current().now(), group

    def made_lately(self, name: str) -> str | None:
        """Return the ARN of a target group that was made within the last minute, and stands.

        A reading by its name may be older than the group: what was made is not known
        everywhere at once (hashicorp/terraform-provider-aws, issue 19920).
        """
        found = self._made.get(name)
        if found is None or _is_old(found[0]) or found[1] in self._gone:
            return None
        return found[1]

    def delete(self, group: str) -> None:
        """Delete a target group; one that is gone is no error.

        No other ever gets its ARN: one whose deletion was acknowledged costs no call.

        Raises:
            BackendError: ``ResourceInUse``, a rule or a listener names it.
        """
        if group in self._gone:
            return
        try:
            self._aws.change(
                "elbv2.DeleteTargetGroup",
                group,
                lambda: self._aws.changes.elbv2.delete_target_group(
                    TargetGroupArn=group
                ),
            )
        except BackendError as exc:
            if said(exc) != _ABSENT:
                raise
        else:
            self._gone.add(group)
        self._places.pop(group, None)

    def _described(self, named: str) -> "LoadBalancerTypeDef":
        elbv2 = self._aws.reads.elbv2
        by_arn = named.startswith("arn:")
        return self._aws.read(
            "elbv2.DescribeLoadBalancers",
            named,
            lambda: (
                elbv2.describe_load_balancers(LoadBalancerArns=[named])
                if by_arn
                else elbv2.describe_load_balancers(Names=[named])
            ),
        )["LoadBalancers"][0]


@cache
def balancing_of(aws: Aws) -> Balancing:
    """Return what is known of an account and region, shared by all that speak to it."""
    return Balancing(aws)


def balancer_of(listener: str) -> str:
    """Return the ARN of a listener's load balancer, which is a part of the listener's own.

    ``…:listener/app/web/50dc6c495c0c9188/f2f7dc8efc522ab2`` is a listener of
    ``…:loadbalancer/app/web/50dc6c495c0c9188``.
    """
    return listener.rpartition("/")[0].replace(_LISTENER, _BALANCER, 1)


def _is_old(at: datetime) -> bool:
    return host.current().now() - at >= _KEPT


def _balancer(row: "LoadBalancerTypeDef") -> Balancer:
    zones = row.get("AvailabilityZones", [])
    return Balancer(
        arn=row["LoadBalancerArn"],
        host=row["DNSName"],
        vpc=row["VpcId"],
        scheme=row.get("Scheme", ""),
        subnets=tuple(sorted(z["SubnetId"] for z in zones if "SubnetId" in z)),
    )
