"""What is done with images beside launching them: copies, other accounts, their end."""

import re
from collections.abc import Callable, Iterable
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING

from immutable import host
from immutable.authoring import wait_until
from immutable.errors import (
    Ambiguous,
    BuildFailed,
    InvalidInput,
    Taken,
)
from immutable.model import ImageId
from immutable.retrying import retrying
from immutable_aws.amis import catalog
from immutable_aws.amis.ami import PARENT, RECIPE, Ami
from immutable_aws.errors import NAME
from immutable_aws.session import Aws
from immutable_aws.tagging import to_tags

if TYPE_CHECKING:
    from mypy_boto3_ec2.type_defs import LaunchPermissionTypeDef

SOURCE = "immutable-source"
"""The tag of a copy that says of what: region and id."""
_ACCOUNT = re.compile(r"\d{12}")
_COPYING = timedelta(hours=6)
_LOOK = timedelta(seconds=5)


def copy(there: Aws, ami: Ami, *, region: str, key: str | None) -> Ami:
    """Return a copy of an image in another region, which is available.

    It has the image's name, which only one image of an account and region has: however
    often it is asked for, there is one copy. It says what recipe it was built from, so that
    nobody builds it there again. As another image it has another digest.

    Args:
        there: the place that it is copied to.
        ami: which.
        region: where it is.
        key: of KMS, to encrypt the copy with; None: encrypted as the image is.

    Raises:
        Taken: another image there has its name.
        BuildFailed: it could not be copied.
    """
    made = _copied(there, ami, region, key)
    found = wait_until(
        lambda: _finished(there, made),
        f"copying {ami.id}",
        within=_COPYING,
        every=_LOOK,
    )
    if found.state != "available":
        raise BuildFailed(
            f"{ami.id} could not be copied to {there.place.region}: {found.reason}",
            hint=f"delete {made} there, and copy it again",
            backend=NAME,
        )
    return found


def share(aws: Aws, image: ImageId, accounts: Iterable[str], *, add: bool) -> None:
    """Let accounts launch an image, or no longer. Nobody makes one public here.

    An account that launches a shared image whose disks are encrypted needs the key, too:
    https://docs.aws.amazon.com/AWSEC2/latest/UserGuide/sharingamis-explicit.html

    Raises:
        InvalidInput: one is no account.
    """
    names = list(accounts)
    for name in names:
        if not _ACCOUNT.fullmatch(name):
            raise InvalidInput(f"{name!r} is no account", hint="give its twelve digits")
    users: list[LaunchPermissionTypeDef] = [{"UserId": name} for name in names]
    ec2 = aws.changes.ec2
    _do(
        aws,
        "ec2.ModifyImageAttribute",
        image,
        lambda: ec2.modify_image_attribute(
            ImageId=image,
            LaunchPermission={"Add": users} if add else {"Remove": users},
        ),
    )


def deprecate(aws: Aws, image: ImageId, *, at: datetime) -> None:
    """Have AWS say of an image, from then on, that nobody should begin to use it.

    Who knows its id can go on launching it.

    Raises:
        InvalidInput: the time has no zone, or is over.
    """
    if at.tzinfo is None or at <= host.current().now():
        raise InvalidInput(
            f"{at} is no time to come", hint="datetime.now(UTC) + timedelta(days=30)"
        )
    ec2 = aws.changes.ec2
    when = at.astimezone(UTC)
    _do(
        aws,
        "ec2.EnableImageDeprecation",
        image,
        lambda: ec2.enable_image_deprecation(ImageId=image, DeprecateAt=when),
    )


def protect(aws: Aws, image: ImageId) -> None:
    """Have AWS refuse to deregister an image, whoever asks."""
    ec2 = aws.changes.ec2
    _do(
        aws,
        "ec2.EnableImageDeregistrationProtection",
        image,
        lambda: ec2.enable_image_deregistration_protection(ImageId=image),
    )


def unprotect(aws: Aws, image: ImageId) -> None:
    """Let an image be deregistered again."""
    ec2 = aws.changes.ec2
    _do(
        aws,
        "ec2.DisableImageDeregistrationProtection",
        image,
        lambda: ec2.disable_image_deregistration_protection(ImageId=image),
    )


def _copied(there: Aws, ami: Ami, region: str, key: str | None) -> ImageId:
    source = f"{region}/{ami.id}"
    if (found := _copy_of(there, ami.name, source)) is not None:
        return found
    kept = {name: value for name, value in ami.tags if name in {PARENT, RECIPE}}
    tags = to_tags({**kept, SOURCE: source})
    token = host.current().unique()
    encrypted = {"Encrypted": True, "KmsKeyId": key} if key else {}
    ec2 = there.changes.ec2
    try:
        answer = retrying(
            lambda: there.change(
                "ec2.CopyImage",
                ami.id,
                lambda: ec2.copy_image(
                    Name=ami.name,
                    SourceImageId=ami.id,
                    SourceRegion=region,
                    ClientToken=token,
                    TagSpecifications=[
                        {"ResourceType": "image", "Tags": tags},
                        {"ResourceType": "snapshot", "Tags": tags},
                    ],
                    **encrypted,  # type: ignore[arg-type]  # of two kinds, both right
                ),
            ),
            host=host.current(),
            also=(Ambiguous,),
        )
    except Taken:
        # somebody else has copied it meanwhile, unless it is another one
        found = _copy_of(there, ami.name, source)
        if found is None:
            raise
        return found
    return ImageId(answer["ImageId"])


def _copy_of(there: Aws, name: str, source: str) -> ImageId | None:
    found = catalog.named(there, name)
    if found is None:
        return None
    if dict(found.tags).get(SOURCE) != source:
        raise Taken(
            f"{found.id} in {there.place.region} is called {name}, and is no copy of "
            f"{source}",
            hint="deregister it, if nobody needs it",
            resource=found.id,
            backend=NAME,
        )
    return found.id


def _finished(aws: Aws, image: ImageId) -> Ami | None:
    found = catalog.look_up(aws, image, (catalog.OWN,))
    return found if found is not None and found.state != "pending" else None


def _do(aws: Aws, operation: str, image: ImageId, call: Callable[[], object]) -> None:
    """Make a change that comes to the same however often it is made."""
    retrying(
        lambda: aws.change(operation, image, call),
        host=host.current(),
        also=(Ambiguous,),
    )
