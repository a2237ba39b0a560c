"""Finding an image's id by hand, to be pinned. Nothing that deploys comes here."""

from typing import TYPE_CHECKING

import attrs

from immutable_aws.amis.ami import Ami
from immutable_aws.amis.catalog import check_owners, listed
from immutable_aws.session import Place, aws_of

if TYPE_CHECKING:
    from mypy_boto3_ec2.type_defs import FilterTypeDef


@attrs.frozen(kw_only=True)
class FoundImage:
    """An image as it was found: what to choose by, and the id to write down."""

    id: str
    name: str
    owner: str
    architecture: str
    created: str
    deprecated: str


def find_images(
    *,
    owner: str,
    name: str,
    region: str,
    profile: str | None = None,
    architecture: str = "x86_64",
) -> tuple[FoundImage, ...]:
    """Return the available images of one owner whose names fit, oldest first.

    For people: choose one, and write its id into the recipe or the deployment. A name alone
    would find whatever a stranger has published under it.

    Args:
        owner: twelve digits, or ``self``, ``amazon``, ``aws-marketplace``.
        name: a name, or a pattern with ``*`` and ``?``.
        region: where.
        profile: of the shared configuration.
        architecture: as AWS calls it.

    Raises:
        InvalidInput: the owner is missing, or a pattern.

    Example:
        >>> find_images(  # doctest: +SKIP
        ...     owner="136693071363", name="debian-13-amd64-*", region="eu-west-1"
        ... )[-1].id
        'ami-0123456789abcdef0'
    """
    owners = check_owners((owner,))
    filters: list[FilterTypeDef] = [
        {"Name": "name", "Values": [name]},
        {"Name": "architecture", "Values": [architecture]},
        {"Name": "state", "Values": ["available"]},
    ]
    aws = aws_of(Place(region=region, profile=profile))
    found = listed(aws, name, filters, owners)
    ordered = sorted(found, key=lambda ami: (ami.created, ami.id))
    return tuple(map(_shown, ordered))


def _shown(ami: Ami) -> FoundImage:
    return FoundImage(
        id=ami.id,
        name=ami.name,
        owner=ami.alias or ami.owner,
        architecture=ami.architecture,
        created=ami.created,
        deprecated=ami.deprecated,
    )
