"""Terminating chosen instances of a fleet, and bringing it back to its size.

Sizes are absolute and are set; only in step with a termination is one counted down, by the
provider and in the same call, so that it launches no other in its place. Who repeats this
finds the instance leaving, and does not ask again.
"""

from collections.abc import Collection

from immutable.model import FleetSpec, InstanceId, Token
from immutable_aws.groups.calls import Groups
from immutable_aws.groups.group import Group, Seat
from immutable_aws.groups.instances import Instances
from immutable_aws.groups.launching import Launching, bounds
from immutable_aws.session import Aws
from immutable_aws.watching.evidence import keep


class Replacing:
    """How instances of a fleet that exists are exchanged."""

    def __init__(
        self, aws: Aws, *, groups: Groups, instances: Instances, launching: Launching
    ) -> None:
        self._aws = aws
        self._groups = groups
        self._instances = instances
        self._launching = launching

    def resize(
        self, spec: FleetSpec, *, remove: Collection[InstanceId], token: Token
    ) -> None:
        """Terminate exactly ``remove``; then let the fleet have its size.

        While it is frozen, it loses nobody else. A fleet that scales itself is set to its
        size, and chooses by itself whom it parts with.

        Raises:
            NotEnough: there is no room for what is missing.
        """
        group = self._groups.find(spec.name)
        if group is None:
            self._launching.launch(spec, token)
            return
        leaving = [seat for seat in group.staying if seat.id in remove]
        least = group.desired - len(leaving) if group.is_frozen else 0
        self._exchange(group, leaving, max(spec.size, least))
        self._launching.complete(spec.name, spec.size, without=remove)

    def replace(self, spec: FleetSpec, *, instance: InstanceId, token: Token) -> None:
        """Terminate one instance and dead ones, and let others take their places.

        A fleet that scales itself keeps the size that it has given itself.

        Raises:
            NotEnough: there is no room for what is missing.
        """
        group = self._groups.find(spec.name)
        if group is None:
            self._launching.launch(spec, token)
            return
        leaving = [
            s for s in group.staying if s.id == instance or self._is_dead(s, group)
        ]
        size = group.desired
        if group.is_frozen:
            size = max(spec.size, group.desired - len(leaving))
        self._exchange(group, leaving, size)
        without = {instance, *(seat.id for seat in leaving)}
        self._launching.complete(spec.name, min(size, spec.size), without=without)

    def _exchange(self, group: Group, leaving: list[Seat], size: int) -> None:
        keep(self._aws, group, leaving)
        surplus = group.desired - size
        if surplus > 0 and group.smallest > size:
            # a group refuses to shrink below its lower bound
            self._groups.bound(group.name, smallest=size, largest=group.largest)
        for number, seat in enumerate(leaving):
            self._groups.terminate(seat.id, shrinking=number < surplus)
        if surplus:
            smallest, largest = bounds(group, size)
            self._groups.size(group.name, size, smallest=smallest, largest=largest)

    def _is_dead(self, seat: Seat, group: Group) -> bool:
        if seat.is_healthy:
            return False
        ids = [other.id for other in group.seats]
        facts = self._instances.facts(group.name, ids, afresh=True).get(seat.id)
        return facts is not None and facts.is_dead
