"""The target group of a fleet that is to be destroyed: the provider's own guard.

It deletes no target group that a rule names, and no rule can name one that is gone: "You can
delete a target group if it is not referenced by any actions" (model of DeleteTargetGroup,
2015-12-01). So whoever has deleted it may destroy what was behind it, whatever is in flight.
"""

from functools import partial
from typing import TYPE_CHECKING, Unpack

from immutable.errors import BackendError, Conflict, Taken
from immutable.model import FleetName
from immutable_aws.errors import said
from immutable_aws.rules.balancers import balancing_of
from immutable_aws.rules.parting import part
from immutable_aws.session import Aws
from immutable_aws.tagging import is_ours, pairs_of

if TYPE_CHECKING:
    from mypy_boto3_elbv2.type_defs import (
        DescribeTargetGroupsInputTypeDef,
        TargetGroupTypeDef,
    )

_ABSENT = "TargetGroupNotFound"
_IN_USE = "ResourceInUse"


class Unplacing:
    """The places of one account and region, as far as retiring takes them away."""

    def __init__(self, aws: Aws) -> None:
        self._aws = aws
        self._balancing = balancing_of(aws)

    def delete(self, place: str, *, of: FleetName) -> None:
        """Delete a fleet's own target group; one that is gone is no error.

        One of another name is somebody else's, and stays. One that AWS calls in use, though
        no load balancer routes to it, is waited for: its last rule has just gone.

        Raises:
            Conflict: a rule names it still.
        """
        if f":targetgroup/{of}/" in place:
            part(partial(self._delete, place, of), partial(self._is_routed_to, place))

    def delete_named(self, fleet: FleetName) -> None:
        """Delete a fleet's target group, if there is one, found by its name.

        One that was made in this process a moment ago need not be found so yet: it is known.

        Raises:
            Conflict: a rule names it still.
            Taken: it is not ours.
        """
        rows = self._described(fleet, Names=[fleet])
        for group in rows:
            if arn := group.get("TargetGroupArn"):
                self._require_ours(fleet, arn)
                self.delete(arn, of=fleet)
        made = self._balancing.made_lately(fleet)
        if made and not rows:
            self.delete(made, of=fleet)

    def _delete(self, place: str, fleet: FleetName) -> None:
        try:
            self._balancing.delete(place)
        except BackendError as exc:
            if said(exc) == _IN_USE:
                raise _in_use(fleet) from exc
            raise

    def _is_routed_to(self, place: str) -> bool:
        """Look whether a load balancer has a rule or listener for a group.

        "The Amazon Resource Name (ARN) of the load balancer that routes traffic to this
        target group" (model of `TargetGroup.LoadBalancerArns`, 2015-12-01).
        """
        rows = self._described(place, TargetGroupArns=[place])
        return any(row.get("LoadBalancerArns") for row in rows)

    def _described(
        self, about: str, **asked: "Unpack[DescribeTargetGroupsInputTypeDef]"
    ) -> "list[TargetGroupTypeDef]":
        try:
            return self._aws.read(
                "elbv2.DescribeTargetGroups",
                about,
                lambda: self._aws.reads.elbv2.describe_target_groups(**asked),
            )["TargetGroups"]
        except BackendError as exc:
            if said(exc) != _ABSENT:
                raise
            return []

    def _require_ours(self, fleet: FleetName, place: str) -> None:
        answer = self._aws.read(
            "elbv2.DescribeTags",
            fleet,
            lambda: self._aws.reads.elbv2.describe_tags(ResourceArns=[place]),
        )
        rows = (tag for row in answer["TagDescriptions"] for tag in row.get("Tags", []))
        if not is_ours(pairs_of(rows)):
            raise not_ours(fleet)


def not_ours(fleet: FleetName) -> Taken:
    """Return the error that something of a fleet's name is somebody else's."""
    return Taken(
        f"{fleet} is not ours: it has no such tags",
        hint="it was left alone; whoever made it has to delete it",
        operation="fleets.retire",
        resource=fleet,
        backend="aws",
    )


def _in_use(fleet: FleetName) -> Conflict:
    return Conflict(
        f"{fleet} has its place at the switch still",
        hint="detach it first",
        operation="fleets.retire",
        resource=fleet,
        backend="aws",
    )
