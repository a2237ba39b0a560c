"""Terminating, stopping and starting instances, and what they have printed."""

from moto.core.types import Base64EncodedString
from moto.core.utils import utcnow

from emulators.aws.behaviour.booting import switch_off, switch_on
from emulators.aws.hooks import Call, handles, refuse


@handles("ec2", "TerminateInstances")
def terminating_takes_time(call: Call) -> object:
    """Shut down by the clock, and leave every target group.

    Source: EC2 user guide, "Instance lifecycle"; Application Load Balancers, "Register
    targets": a terminated instance is deregistered. botocore, TerminateInstances: *"if
    you terminate an instance more than once, each call succeeds"*; *"none of the
    instances are terminated"* where one id is wrong.
    """
    ids = call.params.texts("InstanceIds")
    _all_known(call, ids)
    before = {each: call.world.instances[each].state for each in ids}
    gone = {each for each, state in before.items() if state == "terminated"}
    if call.params.flag("DryRun"):
        return call.proceed()
    if not gone.issuperset(ids):
        call.put("InstanceIds", [each for each in ids if each not in gone])
        call.proceed()
    for each in ids:
        _end(call, each, before[each])
    return {"TerminatingInstances": [_change(call, each, before[each]) for each in ids]}


@handles("ec2", "StopInstances")
def stopping_takes_time(call: Call) -> object:
    """Stop by the clock; see ``booting.switch_off``."""
    answer = call.proceed()
    for each in call.params.texts("InstanceIds"):
        switch_off(call.world, call.world.instances[each], last="stopped")
    return answer


@handles("ec2", "StartInstances")
def starting_takes_time(call: Call) -> object:
    """Boot again by the clock; see ``booting.switch_on``."""
    answer = call.proceed()
    for each in call.params.texts("InstanceIds"):
        switch_on(call.world, call.world.instances[each])
    return answer


@handles("ec2", "GetConsoleOutput")
def console_is_what_was_printed(call: Call) -> object:
    """Return what the machine has really printed, and nothing before it has booted.

    Source: botocore, GetConsoleOutput: *"the instance console output displays the exact
    console output that would normally be displayed on a physical monitor"*. moto answers a
    constant text.
    """
    call.proceed()
    instance = call.params.text("InstanceId")
    machine = call.world.machines.get(instance)
    answer: dict[str, object] = {"InstanceId": instance, "Timestamp": utcnow()}
    if machine and machine.console:
        text = "\r\n".join([*machine.console, ""])
        answer["Output"] = Base64EncodedString.from_raw_string(text)
    return answer


def _all_known(call: Call, ids: tuple[str, ...]) -> None:
    missing = [each for each in ids if each not in call.world.instances]
    if missing:
        message = f"The instance IDs '{', '.join(missing)}' do not exist"
        raise refuse("InvalidInstanceID.NotFound", message)


def _end(call: Call, instance: str, before: str) -> None:
    if before not in {"shutting-down", "terminated"}:
        switch_off(call.world, call.world.instances[instance], last="terminated")
        for pool in call.world.pools.values():
            pool.deregister(instance)


def _change(call: Call, instance: str, before: str) -> dict[str, object]:
    now = call.world.instances[instance].instance_state
    codes = {"pending": 0, "running": 16, "shutting-down": 32, "terminated": 48}
    return {
        "InstanceId": instance,
        "CurrentState": {"Code": now.code, "Name": now.name},
        "PreviousState": {"Code": codes.get(before, 80), "Name": before},
    }
