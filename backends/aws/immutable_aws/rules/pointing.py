"""Listeners of one load balancer as a service sees them: where production points. Pure.

Without rules there is no fencing: `ModifyListener` has neither a version nor a condition
(botocore's model of ``elbv2``). A fleet's place is a listener of its own on one of the
ports for checks, because "a target group that is not used by any load balancer" is not
probed; its tags say whose it is and are never changed. Production's tags say whom it obeys.
"""

from collections.abc import Iterable, Mapping
from functools import cached_property
from typing import TYPE_CHECKING

import attrs

from immutable.errors import BackendError, NotEnough, Taken, Unsupported
from immutable.model import (
    WHOLE,
    FleetName,
    LedgerId,
    Routing,
    ServiceName,
    Version,
    digest_of,
)
from immutable_aws.errors import NAME
from immutable_aws.rules.rule import fleet_of, shares_of
from immutable_aws.rules.slots import LEDGER, SERVICE
from immutable_aws.rules.writing import moved

if TYPE_CHECKING:
    from mypy_boto3_elbv2.type_defs import ListenerTypeDef

_VERSION_CHARS = 16


@attrs.frozen(kw_only=True)
class Pointer:
    """A listener, and which target groups it forwards to."""

    arn: str
    port: int
    groups: tuple[str, ...]
    tags: tuple[tuple[str, str], ...] = ()

    def tag(self, key: str) -> str | None:
        """Return a tag's value."""
        return dict(self.tags).get(key)


def pointer_from(row: "ListenerTypeDef", tags: Mapping[str, str]) -> Pointer:
    """Return a listener as DescribeListeners tells it."""
    shares = shares_of(row.get("DefaultActions", []))
    return Pointer(
        arn=row.get("ListenerArn", ""),
        port=row.get("Port", 0),
        groups=tuple(arn for arn, weight in shares if weight),
        tags=tuple(sorted(tags.items())),
    )


@attrs.frozen(kw_only=True)
class Aim:
    """One reading of a load balancer's listeners, for one service."""

    service: ServiceName
    production: Pointer
    checks: tuple[Pointer, ...]
    """The service's own, one for each attached fleet."""
    ports: frozenset[int]
    """All that are listened at."""

    @cached_property
    def groups(self) -> dict[FleetName, str]:
        """Return the target group of each fleet that has a place."""
        named = [arn for each in self.checks for arn in each.groups]
        served = [arn for arn in self.production.groups if self._is_ours(arn)]
        return {fleet_of(arn): arn for arn in sorted({*named, *served})}

    @property
    def routing(self) -> Routing:
        """Return what is served; other people's target groups are nobody."""
        served = [f for f, arn in self.groups.items() if arn in self.production.groups]
        if len(served) > 1:
            raise _strange(self.production, "forwards to several fleets")
        return Routing(weights=dict.fromkeys(served, WHOLE))

    @property
    def owner(self) -> LedgerId | None:
        """Return the ledger that is obeyed."""
        first = next(iter(self.checks), None)
        told = self.production.tag(LEDGER) or (first.tag(LEDGER) if first else None)
        return LedgerId(told) if told else None

    @property
    def version(self) -> Version:
        """Return what changes with routing and owner; nothing refuses an old one."""
        return _version(self.production.groups, self.production.tag(LEDGER))

    def version_with(self, group: str | None, owner: LedgerId) -> Version:
        """Return the version after a write."""
        return _version((group,) if group else (), owner)

    def place_of(self, fleet: FleetName) -> tuple[Pointer, ...]:
        """Return the listeners of a fleet's place."""
        return tuple(c for c in self.checks if fleet in map(fleet_of, c.groups))

    def check(self) -> None:
        """Refuse a listener that another service uses.

        Raises:
            Taken: its tags say so.
        """
        if self.production.tag(SERVICE) not in {None, self.service}:
            raise _strange(self.production, "serves another service")

    def free(self, among: range) -> int:
        """Return a port for the next place.

        Raises:
            NotEnough: all are taken.
        """
        found = next((port for port in among if port not in self.ports), None)
        if found is None:
            message = f"all ports for checks are taken: {among.start}-{among.stop - 1}"
            raise NotEnough(message, hint="give more: checks=first-last", backend=NAME)
        return found

    def target(self, routing: Routing, expected: Version) -> str | None:
        """Return the group that production is to point to; None: to nobody.

        Raises:
            Conflict: the version is another, or the fleet has no place.
            Unsupported: weights, or a preview.
        """
        if routing.preview or any(weight != WHOLE for _, weight in routing.weights):
            message = "a listener without rules moves all traffic, and previews nothing"
            raise Unsupported(message, hint="use alb://", backend=NAME)
        if self.version != expected:
            what = f"the version is {self.version}, not {expected}"
            raise moved("switch.write", self.service, what)
        for fleet, _ in routing.weights:
            if fleet not in self.groups:
                what = f"{fleet}: no place here"
                raise moved("switch.write", self.service, what)
            return self.groups[fleet]
        return None

    def _is_ours(self, group: str) -> bool:
        # fleets are called so, and a check's listener may have gone first
        return fleet_of(group).startswith(f"{self.service}-v")


def aim_from(
    pointers: Iterable[Pointer], *, production: str, service: ServiceName
) -> Aim:
    """Return a load balancer's listeners, sorted for a service.

    Args:
        pointers: all of them.
        production: the ARN of the one that clients connect to.
        service: whose.

    Raises:
        BackendError: that one is not there any more.
    """
    listed = tuple(pointers)
    return Aim(
        service=service,
        production=_production(listed, production),
        checks=tuple(
            each
            for each in listed
            if each.arn != production and each.tag(SERVICE) == service
        ),
        ports=frozenset(each.port for each in listed),
    )


def _production(listed: tuple[Pointer, ...], arn: str) -> Pointer:
    found = next((each for each in listed if each.arn == arn), None)
    if found is None:
        raise BackendError(
            "ListenerNotFound: the load balancer has this listener no more",
            hint="somebody has deleted it; make it again, or correct listener=",
            operation="switch.read",
            resource=arn,
            backend=NAME,
        )
    return found


def _version(groups: tuple[str, ...], owner: str | None) -> Version:
    return Version(digest_of("aim", groups, owner)[:_VERSION_CHARS])


def _strange(pointer: Pointer, what: str) -> Taken:
    return Taken(
        f"the listener at port {pointer.port} {what}",
        hint="give each service a listener of its own",
        operation="switch.read",
        resource=pointer.arn,
        backend=NAME,
    )
