"""A fleet as the library sees it, put together of what three services say.

The group says which instances there are, and that is asked every time. What else is wanted
of them never changes while they live, so it is read once: all of a group in one call. What
a launch has read at its end is not read again by the first look after it.
"""

from collections.abc import Mapping

from immutable.model import (
    FleetName,
    FleetView,
    Instance,
    InstanceId,
    InstanceState,
    LedgerId,
    ServiceName,
)
from immutable_aws.groups.calls import Groups
from immutable_aws.groups.group import Group, Seat
from immutable_aws.groups.instances import Facts, Instances
from immutable_aws.groups.template import Origin, Template, TemplateVersion
from immutable_aws.groups.templates import Templates

_STATES = {
    "InService": InstanceState.RUNNING,
    "EnteringStandby": InstanceState.RUNNING,
    "Standby": InstanceState.RUNNING,
    "Terminated": InstanceState.GONE,
    "Terminating": InstanceState.GONE,
}
_PENDING = ("Pending", "Warmed", "ReplacingRootVolume", "RootVolumeReplaced")


class Observing:
    """How fleets are looked at: one call for each, where nothing is new."""

    def __init__(
        self, *, groups: Groups, templates: Templates, instances: Instances
    ) -> None:
        self._groups = groups
        self._templates = templates
        self._instances = instances

    def fleet(self, name: FleetName) -> FleetView | None:
        """Return a fleet, or None when nothing of it exists.

        The template is made first and deleted last: without it there is nothing.
        """
        group = self._groups.left(name) or self._groups.find(name)
        if group is not None:
            return self._whole(group)
        template = self._templates.named(name)
        if template is None:
            self._instances.forget(name)
            return None
        return self._half(template)

    def fleets(
        self, *, service: ServiceName, ledger: LedgerId
    ) -> tuple[FleetView, ...]:
        """Return every fleet with these tags, by name; also those half made."""
        groups = self._groups.tagged(service=service, ledger=ledger)
        templates = self._templates.tagged(service=service, ledger=ledger)
        whole = [self._whole(group) for group in groups.values()]
        half = [self._half(t) for t in templates if t.name not in groups]
        return tuple(sorted([*whole, *half], key=lambda view: view.name))

    def _whole(self, group: Group) -> FleetView:
        ids = [seat.id for seat in group.seats]
        # a group takes a while to say how an instance died that is no longer healthy
        doubtful = any(not (s.is_healthy or s.is_leaving) for s in group.seats)
        facts = self._instances.facts(group.name, ids, afresh=doubtful)
        return FleetView(
            name=group.name,
            instances=tuple(
                _instance(group.name, seat, facts.get(seat.id), self._origin(seat))
                for seat in group.seats
            ),
            desired_size=group.desired,
            tags=group.tags,
            frozen=group.is_frozen,
        )

    def _half(self, template: Template) -> FleetView:
        """Return what there is without a group: instances that it left behind, perhaps."""
        origin = self._templates.origin(TemplateVersion(template=template.id))
        found = self._instances.read(template.name)
        left = {i: facts for i, facts in found.items() if not facts.is_over}
        return FleetView(
            name=template.name,
            instances=_left(template.name, left, origin),
            tags=template.tags,
            frozen=True,
        )

    def _origin(self, seat: Seat) -> Origin:
        if seat.template is None:
            return Origin()
        return self._templates.origin(seat.template)


def _left(
    fleet: FleetName, left: Mapping[InstanceId, Facts], origin: Origin
) -> tuple[Instance, ...]:
    seats = [
        Seat(id=i, lifecycle="InService", is_healthy=not f.is_dead, template=None)
        for i, f in sorted(left.items())
    ]
    return tuple(_instance(fleet, seat, left[seat.id], origin) for seat in seats)


def _instance(
    fleet: FleetName, seat: Seat, facts: Facts | None, origin: Origin
) -> Instance:
    return Instance(
        id=seat.id,
        fleet=fleet,
        state=_state(seat, facts),
        address=facts.address if facts else None,
        digest=origin.digest,
        launched_at=facts.launched_at if facts else None,
        image=(facts.image if facts else None) or origin.image,
        document=origin.document,
    )


def _state(seat: Seat, facts: Facts | None) -> InstanceState:
    if facts and not seat.is_healthy and facts.is_dead:
        return InstanceState.GONE
    if seat.lifecycle.startswith(_PENDING):
        return InstanceState.PENDING
    return _STATES.get(seat.lifecycle.partition(":")[0], InstanceState.UNKNOWN)
