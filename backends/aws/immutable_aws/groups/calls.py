"""The calls on Auto Scaling groups.

What each does twice, and what it refuses, is in botocore's own model of Auto Scaling,
2011-01-01. It knows no tokens: names, tags and absolute values take their place.
"""

import re
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from datetime import datetime, timedelta
from typing import TYPE_CHECKING

from immutable import host
from immutable.errors import BackendError
from immutable.model import FleetName, InstanceId, LedgerId, ServiceName
from immutable_aws.errors import said
from immutable_aws.groups.group import HELD, LET_GO, Group, group_of
from immutable_aws.session import Aws

if TYPE_CHECKING:
    from mypy_boto3_autoscaling.paginator import DescribeAutoScalingGroupsPaginator
    from mypy_boto3_autoscaling.type_defs import (
        AutoScalingGroupsTypeTypeDef,
        CreateAutoScalingGroupTypeTypeDef,
        FilterTypeDef,
    )

_GONE = re.compile(r"not found|pending delete")
_PAGE = 100
"""The most that DescribeAutoScalingGroups returns at once."""


class Groups:
    """The Auto Scaling groups of one account and region.

    Args:
        aws: where.
        lag: so old may be what `look` has left for `left`.
    """

    def __init__(self, aws: Aws, *, lag: timedelta) -> None:
        self._aws = aws
        self._lag = lag
        self._left: dict[FleetName, tuple[datetime, Group]] = {}

    def find(self, name: FleetName) -> Group | None:
        """Return a group, or None where there is none of this name."""
        return self.several(name).get(name)

    def look(self, name: FleetName) -> Group | None:
        """Find a group, and leave what was read for whoever asks next."""
        asked_at = host.current().now()
        group = self.find(name)
        if group is not None:
            self._left[name] = asked_at, group
        return group

    def left(self, name: FleetName) -> Group | None:
        """Return what was read a moment ago, once, if nothing was changed since."""
        asked_at, group = self._left.pop(name, (None, None))
        if asked_at is None or host.current().now() - asked_at >= self._lag:
            return None
        return group

    def several(self, *names: FleetName) -> dict[FleetName, Group]:
        """Return those of some groups that exist, in one call."""
        pages = self._pages.paginate(AutoScalingGroupNames=list(names))
        return self._described(pages, " ".join(names))

    def tagged(
        self, *, service: ServiceName, ledger: LedgerId
    ) -> dict[FleetName, Group]:
        """Return every group with these two tags, by pages of 100."""
        filters: list[FilterTypeDef] = [
            {"Name": "tag:immutable-service", "Values": [service]},
            {"Name": "tag:immutable-ledger", "Values": [ledger]},
        ]
        pages = self._pages.paginate(
            Filters=filters, PaginationConfig={"PageSize": _PAGE}
        )
        return self._described(pages, service)

    def create(self, request: "CreateAutoScalingGroupTypeTypeDef") -> None:
        """Create a group.

        Raises:
            Taken: there is one of this name.
        """
        self._change(
            "autoscaling.CreateAutoScalingGroup",
            request["AutoScalingGroupName"],
            lambda: self._aws.changes.autoscaling.create_auto_scaling_group(**request),
        )

    def bound(self, name: FleetName, *, smallest: int, largest: int) -> None:
        """Set how small and how large a group may be."""
        self._change(
            "autoscaling.UpdateAutoScalingGroup",
            name,
            lambda: self._aws.changes.autoscaling.update_auto_scaling_group(
                AutoScalingGroupName=name, MinSize=smallest, MaxSize=largest
            ),
        )

    def size(self, name: FleetName, size: int, *, smallest: int, largest: int) -> None:
        """Set how large a group is to be, and may be."""
        self._change(
            "autoscaling.UpdateAutoScalingGroup",
            name,
            lambda: self._aws.changes.autoscaling.update_auto_scaling_group(
                AutoScalingGroupName=name,
                MinSize=smallest,
                MaxSize=largest,
                DesiredCapacity=size,
            ),
        )

    def terminate(self, instance: InstanceId, *, shrinking: bool) -> None:
        """Terminate an instance; one that the group does not have any more is no error."""
        with gone_is_fine():
            self._change(
                "autoscaling.TerminateInstanceInAutoScalingGroup",
                instance,
                lambda: (
                    self._aws.changes.autoscaling.terminate_instance_in_auto_scaling_group(
                        InstanceId=instance, ShouldDecrementDesiredCapacity=shrinking
                    )
                ),
            )

    def acquit(self, instance: InstanceId) -> None:
        """Call an instance healthy; one that its group does not have any more is no error."""
        with gone_is_fine():
            self._change(
                "autoscaling.SetInstanceHealth",
                instance,
                lambda: self._aws.changes.autoscaling.set_instance_health(
                    InstanceId=instance, HealthStatus="Healthy"
                ),
            )

    def hold(self, name: FleetName) -> None:
        """Keep a group from changing itself."""
        self._change(
            "autoscaling.SuspendProcesses",
            name,
            lambda: self._aws.changes.autoscaling.suspend_processes(
                AutoScalingGroupName=name, ScalingProcesses=list(HELD)
            ),
        )

    def release(self, name: FleetName) -> None:
        """Let a group heal and scale itself again; what others suspended stays so."""
        self._change(
            "autoscaling.ResumeProcesses",
            name,
            lambda: self._aws.changes.autoscaling.resume_processes(
                AutoScalingGroupName=name, ScalingProcesses=list(LET_GO)
            ),
        )

    def delete(self, name: FleetName) -> None:
        """Begin to delete a group with its instances; one that is gone is no error."""
        with gone_is_fine():
            self._change(
                "autoscaling.DeleteAutoScalingGroup",
                name,
                lambda: self._aws.changes.autoscaling.delete_auto_scaling_group(
                    AutoScalingGroupName=name, ForceDelete=True
                ),
            )

    def _change(self, operation: str, about: str, call: Callable[[], object]) -> None:
        try:
            self._aws.change(operation, about, call)
        finally:
            self._left.clear()

    @property
    def _pages(self) -> "DescribeAutoScalingGroupsPaginator":
        reads = self._aws.reads.autoscaling
        return reads.get_paginator("describe_auto_scaling_groups")

    def _described(
        self, pages: "Iterable[AutoScalingGroupsTypeTypeDef]", about: str
    ) -> dict[FleetName, Group]:
        rows = self._aws.read(
            "autoscaling.DescribeAutoScalingGroups",
            about,
            lambda: [row for page in pages for row in page["AutoScalingGroups"]],
        )
        groups = [group_of(row) for row in rows]
        return {group.name: group for group in groups}


@contextmanager
def gone_is_fine() -> Iterator[None]:
    """Pass over the error that says that there is no such group, or instance in one.

    Nor is there one whose deletion has begun. Auto Scaling has no code of its own for either:
    only the message tells.
    """
    try:
        yield
    except BackendError as exc:
        if said(exc) != "ValidationError" or not _GONE.search(str(exc)):
            raise
