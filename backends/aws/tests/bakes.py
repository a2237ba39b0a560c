"""What tests of builds share: one place, and what there is in it."""

from typing import Any

from builders import REGION, Hurried

from immutable.host import running_on
from immutable.images.recipe import Recipe
from immutable.model import Image
from immutable_aws.images import AwsImages
from immutable_aws.session import Aws, Place

BUCKET = "bakes"
AWS = Aws(Place(region=REGION))
"""One for all tests, whose emulated AWS is one: making clients takes longer than a build."""


def unheard(line: str) -> None:
    """Take a line that nobody asked for."""
    del line


def objects() -> list[str]:
    """Return the keys of what is in the bucket."""
    found = AWS.changes.s3.list_objects_v2(Bucket=BUCKET).get("Contents", [])
    return [each["Key"] for each in found]


def alive(ec2: Any) -> list[str]:
    """Return the instances that are not ended, or about to be."""
    states = ["pending", "running", "stopping", "stopped"]
    found = ec2.describe_instances(
        Filters=[{"Name": "instance-state-name", "Values": states}]
    )
    return [i["InstanceId"] for r in found["Reservations"] for i in r["Instances"]]


def own_images(ec2: Any) -> list[str]:
    """Return the account's images, by name."""
    found = ec2.describe_images(Owners=["self"])["Images"]
    return sorted(image["Name"] for image in found)


def hurriedly(images: AwsImages, recipe: Recipe) -> Image:
    """Build on a thread, whose host is its own."""
    with running_on(Hurried()):
        return images.build(recipe, on_output=unheard)
