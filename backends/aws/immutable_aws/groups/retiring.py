"""Deleting a fleet: its group with all instances, and last its template.

The order is what makes it repeatable: as long as the template is there, something may be
left, and once it is gone no call that is late can make a group of it any more.
"""

from datetime import timedelta

from immutable import host
from immutable.authoring import wait_until
from immutable.errors import Ambiguous
from immutable.model import FleetName
from immutable_aws.groups.alarms import Alarms
from immutable_aws.groups.calls import Groups
from immutable_aws.groups.instances import Instances
from immutable_aws.groups.launching import Launching
from immutable_aws.groups.templates import Templates
from immutable_aws.groups.unplacing import Unplacing, not_ours
from immutable_aws.session import Aws
from immutable_aws.tagging import Pairs, is_ours
from immutable_aws.watching.evidence import keep

_PATIENCE = timedelta(minutes=8)
"""The engine gives a retirement ten minutes."""
_EVERY = timedelta(seconds=1)


class Retiring:
    """How fleets end."""

    def __init__(
        self,
        aws: Aws,
        *,
        groups: Groups,
        templates: Templates,
        instances: Instances,
        launching: Launching,
        pace: timedelta,
    ) -> None:
        self._aws = aws
        self._pace = pace
        self._places = Unplacing(aws)
        self._alarms = Alarms(aws)
        self._groups = groups
        self._templates = templates
        self._instances = instances
        self._launching = launching

    def retire(self, fleet: FleetName) -> None:
        """Delete what there is of a fleet, and return when nothing is left.

        Raises:
            Taken: it is not ours.
            Conflict: it has its place at the switch still; nothing was changed.
            Ambiguous: something is left, and says what holds it; the same call goes on.
        """
        group = self._groups.find(fleet)
        if group is None:
            self._retire_half(fleet)
            return
        _require_ours(fleet, group.tags)
        for place in group.places:
            self._places.delete(place, of=fleet)
        if not group.is_deleted:
            keep(self._aws, group, group.staying)
            self._alarms.delete(group)
            self._groups.delete(fleet)
            # no group goes at once that has instances
            host.current().sleep(self._pace, host.Never())
        self._wait(fleet)
        self._finish(fleet, group.template.template if group.template else None)

    def _retire_half(self, fleet: FleetName) -> None:
        """Delete what is left of a fleet without a group: of its beginning, or its end."""
        found = self._templates.named(fleet)
        self._places.delete_named(fleet)
        if found is not None:
            _require_ours(fleet, found.tags)
        template = found.id if found else self._launching.made(fleet)
        if template is None:
            return
        # one that has just been made may not be listed yet
        self._groups.delete(fleet)
        self._wait(fleet)
        self._finish(fleet, template)

    def _finish(self, fleet: FleetName, template: str | None) -> None:
        if template is not None:
            self._templates.delete(template, about=fleet)
        self._instances.forget(fleet)
        self._launching.forget(fleet)

    def _wait(self, fleet: FleetName) -> None:
        """Wait until there is no group, and none of its instances costs anything."""
        left = ""

        def look() -> bool | None:
            nonlocal left
            left = self._left(fleet)
            return None if left else True

        try:
            wait_until(look, f"deleting {fleet}", within=_PATIENCE, every=_EVERY)
        except Ambiguous as exc:
            raise Ambiguous(
                f"{exc.message}; there is still {left}",
                hint="look for lifecycle hooks, or retire it again: that goes on",
                operation="fleets.retire",
                resource=fleet,
                backend="aws",
            ) from exc

    def _left(self, fleet: FleetName) -> str:
        """Return in words what is left, the group first; empty when nothing is."""
        group = self._groups.find(fleet)
        if group is not None:
            seats = ", ".join(f"{seat.id} {seat.lifecycle}" for seat in group.seats)
            return f"the group, with {seats or 'no instance'}"
        found = self._instances.read(fleet)
        return ", ".join(f"{i} {f.state}" for i, f in found.items() if not f.is_over)


def _require_ours(fleet: FleetName, tags: Pairs) -> None:
    if not is_ours(tags):
        raise not_ours(fleet)
