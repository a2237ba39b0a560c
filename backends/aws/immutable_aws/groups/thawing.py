"""Keeping a group from changing itself, and letting it again, by the rules of another.

Suspending is absolute and may be repeated. What a group was given by people, its scaling
policies and scheduled actions, belongs to that one group, and goes with it: so the group
that takes over gets a copy first.
"""

from datetime import timedelta

from immutable.model import FleetName
from immutable_aws.groups.calls import Groups, gone_is_fine
from immutable_aws.groups.forgiving import Forgiving
from immutable_aws.groups.group import Group
from immutable_aws.groups.instances import instances_of
from immutable_aws.groups.launching import Launching
from immutable_aws.groups.scaling import Rules
from immutable_aws.rules.targets import Targets
from immutable_aws.session import Aws


class Thawing:
    """When groups act by themselves, and by which rules."""

    def __init__(self, aws: Aws, *, groups: Groups, launching: Launching) -> None:
        self._groups = groups
        self._launching = launching
        targets = Targets(aws, instances_of(aws), lag=timedelta())
        self._forgiving = Forgiving(groups=groups, targets=targets)
        self._rules = Rules(aws)

    def freeze(self, fleet: FleetName) -> None:
        """Keep a group from changing itself; one that is gone is no error."""
        with gone_is_fine():
            self._groups.hold(fleet)

    def thaw(self, fleet: FleetName, *, like: FleetName | None) -> None:
        """Let a group change itself, by the rules and bounds of another if there is one."""
        untouched = self._launching.take_untouched(fleet)
        found = self._groups.several(fleet, *((like,) if like else ()))
        if fleet not in found:
            return
        if like in found:
            self._rules.copy(found[like], found[fleet], untouched=untouched)
            self._bound(found[fleet], found[like])
        self._forgiving.forgive(found[fleet])
        with gone_is_fine():
            self._groups.release(fleet)

    def _bound(self, group: Group, like: Group) -> None:
        smallest = min(like.smallest, group.desired)
        largest = max(like.largest, group.desired)
        if (smallest, largest) != (group.smallest, group.largest):
            self._groups.bound(group.name, smallest=smallest, largest=largest)
