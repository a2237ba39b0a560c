"""What tests of builds share: one place, and what there is in it."""

from typing import Any

from builders import REGION, Hurried

from immutable.host import running_on
from immutable.images.recipe import Recipe
from immutable.model import Image, ImageId
from immutable_aws.amis import catalog
from immutable_aws.building.baker import AwsBaking
from immutable_aws.building.depot import Depot
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


def baking_of(images: AwsImages, parent: ImageId) -> AwsBaking:
    """Return what starts builders of no recipe in particular."""
    ami = catalog.look_up(images.aws, parent, ("self",))
    assert ami is not None
    return AwsBaking(
        aws=images.aws,
        config=images.config,
        depot=Depot(aws=images.aws, bucket=BUCKET),
        signing=images.aws,
        parent=ami,
        name="immutable/none",
        tags=(),
        on_alive=lambda: None,
    )


def hurriedly(images: AwsImages, recipe: Recipe) -> Image:
    """Build on a thread, whose host is its own."""
    with running_on(Hurried()):
        return images.build(recipe, on_output=unheard)
