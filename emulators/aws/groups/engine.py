"""What goes on by itself in a group: launching, replacing, registering, terminating."""

import time
from typing import TYPE_CHECKING

from emulators.aws.behaviour.booting import switch_off
from emulators.aws.groups import launching
from emulators.aws.groups.model import Group, Slot
from emulators.aws.groups.waiting import perform_schedule, wait_at_hook
from emulators.plane.pools import Pool

if TYPE_CHECKING:
    from emulators.aws.world import World

_BATCH = 25
_RETRY_S = 0.5
_RETRY_MOST_S = 8.0
_PERIOD_S, _SLOT_S = 0.05, 0.0003


def tick(world: "World") -> None:
    """Let every group do what is due."""
    last = world.keep("groups").get("looked", 0.0)
    moment = time.monotonic()
    count = sum(len(group.slots) for group in world.groups.values())
    if isinstance(last, float) and moment - last < max(_PERIOD_S, _SLOT_S * count):
        return
    world.keep("groups")["looked"] = moment
    for group in list(world.groups.values()):
        settle(world, group)


def settle(world: "World", group: Group) -> None:
    """Bring one group nearer to what it is to be."""
    perform_schedule(group)
    _follow(world, group)
    _check_health(world, group)
    _replace(world, group)
    _grow(group)
    _shrink(world, group)
    _bind(world, group)
    _end_deletion(world, group)


def _follow(world: "World", group: Group) -> None:
    """Follow what has become of the instances."""
    for slot in list(group.slots):
        state = world.instances[slot.id].state
        starts = slot.state.startswith("Pending") and state == "running"
        if starts and not wait_at_hook(world, group, slot):
            slot.state, slot.since = "InService", time.monotonic()
            slot.launch.finish("Successful")
            group.failures = 0
        if slot.state.startswith("Pending") and state not in {"pending", "running"}:
            _give_up(group, slot)
        if slot.is_leaving:
            _leave(world, group, slot)


def _give_up(group: Group, slot: Slot) -> None:
    """Forget an instance that never came to run, and try again later."""
    group.slots.remove(slot)
    slot.launch.finish("Failed", "Instance failed to launch: it never came to run.")
    _delay(group)


def _leave(world: "World", group: Group, slot: Slot) -> None:
    """Terminate an instance when its targets have drained, and forget it when it is gone.

    Source: EC2 Auto Scaling user guide, "Attach a load balancer": an instance is
    terminated when its requests are answered, or the deregistration delay is over. Here
    it always waits for the delay.
    """
    instance = world.instances[slot.id]
    due = slot.leaves_at is not None and slot.leaves_at <= time.monotonic()
    if due and instance.state in {"pending", "running", "stopping", "stopped"}:
        switch_off(world, instance, last="terminated")
    if instance.state == "terminated":
        group.slots.remove(slot)
        if slot.ending:
            slot.ending.finish("Successful")


def _check_health(world: "World", group: Group) -> None:
    """Call an instance unhealthy that does not run, or that its target groups call so.

    Source: EC2 Auto Scaling user guide, "Health checks for instances in an Auto Scaling
    group": EC2 checks take any state other than running for unhealthy; ELB checks count if
    the group's type is ELB, and not before the grace period is over. moto replaces nothing
    that was stopped or set unhealthy.
    """
    if not group.runs("HealthCheck"):
        return
    ill = _ill(world, group)
    born = time.monotonic() - world.scaled(group.grace_s)
    for slot in group.slots:
        if slot.state != "InService" or slot.health != "Healthy":
            continue
        stopped = world.instances[slot.id].state != "running"
        if stopped or (slot.id in ill and slot.since <= born):
            slot.health = "Unhealthy"


def _ill(world: "World", group: Group) -> set[str]:
    """Return which targets the group's target groups call unhealthy, if it asks them."""
    if group.health_type != "ELB":
        return set()
    members = [m for p in _pools(world, group) for m in list(p.members.values())]
    return {member.id for member in members if member.state == "unhealthy"}


def _replace(world: "World", group: Group) -> None:
    """Terminate what is unhealthy; a new one is launched for it.

    Source: EC2 Auto Scaling user guide, "Suspend and resume processes":
    ``ReplaceUnhealthy`` terminates what is unhealthy, and launches for it;
    ``Terminate`` and ``Launch`` each hold back their part.
    """
    if not (group.runs("ReplaceUnhealthy") and group.runs("Terminate")):
        return
    for slot in list(group.slots):
        if slot.health == "Unhealthy" and slot.is_alive:
            cause = "an instance was taken out of service in response to a health check"
            dismiss(world, group, slot, cause)


def _grow(group: Group) -> None:
    if not group.runs("Launch") or group.status or time.monotonic() < group.retry_at:
        return
    missing = group.desired - len(group.alive)
    # whoever calls meanwhile is not to wait for all of them
    for _ in range(min(missing, _BATCH)):
        if launching.launch(group) is None:
            _delay(group)
            return


def _delay(group: Group) -> None:
    group.failures += 1
    delay = min(_RETRY_S * 2 ** (group.failures - 1), _RETRY_MOST_S)
    group.retry_at = time.monotonic() + delay


def _shrink(world: "World", group: Group) -> None:
    """Terminate what is too many: of the fullest zone, the oldest first.

    Source: EC2 Auto Scaling user guide, "Default termination policy": first the zone with
    the most instances, protected instances never.
    """
    if not group.runs("Terminate"):
        return
    for _ in range(len(group.alive) - group.desired):
        free = [slot for slot in group.alive if not slot.protected]
        if not free:
            return
        zones = [slot.zone for slot in group.alive]
        fullest = max(free, key=lambda slot: zones.count(slot.zone)).zone
        oldest = min((s for s in free if s.zone == fullest), key=lambda s: s.since)
        cause = "an instance was selected for termination, shrinking the capacity"
        dismiss(world, group, oldest, cause)


def dismiss(world: "World", group: Group, slot: Slot, cause: str) -> None:
    """Take an instance out of service: its targets drain, then it is terminated."""
    slot.state = "Terminating"
    slot.ending = group.note(f"Terminating EC2 instance: {slot.id}", cause)
    waits = [0.0]
    for pool in _pools(world, group):
        if any(member.id == slot.id for member in list(pool.members.values())):
            pool.deregister(slot.id)
            waits.append(pool.drain_s)
    running = world.instances[slot.id].state == "running"
    slot.leaves_at = time.monotonic() + (max(waits) if running else 0.0)


def _bind(world: "World", group: Group) -> None:
    """Register what is in service with the group's target groups.

    Source: EC2 Auto Scaling user guide, "Attach a load balancer": instances are registered
    as they come into service; ``AddToLoadBalancer`` is what does so.
    """
    if not group.runs("AddToLoadBalancer"):
        return
    for pool, port in _ports(world, group):
        known = {member.id for member in list(pool.members.values())}
        for slot in group.slots:
            ready = slot.state == "InService" and slot.id not in known
            if ready and world.instances[slot.id].state == "running":
                pool.register(slot.id, port)


def _end_deletion(world: "World", group: Group) -> None:
    if group.status and not group.slots:
        world.groups.pop(((group.account, group.region), group.name), None)


def _pools(world: "World", group: Group) -> list[Pool]:
    return [pool for pool, _ in _ports(world, group)]


def _ports(world: "World", group: Group) -> list[tuple[Pool, int]]:
    return [
        (world.pools[arn], world.pools[arn].port)
        for arn, state in group.targets.items()
        if state != "Removing" and arn in world.pools
    ]
