"""The members of target groups: who is registered, and how the load balancer finds them."""

from collections.abc import Callable, Iterable, Iterator
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, TypeVar

import attrs

from immutable import host
from immutable.authoring import wait_until
from immutable.errors import Ambiguous, BackendError
from immutable.model import FleetName, Health, InstanceId, Member, Probe
from immutable_aws.errors import said
from immutable_aws.groups.instances import Instances
from immutable_aws.session import Aws

if TYPE_CHECKING:
    from mypy_boto3_elbv2.type_defs import (
        TargetDescriptionTypeDef,
        TargetHealthDescriptionTypeDef,
    )

_T = TypeVar("_T")
_MANY = 100
_FILTERED = 200
"""The most values of a filter: https://docs.aws.amazon.com/AWSEC2/latest/APIReference/API_Filter.html"""
_LEAVING = frozenset({"draining", "unhealthy.draining"})
_UNREADY = frozenset({"Target.InvalidState", "Target.IpUnusable"})


@attrs.frozen(kw_only=True)
class Registered:
    """A target as the load balancer sees it."""

    instance: InstanceId
    port: int
    state: str
    reason: str = ""
    said: str = ""

    @property
    def is_leaving(self) -> bool:
        """Return whether it only finishes what it has begun."""
        return self.state in _LEAVING

    @property
    def probe(self) -> Probe:
        """Return the verdict: what was not probed yet is ``UNKNOWN``, and no pass."""
        return Probe(
            instance=self.instance,
            health=_health(self.state, self.reason),
            evidence=": ".join(filter(None, (self.state, self.reason, self.said))),
        )


def _health(state: str, reason: str) -> Health:
    if state == "healthy":
        return Health.READY
    if state == "unhealthy" or reason in _UNREADY:
        return Health.UNREADY
    return Health.UNKNOWN


class Targets:
    """Members of groups, by calls; what was read lately may answer for `members`.

    Args:
        aws: where.
        instances: knows the addresses, which AWS does not tell here.
        lag: so old may a reading of members be. One of health never is.
    """

    def __init__(self, aws: Aws, instances: Instances, *, lag: timedelta) -> None:
        self._aws = aws
        self._instances = instances
        self._lag = lag
        self._seen: dict[str, tuple[datetime, tuple[Registered, ...]]] = {}
        self._addresses: dict[InstanceId, str] = {}

    def look(self, group: str) -> tuple[Registered, ...]:
        """Return who is registered now, in order of instance; nobody in no group."""
        asked_at = host.current().now()
        try:
            rows = self._aws.read(
                "elbv2.DescribeTargetHealth",
                group,
                lambda: self._aws.reads.elbv2.describe_target_health(
                    TargetGroupArn=group
                ),
            )["TargetHealthDescriptions"]
        except BackendError as exc:
            if said(exc) != "TargetGroupNotFound":
                raise
            rows = []
        found = tuple(
            sorted(map(_registered, rows), key=lambda r: (r.instance, r.port))
        )
        self._seen[group] = asked_at, found
        return found

    def members(self, fleet: FleetName, group: str) -> tuple[Member, ...]:
        """Return those that do not leave, and whose address is known."""
        seen = self._seen.get(group)
        fresh = seen is not None and host.current().now() - seen[0] < self._lag
        found = seen[1] if seen is not None and fresh else self.look(group)
        staying = [target for target in found if not target.is_leaving]
        addresses = self._known(fleet, [target.instance for target in staying])
        return tuple(
            Member(instance=t.instance, address=addresses[t.instance], port=t.port)
            for t in staying
            if t.instance in addresses
        )

    def begin(self, group: str) -> None:
        """Take it that nobody is in a group that has just been made.

        Whoever is put into it is put there later. Of one that a dead attacher left, members
        are seen when what is remembered is too old, as is all that others did.
        """
        self._seen[group] = host.current().now(), ()

    def forget(self, *, but: Iterable[str]) -> None:
        """Forget groups that are gone."""
        kept = set(but)
        self._seen = {group: at for group, at in self._seen.items() if group in kept}

    def set(
        self,
        group: str,
        wanted: tuple[Member, ...],
        *,
        drain: timedelta,
        delay: Callable[[], None],
    ) -> None:
        """Register who is missing, then let go of all others, and see them off.

        Args:
            group: the target group's ARN.
            wanted: everyone who is to be registered.
            drain: how long those that leave may go on with what they have begun.
            delay: tells the load balancer so, before any leaves.
        """
        ports = {(m.instance, m.port) for m in wanted}
        found = [target for target in self.look(group) if not target.is_leaving]
        there = {(target.instance, target.port) for target in found}
        self._seen.pop(group, None)
        for some in _pages(sorted(ports - there)):
            self._register(group, some)
        leaving = sorted(there - ports)
        if leaving:
            delay()
        for some in _pages(leaving):
            self._deregister(group, some)
        if leaving:
            self._see_off(group, leaving, drain)

    def _see_off(
        self, group: str, leaving: list[tuple[InstanceId, int]], drain: timedelta
    ) -> None:
        """Wait until they have no requests in flight, and no longer than they may have."""

        def gone() -> bool | None:
            left = {(r.instance, r.port) for r in self.look(group)}
            return True if left.isdisjoint(leaving) else None

        if drain:
            try:
                wait_until(gone, "draining", within=drain)
            except Ambiguous:
                # that is what the drain is: the load balancer cuts them off now
                return

    def _register(self, group: str, some: list[tuple[InstanceId, int]]) -> None:
        targets = _descriptions(some)
        self._aws.change(
            "elbv2.RegisterTargets",
            group,
            lambda: self._aws.changes.elbv2.register_targets(
                TargetGroupArn=group, Targets=targets
            ),
        )

    def _deregister(self, group: str, some: list[tuple[InstanceId, int]]) -> None:
        targets = _descriptions(some)
        self._aws.change(
            "elbv2.DeregisterTargets",
            group,
            lambda: self._aws.changes.elbv2.deregister_targets(
                TargetGroupArn=group, Targets=targets
            ),
        )

    def _known(self, fleet: FleetName, ids: list[InstanceId]) -> dict[InstanceId, str]:
        """Return the addresses of instances; they keep them for as long as they live."""
        wanted = set(ids)
        if missing := wanted - set(self._addresses):
            facts = dict(self._instances.facts(fleet, missing))
            for some in _pages(sorted(missing - set(facts)), size=_FILTERED):
                by_id = [{"Name": "instance-id", "Values": some}]
                facts |= self._instances.found(by_id, about=fleet)  # type: ignore[arg-type]  # a literal of the same shape
            told = {i: f.address for i, f in facts.items() if f.address}
            self._addresses |= told
        return {i: self._addresses[i] for i in wanted if i in self._addresses}


def _registered(row: "TargetHealthDescriptionTypeDef") -> Registered:
    target, health = row.get("Target", {}), row.get("TargetHealth", {})
    return Registered(
        instance=InstanceId(target.get("Id", "")),
        port=target.get("Port", 0),
        state=health.get("State", ""),
        reason=health.get("Reason", ""),
        said=health.get("Description", ""),
    )


def _descriptions(
    some: list[tuple[InstanceId, int]],
) -> "list[TargetDescriptionTypeDef]":
    return [{"Id": instance, "Port": port} for instance, port in some]


def _pages(items: "list[_T]", size: int = _MANY) -> "Iterator[list[_T]]":
    return (items[start : start + size] for start in range(0, len(items), size))
