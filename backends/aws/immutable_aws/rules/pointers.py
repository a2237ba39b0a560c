"""Calls on the listeners of one load balancer: read them, point one, make and delete."""

from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING

from immutable.errors import BackendError, Unavailable, Unsupported
from immutable.model import LedgerId, ServiceName
from immutable_aws.errors import NAME, said
from immutable_aws.rules.listening import HTTP, Listener
from immutable_aws.rules.pointing import Aim, Pointer, aim_from, pointer_from
from immutable_aws.rules.rule import actions_for
from immutable_aws.rules.slots import FLEET, LEDGER, ROLE, SERVICE
from immutable_aws.rules.writing import moved
from immutable_aws.session import Aws

if TYPE_CHECKING:
    from mypy_boto3_elbv2.literals import ProtocolEnumType
    from mypy_boto3_elbv2.type_defs import (
        ActionTypeDef,
        ListenerTypeDef,
        TagTypeDef,
    )

_TAGGED = 20
"""The most resources that DescribeTags takes at once."""
_GONE = "ListenerNotFound"
_PLAIN = {"TLS": "TCP", "HTTPS": "HTTP"}


class Pointers:
    """The listeners of a service's load balancer, by calls.

    A reading is two calls for up to 19 listeners of checks, however many fleets there are.
    """

    def __init__(self, aws: Aws, listener: Listener, service: ServiceName) -> None:
        self._aws = aws
        self._listener = listener
        self._service = service

    @property
    def protocol(self) -> "ProtocolEnumType":
        """Return what targets speak: what the listener does, without its encryption.

        Raises:
            Unsupported: it is none of TCP, TLS, HTTP and HTTPS.
        """
        spoken = self._listener.find().protocol
        plain = _PLAIN.get(spoken, spoken)
        if plain == "HTTP":
            return "HTTP"
        if plain == "TCP":
            return "TCP"
        raise Unsupported(
            f"the listener speaks {spoken}",
            hint="use one of TCP, TLS, HTTP or HTTPS",
            resource=self._listener.find().arn,
            backend=NAME,
        )

    def read(self) -> Aim:
        """Return all listeners, sorted.

        Raises:
            BackendError: the service's own is gone.
            Unavailable: another went away between two calls; to be repeated.
        """
        rows = self._rows()
        tags = self._tags([row.get("ListenerArn", "") for row in rows])
        pointers = [
            pointer_from(row, tags.get(row.get("ListenerArn", ""), {})) for row in rows
        ]
        arn = self._listener.find().arn
        return aim_from(pointers, production=arn, service=self._service)

    def names(self, group: str, *, but: Iterable[Pointer]) -> bool:
        """Look whether a listener of this load balancer names a group, apart from some.

        A group belongs to one load balancer, so that no other can name it.
        """
        apart = {pointer.arn for pointer in but}
        found = (pointer_from(row, {}) for row in self._rows())
        return any(group in each.groups for each in found if each.arn not in apart)

    def obey(self, aim: Aim, owner: LedgerId) -> None:
        """Write on the listener whom it obeys, where it does not say so yet."""
        if aim.production.tag(LEDGER) == owner and aim.production.tag(SERVICE):
            return
        arn = aim.production.arn
        wanted: list[TagTypeDef] = [
            {"Key": SERVICE, "Value": self._service},
            {"Key": LEDGER, "Value": owner},
        ]
        self._aws.change(
            "elbv2.AddTags",
            arn,
            lambda: self._aws.changes.elbv2.add_tags(ResourceArns=[arn], Tags=wanted),
        )

    def point(self, aim: Aim, group: str | None) -> None:
        """Point production to a group; to nobody where HTTP lets it say so.

        Raises:
            Conflict: the group is gone.
        """
        arn = aim.production.arn
        actions = self._actions(group)
        try:
            self._aws.change(
                "elbv2.ModifyListener",
                arn,
                lambda: self._aws.changes.elbv2.modify_listener(
                    ListenerArn=arn, DefaultActions=actions
                ),
            )
        except BackendError as exc:
            if said(exc) != "TargetGroupNotFound":
                raise
            raise moved("switch.write", arn, "a fleet has no place here") from exc

    def make(self, port: int, group: str, fleet: str, owner: LedgerId) -> None:
        """Listen at a port for a fleet's group, so that it is probed.

        Raises:
            Unavailable: somebody else listens there; to be repeated.
        """
        found, protocol = self._listener.find(), self.protocol
        named = {SERVICE: self._service, LEDGER: owner, FLEET: fleet, ROLE: "place"}
        tags: list[TagTypeDef] = [{"Key": k, "Value": v} for k, v in named.items()]
        try:
            self._aws.change(
                "elbv2.CreateListener",
                fleet,
                lambda: self._aws.changes.elbv2.create_listener(
                    LoadBalancerArn=found.load_balancer,
                    Protocol=protocol,
                    Port=port,
                    DefaultActions=self._actions(group),
                    Tags=tags,
                ),
            )
        except BackendError as exc:
            if said(exc) not in {"DuplicateListener", "TargetGroupNotFound"}:
                raise
            what = f"port {port}, or the target group, was taken meanwhile"
            raise Unavailable(
                what, hint="attach again", retryable=True, backend=NAME
            ) from exc

    def delete(self, pointer: Pointer) -> None:
        """Delete a listener; one that is gone is no error."""
        try:
            self._aws.change(
                "elbv2.DeleteListener",
                pointer.arn,
                lambda: self._aws.changes.elbv2.delete_listener(
                    ListenerArn=pointer.arn
                ),
            )
        except BackendError as exc:
            if said(exc) != _GONE:
                raise

    @property
    def answers(self) -> bool:
        """Return whether the listener itself can say that nobody serves."""
        return self._listener.find().protocol in HTTP

    def _actions(self, group: str | None) -> "list[ActionTypeDef]":
        if group is None:
            return actions_for(())
        return [{"Type": "forward", "TargetGroupArn": group}]

    def _rows(self) -> "list[ListenerTypeDef]":
        above = self._listener.find().load_balancer
        pages = self._aws.reads.elbv2.get_paginator("describe_listeners")
        return self._aws.read(
            "elbv2.DescribeListeners",
            above,
            lambda: [
                row
                for page in pages.paginate(LoadBalancerArn=above)
                for row in page["Listeners"]
            ],
        )

    def _tags(self, arns: Sequence[str]) -> dict[str, dict[str, str]]:
        found: dict[str, dict[str, str]] = {}
        for start in range(0, len(arns), _TAGGED):
            found |= self._described(arns[start : start + _TAGGED])
        return found

    def _described(self, arns: Sequence[str]) -> dict[str, dict[str, str]]:
        try:
            rows = self._aws.read(
                "elbv2.DescribeTags",
                arns[0],
                lambda: self._aws.reads.elbv2.describe_tags(ResourceArns=arns),
            )["TagDescriptions"]
        except BackendError as exc:
            if said(exc) != _GONE:
                raise
            message = "the listeners changed while they were read"
            raise Unavailable(message, retryable=True, backend=NAME) from exc
        return {
            row.get("ResourceArn", ""): {
                tag["Key"]: tag.get("Value", "") for tag in row.get("Tags", [])
            }
            for row in rows
        }
