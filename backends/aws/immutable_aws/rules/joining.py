"""Who belongs to a fleet's place: what both kinds of switch do with target groups."""

from collections.abc import Callable
from datetime import timedelta
from typing import TYPE_CHECKING

from immutable.errors import BackendError, Conflict
from immutable.model import (
    Attachment,
    FleetName,
    HealthCheck,
    LedgerId,
    Member,
    Probe,
    ServiceName,
)
from immutable_aws.errors import NAME, said
from immutable_aws.groups.instances import instances_of
from immutable_aws.rules.parting import part
from immutable_aws.rules.places import TargetGroups, Wanted
from immutable_aws.rules.targets import Targets
from immutable_aws.session import Aws
from immutable_aws.switch_config import ListenerConfig

if TYPE_CHECKING:
    from mypy_boto3_elbv2.literals import ProtocolEnumType


class Joining:
    """Target groups of a service with their members."""

    def __init__(
        self, aws: Aws, config: ListenerConfig, service: ServiceName, *, port: int
    ) -> None:
        """Prepare; ``port`` is where the instances listen."""
        self._config = config
        self._service = service
        self._port = port
        self._groups = TargetGroups(aws, service)
        # half of what is declared is for AWS, the other half may be our own memory
        self._targets = Targets(aws, instances_of(aws), lag=config.staleness / 2)

    def make(
        self,
        fleet: FleetName,
        *,
        health: HealthCheck,
        owner: LedgerId,
        vpc: str,
        protocol: "ProtocolEnumType",
    ) -> str:
        """Make a fleet's group, or find it, and return its ARN; see `TargetGroups.make`."""
        wanted = Wanted(
            fleet=fleet,
            service=self._service,
            owner=owner,
            vpc=vpc,
            protocol=protocol,
            port=self._port,
            health=health,
        )
        group = self._groups.make(wanted, drain=self._config.drain)
        self._targets.begin(group)
        return group

    def find(self, fleet: FleetName) -> str | None:
        """Return the ARN of a fleet's group by its name; None: there is none of ours."""
        return self._groups.find(fleet)

    def delete(self, group: str, *, is_named: Callable[[], bool]) -> None:
        """Delete a group; see `TargetGroups.delete`, and `part` for what that waits for.

        Args:
            group: its ARN.
            is_named: looks whether a rule or listener names it that was not deleted just now.

        Raises:
            Conflict: one does, or AWS says so for half a minute.
        """
        part(lambda: self._groups.delete(group), is_named)

    def join(
        self,
        fleet: FleetName,
        group: str | None,
        members: tuple[Member, ...],
        *,
        drain: timedelta,
    ) -> None:
        """Make a group's members exactly these, and see off those that leave.

        Raises:
            Conflict: there is no such group (any more).
        """
        if group is None:
            raise _homeless(fleet)

        def delay() -> None:
            if self._groups.delayed(group) != drain:
                self._groups.delay(group, drain)

        try:
            self._targets.set(group, members, drain=drain, delay=delay)
        except BackendError as exc:
            if said(exc) != "TargetGroupNotFound":
                raise
            raise _homeless(fleet) from exc

    def health(self, group: str | None) -> tuple[Probe, ...]:
        """Return the load balancer's verdict on each member, as it is now."""
        found = self._targets.look(group) if group else ()
        return tuple(target.probe for target in found if not target.is_leaving)

    def attachments(self, groups: dict[FleetName, str]) -> tuple[Attachment, ...]:
        """Return places with their members, and forget all others."""
        self._targets.forget(but=groups.values())
        return tuple(
            Attachment(
                fleet=fleet, place=arn, members=self._targets.members(fleet, arn)
            )
            for fleet, arn in sorted(groups.items())
        )


def _homeless(fleet: FleetName) -> Conflict:
    return Conflict(
        f"fleet {fleet} is not attached",
        hint="read the switch again and decide anew",
        operation="switch.join",
        resource=fleet,
        backend=NAME,
    )
