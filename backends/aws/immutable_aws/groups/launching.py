"""Launching a fleet: a template, a group that holds still, and instances that are there.

Each call may be the last of a process that dies, and the same launch again goes on from
there: what exists already is taken over where its tags say that this launch made it. A
group is bound to its template's id, so that nothing of a launch that is late can come back
once the template is deleted.
"""

from collections.abc import Collection
from datetime import timedelta
from itertools import count

from immutable.authoring import wait_until
from immutable.errors import Taken
from immutable.model import FleetName, FleetSpec, InstanceId, Token
from immutable_aws.config import AwsConfig
from immutable_aws.groups.activities import Attempts
from immutable_aws.groups.calls import Groups
from immutable_aws.groups.group import Group
from immutable_aws.groups.requesting import (
    check,
    group_request,
    launch_tags,
    template_data,
)
from immutable_aws.groups.subnets import Subnets
from immutable_aws.groups.template import TemplateVersion
from immutable_aws.groups.templates import Templates, unlisted
from immutable_aws.session import Aws
from immutable_aws.tagging import differing
from immutable_aws.watching.evidence import prepare_logs

_PATIENCE = timedelta(minutes=5)
"""Until every instance is listed by its group, which does not mean that it has booted."""
_EVERY = timedelta(seconds=1)
_UNHURRIED = 2
"""A group that has just been made lists nothing yet: so often before it is asked why."""


class Launching:
    """How fleets begin, and how they get the instances that they lack."""

    def __init__(
        self, config: AwsConfig, aws: Aws, *, groups: Groups, templates: Templates
    ) -> None:
        self._config = config
        self._aws = aws
        self._groups = groups
        self._templates = templates
        self._subnets = Subnets(config, aws)
        self._made: dict[FleetName, str] = {}
        self._untouched: set[FleetName] = set()

    def made(self, fleet: FleetName) -> str | None:
        """Return the template that was made here for a fleet, which may not be listed yet."""
        return self._made.get(fleet)

    def take_untouched(self, fleet: FleetName) -> bool:
        """Return, once, whether a group was made here: it was never let go until now."""
        untouched = fleet in self._untouched
        self._untouched.discard(fleet)
        return untouched

    def forget(self, fleet: FleetName) -> None:
        """Forget a fleet of which nothing is left."""
        self._made.pop(fleet, None)
        self._untouched.discard(fleet)

    def launch(self, spec: FleetSpec, token: Token) -> None:
        """Create what is missing of a fleet, frozen.

        Raises:
            InvalidInput: AWS would not take it; there was no effect.
            NotEnough: there is no room for some instances.
            Taken: something of this name was launched otherwise.
        """
        check(spec)
        subnets = self._subnets.of(spec)
        if self._config.instance_profile:
            # without a role no agent could write to it
            prepare_logs(self._aws, spec)
        tags = launch_tags(spec, self._config, subnets)
        data = template_data(spec, self._config)
        template = self._templates.create(spec.name, data, tags=tags, token=token)
        self._made[spec.name] = template
        request = group_request(
            spec, self._config, template=template, subnets=subnets, tags=tags
        )
        try:
            self._groups.create(request)
        except Taken as exc:
            size = self._adopt(spec, template, tags, exc)
        else:
            self._untouched.add(spec.name)
            self._groups.hold(spec.name)
            size = spec.size
        self.complete(spec.name, size)

    def complete(
        self, fleet: FleetName, size: int, *, without: Collection[InstanceId] = ()
    ) -> None:
        """Wait until a group lists so many instances, and some not any more.

        Raises:
            NotEnough: there is no room for some of them.
            Ambiguous: they are not there yet, and may still come.
        """
        looks, attempts = count(1), Attempts(self._aws, fleet)

        def look() -> Group | None:
            group = self._groups.look(fleet)
            if group is not None and _is_complete(group, size, without):
                return group
            if group is not None and next(looks) > _UNHURRIED:
                attempts.check()
            return None

        wait_until(
            look,
            f"launching {size} instances of {fleet}",
            within=_PATIENCE,
            every=_EVERY,
        )

    def grow(self, group: Group, size: int) -> None:
        """Let a group have at least so many instances; it loses none."""
        if group.desired >= size:
            return
        smallest, largest = bounds(group, size)
        self._groups.size(group.name, size, smallest=smallest, largest=largest)

    def _adopt(
        self, spec: FleetSpec, template: str, tags: dict[str, str], exc: Taken
    ) -> int:
        """Go on with a group that is there, and return how many instances it is to have."""
        group = self._groups.find(spec.name)
        if group is None:
            raise unlisted(spec.name, "group") from exc
        if other := _strange(group, spec, template, tags):
            raise Taken(
                f"group {spec.name} is there, and not of this launch: {other}",
                hint="it was launched with another configuration, or by somebody else",
                operation="fleets.launch",
                resource=spec.name,
                backend="aws",
            ) from exc
        if group.is_let_go:
            return min(spec.size, group.desired)
        if not group.is_frozen:
            self._groups.hold(spec.name)
        self.grow(group, spec.size)
        return spec.size


def bounds(group: Group, size: int) -> tuple[int, int]:
    """Return a group's bounds, wide enough for a size.

    Those of a group that may have one size only follow it; others stay as they are meant.
    """
    if group.smallest == group.largest:
        return size, size
    return min(group.smallest, size), max(group.largest, size)


def _is_complete(group: Group, size: int, without: Collection[InstanceId]) -> bool:
    staying = {seat.id for seat in group.staying}
    return len(staying) >= size and staying.isdisjoint(without)


def _strange(group: Group, spec: FleetSpec, template: str, tags: dict[str, str]) -> str:
    if group.is_deleted:
        return "it is being deleted"
    if group.template != TemplateVersion(template=template):
        return f"its template is {group.template}"
    if spec.place and spec.place not in group.places:
        return f"its target groups are {', '.join(group.places) or 'none'}"
    return differing(tags, group.tags)
