"""Images: pending first, one name each, with the tags and devices they were made with."""

import datetime as dt
from collections.abc import Iterable, Mapping

from moto.ec2.models import ec2_backends
from moto.ec2.models.amis import Ami

from emulators.aws.behaviour.booting import behaviour_of
from emulators.aws.hooks import Call, handles, refuse, result_of, tell
from emulators.aws.params import Params
from emulators.aws.settings import Settings


@handles("ec2", "CreateImage", "CopyImage", "RegisterImage")
def names_are_unique(call: Call) -> object:
    """Refuse a name that one of the account's images has.

    Source: EC2 error codes: ``InvalidAMIName.Duplicate`` for a name that is in use.
    That it stays in use for a while after deregistration is not modelled. moto accepts
    it.
    """
    name = call.params.text("Name")
    for image in _images(call).values():
        if image.name == name and image.owner_id == call.account:
            message = f"AMI name {name} is already in use by AMI {image.id}"
            raise refuse("InvalidAMIName.Duplicate", message)
    return call.proceed()


@handles("ec2", "CreateImage", "CopyImage", "RegisterImage")
def tags_are_kept(call: Call) -> object:
    """Tag the image and its snapshots as asked, and keep its devices.

    Source: botocore, CreateImage, ``TagSpecifications``: *"To tag the AMI, the value for
    ResourceType must be image. To tag the snapshots that are created of the root volume and
    of other Amazon EBS volumes that are attached to the instance, the value for ResourceType
    must be snapshot."* moto drops them in RegisterImage and CopyImage, and refuses those of
    snapshots.
    """
    wanted = [spec.values for spec in call.params.bags("TagSpecifications")]
    devices = [each.values for each in call.params.bags("BlockDeviceMappings")]
    call.put("TagSpecifications", [])
    answer = call.proceed()
    image = _made(call, answer)
    for spec in wanted:
        resource = image if spec["ResourceType"] == "image" else image.ebs_snapshot
        resource.add_tags(_pairs(Params(spec)))
    _note_devices(image, devices)
    return answer


@handles("ec2", "CreateImage", "CopyImage", "RegisterImage")
def images_are_pending_first(call: Call) -> object:
    """Let an image become available by the clock.

    Source: botocore, ``ImageState``; CreateImage: *"Creates an Amazon EBS-backed AMI from an
    Amazon EBS-backed instance that is either running or stopped."* moto has it available at
    once.
    """
    answer = call.proceed()
    image = _made(call, answer)
    image.state = "pending"

    def finish() -> None:
        if image.state == "pending":
            image.state = "available"

    call.at(call.world.settings.image_s, finish)
    return answer


@handles("ec2", "CreateImage")
def images_come_of_instances(call: Call) -> object:
    """Make images of running and stopped instances only, and tell the architecture.

    Source: as for ``images_are_pending_first``; EC2 error codes,
    ``IncorrectInstanceState``.
    """
    instance = call.world.instances.get(call.params.text("InstanceId"))
    if instance is not None and instance.state not in {
        "running",
        "stopped",
        "stopping",
    }:
        message = f"Instance '{instance.id}' is not 'running' or 'stopped'."
        raise refuse("IncorrectInstanceState", message)
    return call.proceed()


@handles("ec2", "RegisterImage")
def registered_as_asked(call: Call) -> object:
    """Keep architecture, root device and location. moto drops them.

    Source: botocore, RegisterImage, ``Architecture``: *"For Amazon EBS-backed AMIs,
    i386."* by default; callers here name one.
    """
    answer = call.proceed()
    image = _made(call, answer)
    image.architecture = call.params.text("Architecture", "x86_64")
    image.root_device_name = call.params.text("RootDeviceName", image.root_device_name)
    image.root_device_type = "ebs"
    image.virtualization_type = call.params.text("VirtualizationType", "hvm")
    return answer


@handles("ec2", "CopyImage")
def copies_do_the_same(call: Call) -> object:
    """Copy only what is available; a copy's machines do what the source's do.

    Source: botocore, CopyImage, ``CopyImageTags``: *"Your user-defined AMI tags are not
    copied"* unless asked for.
    """
    region, source = call.params.text("SourceRegion"), call.params.text("SourceImageId")
    original = ec2_backends[call.account][region].amis.get(source)
    if original is None or original.state != "available":
        message = f"The image id '[{source}]' does not exist or is not available"
        raise refuse("InvalidAMIID.Unavailable", message)
    answer = call.proceed()
    image = _made(call, answer)
    call.world.behaviours[image.id] = behaviour_of(call.world, source, original)
    tell(image, source_image_id=source, source_image_region=region)
    if call.params.flag("CopyImageTags"):
        image.add_tags({tag["key"]: tag["value"] for tag in original.get_tags()})
    return answer


