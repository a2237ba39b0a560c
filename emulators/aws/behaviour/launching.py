"""RunInstances: what is refused, and that instances boot."""

from moto.core.exceptions import ServiceException
from moto.core.responses import ActionResult
from moto.ec2.models import ec2_backends
from moto.ec2.models.instances import Instance, Reservation
from moto.iam.models import iam_backends

from emulators.aws.behaviour.booting import switch_on
from emulators.aws.behaviour.quotas import vcpus_of
from emulators.aws.hooks import Call, handles, refuse

_FROM_TEMPLATE = (
    "BlockDeviceMappings",
    "EbsOptimized",
    "IamInstanceProfile",
    "ImageId",
    "InstanceType",
    "KeyName",
    "MetadataOptions",
    "Monitoring",
    "NetworkInterfaces",
    "SecurityGroupIds",
)
_USER_DATA = 16384


@handles("ec2", "RunInstances")
def template_fills_in(call: Call) -> object:
    """Take from the launch template what the call does not say.

    Source: botocore, RunInstances, ``LaunchTemplate``: *"Any additional parameters that
    you specify for the new instance overwrite the corresponding parameters included in the
    launch template."* moto leaves out the metadata options, profile and others.
    """
    template = call.params.bag("LaunchTemplate")
    if template.values:
        backend = ec2_backends[call.account][call.region]
        # no interface of moto's own finds a version by what RunInstances takes
        version = backend._get_template_from_args(dict(template.values))  # noqa: SLF001
        for name in _FROM_TEMPLATE:
            if name not in call.params and version.data.get(name):
                call.put(name, version.data[name])
    return call.proceed()


@handles("ec2", "RunInstances")
def image_must_exist(call: Call) -> object:
    """Refuse an image that is not there, or not yet available.

    Source: EC2 error codes: ``InvalidAMIID.NotFound`` for what does not exist,
    ``InvalidAMIID.Unavailable`` for what was deregistered or cannot be launched in its
    state. moto launches anything.
    """
    image = call.params.text("ImageId")
    backend = ec2_backends[call.account][call.region]
    if not image:
        raise refuse(
            "MissingParameter", "The request must contain the parameter ImageId"
        )
    if not image.startswith("ami-"):
        raise refuse("InvalidAMIID.Malformed", f'Invalid id: "{image}"')
    if image in backend.deleted_amis:
        message = f"The image ID '[{image}]' is no longer available"
        raise refuse("InvalidAMIID.Unavailable", message)
    if image not in backend.amis:
        message = f"The image id '[{image}]' does not exist"
        raise refuse("InvalidAMIID.NotFound", message)
    state = backend.amis[image].state
    if state != "available":
        message = f"The image '{image}' is {state}: it cannot be launched"
        raise refuse("InvalidAMIID.Unavailable", message)
    return call.proceed()


@handles("ec2", "RunInstances")
def user_data_is_small(call: Call) -> object:
    """Refuse user data over 16 KB, before it is encoded.

    Source: EC2 user guide, "User data": *"User data is limited to 16 KB, in raw form,
    before it is base64-encoded."*
    """
    encoded = call.params.text("UserData")
    if len(encoded) * 3 // 4 > _USER_DATA + 2:
        message = "User data is limited to 16384 bytes"
        raise refuse("InvalidParameterValue", message)
    return call.proceed()


@handles("ec2", "RunInstances")
def profile_must_exist(call: Call) -> object:
    """Refuse an instance profile that IAM does not know.

    Source: EC2 error codes, ``InvalidParameterValue``; the message is the one that users
    report. moto answers with an error of IAM's.
    """
    profile = call.params.bag("IamInstanceProfile")
    named = profile.text("Name") or profile.text("Arn").rpartition("/")[2]
    known = {p.name for p in iam_backends[call.account]["aws"].get_instance_profiles()}
    if named and named not in known:
        message = (
            f"Value ({named}) for parameter iamInstanceProfile.name is invalid. Invalid "
            f"IAM Instance Profile name"
        )
        raise refuse("InvalidParameterValue", message)
    return call.proceed()


@handles("ec2", "RunInstances")
def vcpus_are_limited(call: Call) -> object:
    """Refuse what is over the quota of vCPUs, of which spot instances have their own.

    Source: EC2 error codes: ``VcpuLimitExceeded``: the limit is on the vCPUs of all
    running instances of an account and region; ``MaxSpotInstanceCountExceeded``.
    """
    count = call.params.number("MaxCount") or 1
    wanted = count * vcpus_of(call.params.text("InstanceType", "m1.small"))
    is_spot = call.params.bag("InstanceMarketOptions").text("MarketType") == "spot"
    settings = call.world.settings
    quota = settings.spot_vcpus if is_spot else settings.vcpus
    if _vcpus_in_use(call, is_spot=is_spot) + wanted > quota:
        raise _over_quota(quota, is_spot=is_spot)
    call.put("MinCount", count)
    return call.proceed()


def _over_quota(quota: int, *, is_spot: bool) -> ServiceException:
    if is_spot:
        return refuse(
            "MaxSpotInstanceCountExceeded", "Max spot instance count exceeded"
        )
    message = (
        f"You have requested more vCPU capacity than your current vCPU limit of "
        f"{quota} allows for the instance bucket that the specified instance type "
        f"belongs to. Please visit http://aws.amazon.com/contact-us/ec2-request to "
        f"request an adjustment to this limit."
    )
    return refuse("VcpuLimitExceeded", message)


@handles("ec2", "RunInstances")
def zones_can_be_full(call: Call) -> object:
    """Refuse to launch where there is no capacity left.

    Source: EC2 error codes: ``InsufficientInstanceCapacity``, of a type of instance in a zone.
    """
    backend = ec2_backends[call.account][call.region]
    subnet = call.params.text("SubnetId")
    zone = call.params.bag("Placement").text("AvailabilityZone")
    if subnet:
        zone = str(backend.get_subnet(subnet).availability_zone)
    if zone in call.world.settings.full.split():
        message = (
            "We currently do not have sufficient capacity in the Availability Zone you "
            f"requested ({zone})."
        )
        raise refuse("InsufficientInstanceCapacity", message)
    return call.proceed()


@handles("ec2", "RunInstances")
def instances_boot(call: Call) -> object:
    """Let what was launched boot; see ``booting.switch_on``."""
    answer = call.proceed()
    if isinstance(answer, ActionResult) and isinstance(answer.result, Reservation):
        for instance in answer.result.instances:
            call.world.instances[instance.id] = instance
            switch_on(call.world, instance)
    return answer


def _vcpus_in_use(call: Call, *, is_spot: bool) -> int:
    return sum(
        vcpus_of(instance.instance_type)
        for instance in call.world.instances.values()
        if _counts(call, instance) and (instance.lifecycle == "spot") == is_spot
    )


def _counts(call: Call, instance: Instance) -> bool:
    here = instance.ec2_backend is ec2_backends[call.account][call.region]
    return here and instance.state in {"pending", "running"}
