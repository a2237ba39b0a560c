"""`immutable.protocols.Fleets` on Auto Scaling: a launch template and a group for each fleet.

Both have the fleet's name. `immutable.groups.Groups` is here, too: while a fleet is frozen,
its group replaces, moves and scales nothing by itself.
"""

from immutable.model import (
    FleetName,
    FleetSpec,
    FleetView,
    InstanceId,
    LedgerId,
    ServiceName,
    Token,
)
from immutable_aws.config import AwsConfig
from immutable_aws.groups.calls import Groups
from immutable_aws.groups.instances import instances_of
from immutable_aws.groups.launching import Launching
from immutable_aws.groups.observing import Observing
from immutable_aws.groups.replacing import Replacing
from immutable_aws.groups.retiring import Retiring
from immutable_aws.groups.templates import Templates
from immutable_aws.groups.thawing import Thawing
from immutable_aws.session import Aws


class AwsFleets:
    """Fleets of one account and region."""

    def __init__(self, config: AwsConfig, aws: Aws) -> None:
        # half of what is declared is for AWS, the other half may be our own memory
        groups, templates = Groups(aws, lag=config.staleness / 2), Templates(aws)
        self.instances = instances_of(aws)
        self._launching = Launching(config, aws, groups=groups, templates=templates)
        self._observing = Observing(
            groups=groups, templates=templates, instances=self.instances
        )
        self._replacing = Replacing(
            aws, groups=groups, instances=self.instances, launching=self._launching
        )
        self._retiring = Retiring(
            aws,
            groups=groups,
            templates=templates,
            instances=self.instances,
            launching=self._launching,
            pace=config.pace,
        )
        self._thawing = Thawing(aws, groups=groups, launching=self._launching)

    def launch(self, spec: FleetSpec, *, token: Token) -> None:
        """Create a fleet, frozen, or complete one that was begun before."""
        self._launching.launch(spec, token)

    def observe(self, fleet: FleetName) -> FleetView | None:
        """Return a fleet as it is now, or None when nothing of it exists."""
        return self._observing.fleet(fleet)

    def resize(
        self, spec: FleetSpec, *, remove: tuple[InstanceId, ...], token: Token
    ) -> None:
        """Terminate exactly ``remove``, then bring the fleet to its size."""
        self._replacing.resize(spec, remove=remove, token=token)

    def replace(self, spec: FleetSpec, *, instance: InstanceId, token: Token) -> None:
        """Terminate one instance and dead ones; the group launches others."""
        self._replacing.replace(spec, instance=instance, token=token)

    def retire(self, fleet: FleetName, *, token: Token) -> None:  # noqa: ARG002 - deleting a name is repeat-safe without it
        """Delete group, instances and template, and return when they are gone."""
        self._retiring.retire(fleet)

    def list(self, *, service: ServiceName, ledger: LedgerId) -> tuple[FleetView, ...]:
        """Return every fleet with these tags, by name; also those half made."""
        return self._observing.fleets(service=service, ledger=ledger)

    def freeze(self, fleet: FleetName, *, token: Token) -> None:  # noqa: ARG002 - an absolute state
        """Keep a fleet's group from changing it by itself."""
        self._thawing.freeze(fleet)

    def thaw(self, fleet: FleetName, *, like: FleetName | None, token: Token) -> None:  # noqa: ARG002 - an absolute state
        """Let a fleet's group heal and scale it, by the rules of the one before it."""
        self._thawing.thaw(fleet, like=like)
