"""The target group of a fleet that is to be destroyed: the provider's own guard.

It deletes no target group that a rule names, and no rule can name one that is gone: "You can
delete a target group if it is not referenced by any actions" (model of DeleteTargetGroup,
2015-12-01). So whoever has deleted it may destroy what was behind it, whatever is in flight.
"""

from immutable.errors import BackendError, Conflict, Taken
from immutable.model import FleetName
from immutable_aws.errors import said
from immutable_aws.rules.balancers import balancing_of
from immutable_aws.session import Aws
from immutable_aws.tagging import is_ours, pairs_of

_ABSENT = "TargetGroupNotFound"
_IN_USE = "ResourceInUse"


class Unplacing:
    """The places of one account and region, as far as retiring takes them away."""

    def __init__(self, aws: Aws) -> None:
        self._aws = aws
        self._balancing = balancing_of(aws)

    def delete(self, place: str, *, of: FleetName) -> None:
        """Delete a fleet's own target group; one that is gone is no error.

        One of another name is somebody else's, and stays.

        Raises:
            Conflict: a rule names it still.
        """
        if f":targetgroup/{of}/" not in place:
            return
        try:
            self._balancing.delete(place)
        except BackendError as exc:
            if said(exc) == _IN_USE:
                raise _in_use(of) from exc
            raise

    def delete_named(self, fleet: FleetName) -> None:
        """Delete a fleet's target group, if there is one, found by its name.

        One that was made in this process a moment ago need not be found so yet: it is known.

        Raises:
            Conflict: a rule names it still.
            Taken: it is not ours.
        """
        try:
            answer = self._aws.read(
                "elbv2.DescribeTargetGroups",
                fleet,
                lambda: self._aws.reads.elbv2.describe_target_groups(Names=[fleet]),
            )
        except BackendError as exc:
            if said(exc) != _ABSENT:
                raise
            if made := self._balancing.made_lately(fleet):
                self.delete(made, of=fleet)
            return
        for group in answer["TargetGroups"]:
            if arn := group.get("TargetGroupArn"):
                self._require_ours(fleet, arn)
                self.delete(arn, of=fleet)

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
