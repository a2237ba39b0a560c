"""Instances change their state by the clock, and each is a machine that answers."""

from typing import TYPE_CHECKING

from moto.ec2.models.amis import Ami
from moto.ec2.models.instances import Instance, InstanceState, StateReason

from emulators.plane.behaviour import Behaviour
from emulators.plane.machines import Machine

if TYPE_CHECKING:
    from emulators.aws.world import World

_CODES = {
    "pending": 0,
    "running": 16,
    "shutting-down": 32,
    "terminated": 48,
    "stopping": 64,
    "stopped": 80,
}
TAG = "emulator:behaviour"
"""The tag of an image that says what its machines do."""


def behaviour_of(world: "World", name: str, image: Ami | None) -> Behaviour:
    """Return what the machines of an image do: as was said of it, or as it says itself.

    An image says it in the tag ``emulator:behaviour``, or in its description after
    ``emulate:``.
    """
    said = world.behaviours.get(name)
    if said is not None:
        return said
    if image is None:
        return Behaviour()
    tags = {tag["key"]: tag["value"] for tag in image.get_tags()}
    _, _, described = (image.description or "").partition("emulate:")
    return Behaviour.parse(tags.get(TAG, described))


def switch_on(world: "World", instance: Instance) -> None:
    """Begin to boot: pending, then running.

    Source: EC2 user guide, "Instance lifecycle": *"When you launch an instance, it enters
    the pending state"*, and *"after the instance is ready for you, it enters the running
    state"*. moto reports running at once. One that powers itself
    off is stopped or terminated: botocore, ``InstanceInitiatedShutdownBehavior``.
    """
    name = instance.image_id
    behaviour = behaviour_of(world, name, instance.ec2_backend.amis.get(name))
    move(instance, "pending")
    delay = world.settings.boot_s if behaviour.boot is None else behaviour.boot

    def run() -> None:
        if instance.state == "pending" and behaviour.stillborn:
            _fail(instance)
        elif instance.state == "pending":
            move(instance, "running")
            _power(world, instance, behaviour)
            if behaviour.halt is not None:
                world.agenda.later(behaviour.halt, halt)

    def halt() -> None:
        if instance.state == "running":
            kind = instance.instance_initiated_shutdown_behavior
            last = "terminated" if kind == "terminate" else "stopped"
            switch_off(world, instance, last=last)

    world.agenda.later(delay, run)


def switch_off(world: "World", instance: Instance, *, last: str) -> None:
    """End its machine at once; its state follows: shutting down, then terminated.

    Source: EC2 user guide, "Instance lifecycle": an instance is shutting down
    before it is terminated, and stopping before it is stopped.
    """
    first = "shutting-down" if last == "terminated" else "stopping"
    move(instance, first)
    machine = world.machines.get(instance.id)
    if machine:
        world.runner.run(machine.halt())

    def end() -> None:
        if instance.state == first:
            move(instance, last)

    world.agenda.later(world.settings.halt_s, end)


def move(instance: Instance, state: str) -> None:
    """Set the state of an instance."""
    # a state is shared with answers that were given already: never change one in place
    instance._state = InstanceState(state, _CODES[state])  # noqa: SLF001 - see there
    if state in {"pending", "running"}:
        instance.state_reason = StateReason()


def _fail(instance: Instance) -> None:
    """End what could not start.

    Source: EC2 user guide, "Instance terminates immediately": pending, then terminated, with a
    state reason such as ``Server.InternalError``.
    """
    move(instance, "terminated")
    code = "Server.InternalError"
    instance.state_reason = StateReason(f"{code}: Internal error on launch", code)


def _power(world: "World", instance: Instance, behaviour: Behaviour) -> None:
    own = instance.private_ip or ""
    machine = world.machines.get(instance.id)
    if machine is None:
        machine = Machine(
            id=instance.id,
            image=instance.image_id,
            address=own if world.addresses.within(own) else world.addresses.spare(),
            behaviour=behaviour,
            user_data=_user_data(instance),
        )
        world.machines[instance.id] = machine
    world.runner.run(machine.boot())


def _user_data(instance: Instance) -> bytes:
    if instance.user_data is None:
        return b""
    return instance.user_data.decode("latin-1").encode("latin-1")
