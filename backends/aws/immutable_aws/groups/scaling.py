"""Scaling policies, their alarms, and scheduled actions of one group, copied to another.

Reading both groups is four calls; where they agree, that is all. A group that was made in this
process, and has not been given any rules yet, is read only where there are some to be copied.
"""

from collections.abc import Iterable
from typing import TYPE_CHECKING, TypeVar

from immutable import host
from immutable.errors import BackendError
from immutable.model import FleetName
from immutable_aws.groups.alarms import Alarms
from immutable_aws.groups.calls import gone_is_fine
from immutable_aws.groups.copying import Action, Policy, actions_for, policies_for
from immutable_aws.groups.group import Group
from immutable_aws.session import Aws

if TYPE_CHECKING:
    from mypy_boto3_autoscaling.type_defs import (
        FailedScheduledUpdateGroupActionRequestTypeDef,
        ScalingPolicyTypeDef,
        ScheduledUpdateGroupActionTypeDef,
    )

_BATCH = 50
"""The most that BatchPutScheduledUpdateGroupAction and its opposite take at once."""
_T = TypeVar("_T")


class Rules:
    """By what the groups of one account and region scale themselves."""

    def __init__(self, aws: Aws) -> None:
        self._aws = aws
        self._alarms = Alarms(aws)

    def copy(self, like: Group, group: Group, *, untouched: bool) -> None:
        """Give a group the policies and actions of another, and no others.

        Args:
            like: the group that has them.
            group: the group that gets them.
            untouched: it has just been made, without any.
        """
        self._copy_policies(like, group, untouched=untouched)
        self._copy_actions(like, group, untouched=untouched)

    def _copy_policies(self, like: Group, group: Group, *, untouched: bool) -> None:
        theirs = self._policies(like.name)
        if untouched and not theirs:
            return
        own = self._policies(group.name)
        wanted, found = policies_for(group, theirs), policies_for(group, own)
        for name in sorted(found.keys() - wanted.keys()):
            self._delete_policy(group.name, name)
        arns = _arns(own)
        for name in sorted(name for name in wanted if wanted[name] != found.get(name)):
            arns[name] = self._put_policy(group.name, wanted[name])
        copies = {arn: arns[name] for name, arn in _arns(theirs).items()}
        self._alarms.copy(like, group, theirs, copies)

    def _copy_actions(self, like: Group, group: Group, *, untouched: bool) -> None:
        now = host.current().now()
        wanted = actions_for(self._actions(like.name), now)
        if untouched and not wanted:
            return
        found = actions_for(self._actions(group.name), now)
        gone = sorted(found.keys() - wanted.keys())
        changed = [wanted[n] for n in sorted(wanted) if wanted[n] != found.get(n)]
        for names in _batches(gone):
            self._delete_actions(group.name, names)
        for actions in _batches(changed):
            self._put_actions(group.name, actions)

    def _policies(self, group: FleetName) -> "list[ScalingPolicyTypeDef]":
        pages = self._aws.reads.autoscaling.get_paginator("describe_policies").paginate(
            AutoScalingGroupName=group
        )
        return self._aws.read(
            "autoscaling.DescribePolicies",
            group,
            lambda: [row for page in pages for row in page["ScalingPolicies"]],
        )

    def _actions(self, group: FleetName) -> "list[ScheduledUpdateGroupActionTypeDef]":
        paginator = self._aws.reads.autoscaling.get_paginator(
            "describe_scheduled_actions"
        )
        pages = paginator.paginate(AutoScalingGroupName=group)
        return self._aws.read(
            "autoscaling.DescribeScheduledActions",
            group,
            lambda: [
                row for page in pages for row in page["ScheduledUpdateGroupActions"]
            ],
        )

    def _put_policy(self, group: FleetName, policy: Policy) -> str:
        answer = self._aws.change(
            "autoscaling.PutScalingPolicy",
            group,
            lambda: self._aws.changes.autoscaling.put_scaling_policy(**policy),
        )
        return answer["PolicyARN"]

    def _delete_policy(self, group: FleetName, name: str) -> None:
        with gone_is_fine():
            self._aws.change(
                "autoscaling.DeletePolicy",
                group,
                lambda: self._aws.changes.autoscaling.delete_policy(
                    AutoScalingGroupName=group, PolicyName=name
                ),
            )

    def _put_actions(self, group: FleetName, actions: list[Action]) -> None:
        answer = self._aws.change(
            "autoscaling.BatchPutScheduledUpdateGroupAction",
            group,
            lambda: (
                self._aws.changes.autoscaling.batch_put_scheduled_update_group_action(
                    AutoScalingGroupName=group, ScheduledUpdateGroupActions=actions
                )
            ),
        )
        _require_none(group, answer.get("FailedScheduledUpdateGroupActions", []))

    def _delete_actions(self, group: FleetName, names: list[str]) -> None:
        self._aws.change(
            "autoscaling.BatchDeleteScheduledAction",
            group,
            lambda: self._aws.changes.autoscaling.batch_delete_scheduled_action(
                AutoScalingGroupName=group, ScheduledActionNames=names
            ),
        )


def _arns(policies: "Iterable[ScalingPolicyTypeDef]") -> dict[str, str]:
    return {
        row["PolicyName"]: row["PolicyARN"]
        for row in policies
        if "PolicyName" in row and "PolicyARN" in row
    }


def _require_none(
    group: FleetName, failed: "Iterable[FailedScheduledUpdateGroupActionRequestTypeDef]"
) -> None:
    told = [
        f"{row['ScheduledActionName']}: {row.get('ErrorMessage')}" for row in failed
    ]
    if told:
        raise BackendError(
            f"{group}: scheduled actions could not be copied: {'; '.join(told)}",
            hint="mend them on the group that serves, or delete them there",
            operation="fleets.thaw",
            resource=group,
            backend="aws",
        )


def _batches(items: list[_T]) -> Iterable[list[_T]]:
    return (items[start : start + _BATCH] for start in range(0, len(items), _BATCH))