@handles("ec2", "DeregisterImage")
def deregistration_is_guarded(call: Call) -> object:
    """Refuse to deregister a protected image; delete its snapshots when asked.

    Source: EC2 user guide, "Protect an AMI from deregistration"; botocore,
    ``DeleteAssociatedSnapshots``: *"Specifies whether to delete the snapshots associated with
    the AMI during deregistration"*, and ``DeleteSnapshotReturnCode``: the image goes in any
    case, and ``missing-permissions`` is said where *"the role lacks DeleteSnapshot
    permissions"*. Which other code is said is for the setting ``snapshot_code``.
    """
    name = call.params.text("ImageId")
    image = _images(call).get(name)
    if image and str(call.world.keep(name).get("guard", "")).startswith("enabled"):
        message = f"The AMI {name} has deregistration protection enabled."
        raise refuse("OperationNotPermitted", message)
    snapshots = [image.ebs_snapshot.id] if image else []
    answer = call.proceed()
    if not call.params.flag("DeleteAssociatedSnapshots"):
        return answer
    code = _snapshot_code(call.world.settings)
    for snapshot in snapshots if code == "success" else ():
        ec2_backends[call.account][call.region].delete_snapshot(snapshot)
    codes = [{"SnapshotId": each, "ReturnCode": code} for each in snapshots]
    return {"Return": True, "DeleteSnapshotResults": codes}


@handles(
    "ec2", "EnableImageDeregistrationProtection", "DisableImageDeregistrationProtection"
)
def guard(call: Call) -> object:
    """Protect an image from deregistration, or no longer. moto has no such call.

    Source: botocore, EnableImageDeregistrationProtection: *"When deregistration protection
    is enabled, the AMI can't be deregistered."* The cooldown is not modelled.
    """
    image = _image(call)
    call.stop_if_dry()
    state = "enabled" if call.operation.startswith("Enable") else "disabled"
    call.world.keep(image.id)["guard"] = state
    tell(image, deregistration_protection=state)
    return {"Return": state}


@handles("ec2", "EnableImageDeprecation", "DisableImageDeprecation")
def deprecate(call: Call) -> object:
    """Note from when on an image is deprecated. moto has no such call.

    Source: botocore, EnableImageDeprecation: *"Enables deprecation of the specified AMI at
    the specified date and time."*
    """
    image = _image(call)
    call.stop_if_dry()
    when = call.params.values.get("DeprecateAt")
    said = when.isoformat() if isinstance(when, dt.datetime) else when
    tell(image, deprecation_time=said)
    return {"Return": True}


@handles("ec2", "DisableImage", "EnableImage")
def disable(call: Call) -> object:
    """Let an image be launched by nobody, or again. moto has no such call.

    Source: botocore, DisableImage: *"Sets the AMI state to disabled and removes all launch
    permissions from the AMI."* EnableImage: *"Re-enables a disabled AMI. The re-enabled AMI is
    marked as available"*. DescribeImages shows it in any case.
    """
    image = _image(call)
    call.stop_if_dry()
    is_off = call.operation == "DisableImage"
    image.state = "disabled" if is_off else "available"
    if is_off:
        image.launch_permissions = []
    return {"Return": True}


def _snapshot_code(settings: Settings) -> str:
    is_denied = "ec2:DeleteSnapshot" in settings.denied.split()
    return "missing-permissions" if is_denied else settings.snapshot_code


def _images(call: Call) -> Mapping[str, Ami]:
    found: Mapping[str, Ami] = ec2_backends[call.account][call.region].amis
    return found


def _image(call: Call) -> Ami:
    name = call.params.text("ImageId")
    if name not in _images(call):
        message = f"The image id '[{name}]' does not exist"
        raise refuse("InvalidAMIID.NotFound", message)
    return _images(call)[name]


def _made(call: Call, answer: object) -> Ami:
    return _images(call)[str(result_of(answer)["ImageId"])]


def _pairs(spec: Params) -> dict[str, str]:
    return {tag.text("Key"): tag.text("Value") for tag in spec.bags("Tags")}


def _note_devices(image: Ami, devices: Iterable[Mapping[str, object]]) -> None:
    """Keep the sizes and kinds of volumes; the snapshot is the one that moto made."""
    volume = next((Params(each).bag("Ebs") for each in devices if "Ebs" in each), None)
    if volume is not None and "VolumeSize" in volume:
        image.ebs_snapshot.volume.size = volume.number("VolumeSize")
