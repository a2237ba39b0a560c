"""Looking up AMIs: by exact id, of owners that are named, and never by "the newest".

A look-up by name without an owner finds whatever a stranger has published under that name
("whoAMI": https://docs.aws.amazon.com/AWSEC2/latest/UserGuide/finding-an-ami.html): there is
none here.
"""

import re
from typing import TYPE_CHECKING

from immutable.errors import BackendError, InvalidInput, Unavailable, UnknownImage
from immutable.model import ImageId
from immutable_aws.amis.ami import Ami, ami_of
from immutable_aws.errors import NAME, said
from immutable_aws.session import Aws

if TYPE_CHECKING:
    from mypy_boto3_ec2.type_defs import FilterTypeDef

OWN = "self"
_ID = re.compile(r"ami-([0-9a-f]{8}|[0-9a-f]{17})")
# What another backend calls its images, or a mistyped id: there is none such here.
_NO_NAME = re.compile(r"[A-Za-z]*(-[0-9A-Fa-f]*)?")
_OWNER = re.compile(r"\d{12}|self|amazon|aws-marketplace|aws-backup-vault")
_UNKNOWN = frozenset(
    {"InvalidAMIID.Malformed", "InvalidAMIID.NotFound", "InvalidAMIID.Unavailable"}
)


def is_shaped(image: str) -> bool:
    """Return whether this may be an AMI's id."""
    return _ID.fullmatch(image) is not None


def is_id(image: str) -> bool:
    """Return whether this is an AMI's id.

    Raises:
        UnknownImage: it looks like a name, a pattern or a parameter instead.
    """
    if is_shaped(image):
        return True
    if _NO_NAME.fullmatch(image):
        return False
    raise UnknownImage(
        f"{image!r} is no AMI's id: names, patterns and parameters are not resolved, for "
        "tomorrow they may mean another image, and without its owner anybody's",
        hint="choose an id: immutable_aws.find_images(owner=…, name=…)",
        operation="images.find",
        resource=image,
        backend=NAME,
    )


def check_owners(owners: tuple[str, ...]) -> tuple[str, ...]:
    """Return accounts that images may be of.

    Raises:
        InvalidInput: one is neither an account nor an alias of AWS's.
    """
    for owner in owners:
        if not _OWNER.fullmatch(owner):
            raise InvalidInput(
                f"{owner!r} owns no images",
                hint="give twelve digits, or self, amazon, aws-marketplace",
            )
    return owners


def look_up(aws: Aws, image: ImageId, owners: tuple[str, ...]) -> Ami | None:
    """Return an AMI by its id, of these owners; None: they have none such.

    EC2 itself compares the owner; one call.
    """
    filters: list[FilterTypeDef] = [{"Name": "image-id", "Values": [image]}]
    return next(iter(listed(aws, image, filters, owners)), None)


def named(aws: Aws, name: str) -> Ami | None:
    """Return this account's own AMI of exactly this name. There is at most one."""
    filters: list[FilterTypeDef] = [{"Name": "name", "Values": [name]}]
    found = listed(aws, name, filters, (OWN,))
    return next((ami for ami in found if ami.name == name), None)


def listed(
    aws: Aws, what: str, filters: "list[FilterTypeDef]", owners: tuple[str, ...]
) -> tuple[Ami, ...]:
    """Return all AMIs of these owners that pass the filters, in any state."""
    pages = aws.reads.ec2.get_paginator("describe_images").paginate(
        Owners=list(owners),
        Filters=filters,
        IncludeDeprecated=True,
        IncludeDisabled=True,
    )
    return aws.read(
        "ec2.DescribeImages",
        what,
        lambda: tuple(ami_of(row) for page in pages for row in page["Images"]),
    )


def of_anybody(aws: Aws, image: ImageId) -> Ami | None:
    """Return an AMI whoever owns it, to say why it is refused."""
    ec2 = aws.reads.ec2
    try:
        answer = aws.read(
            "ec2.DescribeImages",
            image,
            lambda: ec2.describe_images(
                ImageIds=[image], IncludeDeprecated=True, IncludeDisabled=True
            ),
        )
    except BackendError as exc:
        if said(exc) in _UNKNOWN:
            return None
        raise
    return next((ami_of(row) for row in answer["Images"]), None)


def unusable(ami: Ami) -> BackendError:
    """Return the error that says why an image cannot be launched, by its state.

    The states are those of ``ImageState``, all of which are listed here:
    https://docs.aws.amazon.com/AWSEC2/latest/APIReference/API_Image.html
    """
    if ami.state == "pending":
        return Unavailable(
            f"{ami.id} is pending: EC2 is still making it",
            hint=f"run: aws ec2 wait image-available --image-ids {ami.id}",
            operation="images.find",
            resource=ami.id,
            backend=NAME,
        )
    return BackendError(
        f"{ami.id} cannot be launched: it is {ami.state}. {ami.reason}".strip(),
        hint="choose another image, or enable it",
        operation="images.find",
        resource=ami.id,
        backend=NAME,
    )
