"""A launch template as the library sees it, made of what the provider lists."""

import base64
import binascii
from typing import TYPE_CHECKING

import attrs

from immutable.model import FleetName, ImageId
from immutable_aws.tagging import Pairs, pairs_of

if TYPE_CHECKING:
    from mypy_boto3_ec2.type_defs import (
        LaunchTemplateTypeDef,
        RequestLaunchTemplateDataTypeDef,
        ResponseLaunchTemplateDataTypeDef,
    )

PINNED = "1"
"""The number of the one version that is used."""


@attrs.frozen(kw_only=True)
class TemplateVersion:
    """What an instance is launched from: the id of a template, and a number."""

    template: str
    version: str = PINNED


@attrs.frozen(kw_only=True)
class Origin:
    """What a template's version says of the instances that are launched from it."""

    document: str | None = None
    digest: str | None = None
    image: ImageId | None = None


@attrs.frozen(kw_only=True)
class Template:
    """A template as the provider lists it."""

    id: str
    name: FleetName
    tags: Pairs


def template_of(row: "LaunchTemplateTypeDef") -> Template:
    """Return a template as it is listed."""
    return Template(
        id=row["LaunchTemplateId"],
        name=FleetName(row["LaunchTemplateName"]),
        tags=pairs_of(row.get("Tags", [])),
    )


def origin_of(
    data: "RequestLaunchTemplateDataTypeDef | ResponseLaunchTemplateDataTypeDef",
) -> Origin:
    """Return what a version says, as it is made or as it is read."""
    given = (
        tag
        for spec in data.get("TagSpecifications", [])
        if spec.get("ResourceType") == "instance"
        for tag in pairs_of(spec.get("Tags", []))
    )
    image = data.get("ImageId")
    return Origin(
        document=_decoded(data.get("UserData")),
        digest=dict(given).get("immutable-digest"),
        image=ImageId(image) if image else None,
    )


def _decoded(user_data: str | None) -> str | None:
    """Return the document in user data; None where it is no text that we wrote."""
    if not user_data:
        return None
    try:
        return base64.b64decode(user_data, validate=True).decode("ascii")
    except (binascii.Error, UnicodeDecodeError):
        return None
