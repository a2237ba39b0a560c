"""What a group waits for: the time of a scheduled action, somebody at a hook."""

import datetime as dt
import time
from typing import TYPE_CHECKING

from emulators.aws.groups.model import Group, Slot
from emulators.aws.hooks import refuse
from emulators.aws.params import Params

if TYPE_CHECKING:
    from emulators.aws.world import World


def resize(group: Group, desired: int) -> None:
    """Set how many instances a group is to have.

    Raises:
        ServiceException: it is outside the bounds.
    """
    if desired > group.maximum:
        message = (
            f"New SetDesiredCapacity value {desired} is above max value {group.maximum} "
            f"for the AutoScalingGroup."
        )
        raise refuse("ValidationError", message)
    if desired < group.minimum:
        message = (
            f"New SetDesiredCapacity value {desired} is below min value {group.minimum} "
            f"for the AutoScalingGroup."
        )
        raise refuse("ValidationError", message)
    before = group.desired
    group.desired, group.retry_at, group.failures = desired, 0.0, 0
    change = f"changing the desired capacity from {before} to {desired}"
    group.because = f"a user request explicitly set group desired capacity {change}"


def wait_at_hook(world: "World", group: Group, slot: Slot) -> bool:
    """Return whether a new instance has to wait at a hook before it comes into service.

    Source: EC2 Auto Scaling user guide, "How lifecycle hooks work": Pending:Wait until
    somebody completes the action, or its timeout is over, with the default result then.
    Termination hooks are kept and not waited at.
    """
    transition = "autoscaling:EC2_INSTANCE_LAUNCHING"
    found = [
        h for h in group.hooks.values() if h.get("LifecycleTransition") == transition
    ]
    if not found or slot.passed:
        return False
    if slot.state == "Pending":
        slot.state, slot.since = "Pending:Wait", time.monotonic()
    hook = Params(found[0])
    limit = world.scaled(float(hook.number("HeartbeatTimeout") or 3600))
    if time.monotonic() - slot.since > limit:
        go_on(slot, hook.text("DefaultResult"))
    return not slot.passed


def perform_schedule(group: Group) -> None:
    """Perform the scheduled actions that are due, each once."""
    if not group.runs("ScheduledActions"):
        return
    for name, action in list(group.schedule.items()):
        start = action.get("StartTime")
        due = isinstance(start, dt.datetime) and start <= dt.datetime.now(tz=dt.UTC)
        if due and "Recurrence" not in action:
            del group.schedule[name]
            _perform(group, Params(action))


def _perform(group: Group, action: Params) -> None:
    minimum, maximum = action.number("MinSize"), action.number("MaxSize")
    group.minimum = group.minimum if minimum is None else minimum
    group.maximum = group.maximum if maximum is None else maximum
    desired = action.number("DesiredCapacity")
    wanted = group.desired if desired is None else desired
    resize(group, min(max(wanted, group.minimum), group.maximum))
    group.because = "a scheduled action changed the group"


def go_on(slot: Slot, result: str) -> None:
    """Let an instance go on from where it waits; it is terminated unless CONTINUE."""
    slot.passed = True
    if result != "CONTINUE":
        slot.health = "Unhealthy"
