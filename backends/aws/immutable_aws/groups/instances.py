"""What EC2 says of a group's instances: read for the whole group at once, then kept.

Auto Scaling names its group on every instance that it launches, by the reserved tag
``aws:autoscaling:groupName``
(https://docs.aws.amazon.com/autoscaling/ec2/userguide/ec2-auto-scaling-tagging.html).
"""

from collections.abc import Collection, Iterable, Mapping
from datetime import UTC, datetime
from functools import cache
from typing import TYPE_CHECKING

import attrs

from immutable.model import FleetName, ImageId, InstanceId
from immutable_aws.session import Aws

if TYPE_CHECKING:
    from mypy_boto3_ec2.type_defs import FilterTypeDef, InstanceTypeDef

_GROUP = "tag:aws:autoscaling:groupName"
_PAGE = 1000
"""The most that DescribeInstances returns at once."""
_DEAD = frozenset({"shutting-down", "terminated", "stopping", "stopped"})
_OVER = "terminated"


@attrs.frozen(kw_only=True)
class Facts:
    """One instance; all but its state stays the same for as long as it lives."""

    address: str | None
    image: ImageId | None
    launched_at: datetime | None
    state: str
    """As EC2 names it."""
    tags: tuple[tuple[str, str], ...] = ()

    @property
    def is_dead(self) -> bool:
        """Return whether it serves nobody any more."""
        return self.state in _DEAD

    @property
    def is_over(self) -> bool:
        """Return whether nothing of it is left but a line in the provider's lists."""
        return self.state == _OVER


class Instances:
    """The instances of one account and region, by group."""

    def __init__(self, aws: Aws) -> None:
        self._aws = aws
        self._known: dict[FleetName, Mapping[InstanceId, Facts]] = {}

    def facts(
        self, fleet: FleetName, ids: Collection[InstanceId], *, afresh: bool = False
    ) -> Mapping[InstanceId, Facts]:
        """Return what is known of a group's instances, without a call where all is.

        Args:
            fleet: the group's name.
            ids: which ones; those that EC2 does not list yet are left out.
            afresh: their states matter, which may have changed.
        """
        known = self._known.get(fleet, {})
        if afresh or not all(i in known and known[i].address for i in ids):
            known = self.read(fleet)
        kept = {i: known[i] for i in ids if i in known}
        self._known[fleet] = kept
        return kept

    def forget(self, fleet: FleetName) -> None:
        """Forget a group that is gone."""
        self._known.pop(fleet, None)

    def read(self, fleet: FleetName) -> dict[InstanceId, Facts]:
        """Return every instance that a group has launched, by pages of 1,000.

        Those that were terminated stay in EC2's lists for a while.
        """
        return self.found([{"Name": _GROUP, "Values": [fleet]}], about=fleet)

    def found(
        self, filters: "list[FilterTypeDef]", *, about: str
    ) -> dict[InstanceId, Facts]:
        """Return the instances that pass EC2's own filters, by pages of 1,000."""
        rows = self._aws.read(
            "ec2.DescribeInstances", about, lambda: list(self._rows(filters))
        )
        return {InstanceId(row["InstanceId"]): _facts(row) for row in rows}

    def _rows(self, filters: "list[FilterTypeDef]") -> "Iterable[InstanceTypeDef]":
        pages = self._aws.reads.ec2.get_paginator("describe_instances").paginate(
            Filters=filters, PaginationConfig={"PageSize": _PAGE}
        )
        for page in pages:
            for reservation in page["Reservations"]:
                yield from reservation.get("Instances", [])


@cache
def instances_of(aws: Aws) -> Instances:
    """Return the instances of an account and region, shared by all that speak to it."""
    return Instances(aws)


def _facts(row: "InstanceTypeDef") -> Facts:
    image, launched = row.get("ImageId"), row.get("LaunchTime")
    return Facts(
        address=row.get("PrivateIpAddress"),
        image=ImageId(image) if image else None,
        launched_at=launched.astimezone(UTC) if launched else None,
        state=row.get("State", {}).get("Name", ""),
        tags=tuple((tag["Key"], tag["Value"]) for tag in row.get("Tags", [])),
    )
