"""What is there at the emulated AWS, past the library, beside what the ledger says."""

import urllib.error
import urllib.request
from collections import Counter
from collections.abc import Iterator, Mapping

import attrs

from emulators.aws.account import REGION, Account
from immutable.ledger.state import FleetEntry, FleetStatus, State
from immutable_aws.inventory import inventory
from immutable_aws.session import Place, aws_of
from proofs.aws.site import Site

_KEPT = {FleetStatus.LIVE, FleetStatus.STANDBY}
_HEALS = "ReplaceUnhealthy"
_LOGS = "log group"
_ROUTINGS, _GUARD = "rule routing", "rule guard"
_KEPT_ROUTINGS = 12
"""Older ones go with the next fleet that leaves; undisturbed there are up to 6."""
_VISITS = 6
_TIMEOUT_S = 10.0


@attrs.frozen(kw_only=True)
class Group:
    """An Auto Scaling group as AWS tells of it."""

    instances: frozenset[str]
    in_service: frozenset[str]
    suspended: frozenset[str]


@attrs.frozen(kw_only=True)
class World:
    """What AWS tells of one service, found by names, not by tags."""

    groups: Mapping[str, Group]
    templates: frozenset[str]
    healthy: Mapping[str, int]
    """Target groups by name → how many of their targets are healthy."""
    instances: frozenset[str]
    """Those of the service's fleets that run, or are about to."""
    tagged: Counter[str]
    """How many there are of each kind, by tags: for kinds that have no names."""

    @property
    def is_empty(self) -> bool:
        """Return whether nothing is left but rules of the switch, which name no fleet.

        The newest routings stay, so that whoever comes late with an older one lands below
        them; and the guard, where a deployer died between making it and a first place.
        """
        named = (self.groups, self.templates, self.healthy, self.instances)
        return not any(named) and set(self.tagged) <= {_ROUTINGS, _GUARD}

    def names(self) -> tuple[object, ...]:
        """Return what must be the same after doing nothing."""
        groups = {name: sorted(g.instances) for name, g in self.groups.items()}
        frozen = {name: sorted(g.suspended) for name, g in self.groups.items()}
        return groups, frozen, self.templates, sorted(self.healthy), self.tagged


def look(account: Account, site: Site) -> World:
    """Ask AWS what there is."""
    groups = dict(_groups(account, site))
    templates = account.ec2.describe_launch_templates()["LaunchTemplates"]
    places = account.elbv2.describe_target_groups()["TargetGroups"]
    return World(
        groups=groups,
        templates=frozenset(
            row["LaunchTemplateName"]
            for row in templates
            if _is_of(row["LaunchTemplateName"], site)
        ),
        healthy={
            row["TargetGroupName"]: account.health(row["TargetGroupArn"])["healthy"]
            for row in places
            if _is_of(row["TargetGroupName"], site)
        },
        instances=frozenset(_instances(account, site)),
        tagged=_tagged(site),
    )


def problems(world: World, state: State) -> Iterator[str]:
    """Yield what contradicts the ledger, or is left over."""
    if state.attempt is not None:
        yield "the ledger has an attempt that is not ended"
    known = {str(entry.name): entry for entry in state.fleets}
    for entry in state.fleets:
        if entry.status not in _KEPT:
            yield f"the ledger still has {entry.name}, which is {entry.status}"
    named = {"group": world.groups, "template": world.templates, "place": world.healthy}
    for kind, names in named.items():
        if set(names) != set(known):
            yield f"{kind}s {sorted(names)}, the ledger has {sorted(known)}"
    seated = frozenset[str]().union(*(g.instances for g in world.groups.values()))
    if world.instances != seated:
        yield f"{sorted(world.instances ^ seated)} run and are in no group, or the reverse"
    for name, entry in known.items():
        if name in world.groups:
            yield from _of_fleet(entry, world.groups[name], world.healthy.get(name, 0))
    yield from _of_tags(world.tagged, sum(e.size for e in state.fleets), len(known))


def _of_fleet(entry: FleetEntry, group: Group, healthy: int) -> Iterator[str]:
    if len(group.instances) != entry.size or group.in_service != group.instances:
        yield (
            f"{entry.name} should have {entry.size} instances, has"
            f" {sorted(group.instances)}, {len(group.in_service)} in service"
        )
    if healthy != entry.size:
        yield f"{healthy} of {entry.name} are healthy, not {entry.size}"
    is_live = entry.status is FleetStatus.LIVE
    if is_live == (_HEALS in group.suspended):
        yield f"{entry.name} is {entry.status}, with {sorted(group.suspended)} suspended"


def _of_tags(tagged: Counter[str], instances: int, fleets: int) -> Iterator[str]:
    exact = {"instance": instances, "rule place": fleets}
    most = {
        "volume": instances,
        "network interface": instances,
        _ROUTINGS: _KEPT_ROUTINGS,
    }
    for kind, count in exact.items():
        if tagged[kind] != count:
            yield f"{tagged[kind]} of kind {kind!r}, not {count}"
    for kind, count in most.items():
        if tagged[kind] > count:
            yield f"{tagged[kind]} of kind {kind!r}, at most {count} are used"
    for kind in ("snapshot", "image", "security group"):
        if tagged[kind]:
            yield f"{tagged[kind]} of kind {kind!r}, which nobody made"


def visits(url: str, count: int = _VISITS) -> frozenset[str]:
    """Return who answers clients; empty text for an answer of nobody's."""
    return frozenset(_visit(url) for _ in range(count))


def _visit(url: str) -> str:
    try:
        with urllib.request.urlopen(url, timeout=_TIMEOUT_S) as answer:
            return str(answer.headers.get("x-release", "?"))
    except urllib.error.HTTPError:
        return ""


def _is_of(name: str, site: Site) -> bool:
    return name.startswith(f"{site.name}-v")


def _groups(account: Account, site: Site) -> Iterator[tuple[str, Group]]:
    found = account.autoscaling.describe_auto_scaling_groups()["AutoScalingGroups"]
    for row in found:
        if _is_of(row["AutoScalingGroupName"], site):
            seats = row["Instances"]
            yield (
                row["AutoScalingGroupName"],
                Group(
                    instances=frozenset(seat["InstanceId"] for seat in seats),
                    in_service=frozenset(
                        seat["InstanceId"]
                        for seat in seats
                        if seat["LifecycleState"] == "InService"
                    ),
                    suspended=frozenset(
                        each["ProcessName"] for each in row["SuspendedProcesses"]
                    ),
                ),
            )


def _instances(account: Account, site: Site) -> Iterator[str]:
    pages = account.ec2.get_paginator("describe_instances").paginate(
        Filters=[{"Name": "instance-state-name", "Values": ["pending", "running"]}]
    )
    for page in pages:
        for reservation in page["Reservations"]:
            for row in reservation["Instances"]:
                tags = {tag["Key"]: tag["Value"] for tag in row.get("Tags", [])}
                if _is_of(
                    tags.get("aws:autoscaling:groupName", f"{site.name}-v"), site
                ):
                    yield row["InstanceId"]


def _tagged(site: Site) -> Counter[str]:
    """Count by kind, as `inventory` names things: a kind and its name, or a rule's role."""
    names = inventory(aws_of(Place(region=REGION)), service=site.name)
    kinds = (name.rpartition(" ")[0] for name in names if not name.startswith(_LOGS))
    return Counter(kinds)
