"""Images are found by exact id, of owners that were named, and otherwise refused."""

from typing import Any

import boto3
import pytest

from immutable.errors import BackendError, InvalidInput, Unavailable, UnknownImage
from immutable.model import ImageId
from immutable_aws.config import AwsConfig
from immutable_aws.images import AwsImages
from immutable_aws.session import Place, aws_of

REGION = "eu-west-1"
STRANGER = "999988887777"
NOWHERE = ImageId("ami-0123456789abcdef0")


@pytest.fixture
def ec2(wire: Any) -> Any:
    """Return a client of the test's own, of an empty server."""
    del wire
    return boto3.client("ec2", region_name=REGION)


@pytest.fixture
def images(wire: Any) -> AwsImages:
    """Return the images of an empty account."""
    wire.clear()
    return images_of()


def images_of(**options: Any) -> AwsImages:
    """Return an account's images, with these options."""
    config = AwsConfig(region=REGION, **options)
    return AwsImages(aws=aws_of(Place(region=REGION)), config=config)


def registered(ec2: Any, name: str = "web-1") -> ImageId:
    """Return the id of a new image of this account."""
    made = ec2.register_image(
        Name=name, RootDeviceName="/dev/xvda", Architecture="x86_64"
    )
    return ImageId(made["ImageId"])


def known(image: ImageId) -> Any:
    """Return the server's own record of an image, to be changed."""
    from moto.ec2.models import ec2_backends

    return ec2_backends["123456789012"][REGION].amis[image]


def test_an_image_is_found_with_one_call(
    ec2: Any, images: AwsImages, wire: Any
) -> None:
    """One call finds it, and tells the same digest each time."""
    image = registered(ec2)
    wire.clear()
    found = images.find(image)
    assert found is not None
    assert wire.operations == ["DescribeImages"]
    assert (found.id, found.backend) == (image, "aws")
    assert images.find(image) == found


def test_tags_do_not_change_the_digest(ec2: Any, images: AwsImages) -> None:
    """Whoever may write tags cannot make an image count as another one."""
    image = registered(ec2)
    before = images.find(image)
    ec2.create_tags(Resources=[image], Tags=[{"Key": "immutable-digest", "Value": "x"}])
    after = images.find(image)
    assert before is not None
    assert after is not None
    assert after.digest == before.digest


def test_other_images_have_other_digests(ec2: Any, images: AwsImages) -> None:
    """Two images are told apart."""
    one, other = (images.find(registered(ec2, name)) for name in ("web-1", "web-2"))
    assert one is not None
    assert other is not None
    assert one.digest != other.digest


def test_what_is_not_there_is_not_found(images: AwsImages) -> None:
    """An unknown id finds nothing, and neither does what is nearly an id."""
    wanted = (NOWHERE, NOWHERE[:-1], f"{NOWHERE}0", NOWHERE.swapcase(), "latest", "")
    assert [images.find(ImageId(name)) for name in wanted] == [None] * 6


@pytest.mark.parametrize(
    "name",
    [
        "debian-12-amd64-*",
        "amazon/al2023-ami-2023.5.20240722.0-kernel-6.1-x86_64",
        "resolve:ssm:/aws/service/debian/release/12/latest/amd64",
        "web_server",
        "../../etc/passwd\0",
    ],
)
def test_names_are_refused_without_any_call(
    name: str, images: AwsImages, wire: Any
) -> None:
    """A name is nobody's id, and no call is made with it."""
    with pytest.raises(UnknownImage, match="names, patterns and parameters") as caught:
        images.find(ImageId(name))
    assert "find_images(owner=" in str(caught.value.hint)
    assert wire.operations == []


def test_a_stranger_is_refused_until_trusted(ec2: Any, images: AwsImages) -> None:
    """An image of an account that is not named is refused, and taken where it is named."""
    image = registered(ec2)
    known(image).owner_id = STRANGER
    with pytest.raises(InvalidInput, match=f"is of {STRANGER}") as caught:
        images.find(image)
    assert f"?image_owners={STRANGER}" in str(caught.value.hint)
    found = images_of(image_owners=(STRANGER,)).find(image)
    assert found is not None
    assert found.id == image


def test_an_owner_may_be_one_of_awss_own_names(ec2: Any, images: AwsImages) -> None:
    """Amazon is an owner by name."""
    image = registered(ec2)
    known(image).owner_id, known(image).owner_alias = "801119661308", "amazon"
    with pytest.raises(InvalidInput, match="amazon"):
        images.find(image)
    assert images_of(image_owners=("amazon",)).find(image) is not None


@pytest.mark.parametrize(
    ("state", "error", "said"),
    [
        ("pending", Unavailable, "is pending"),
        ("disabled", BackendError, "is disabled"),
        ("failed", BackendError, "is failed"),
    ],
)
def test_only_available_images_are_found(
    state: str, error: type[Exception], said: str, ec2: Any, images: AwsImages
) -> None:
    """An image in another state is refused, saying in which."""
    image = registered(ec2)
    known(image).state = state
    with pytest.raises(error, match=said):
        images.find(image)


def test_what_is_deregistered_is_gone(ec2: Any, images: AwsImages) -> None:
    """For a while EC2 still shows what was deregistered: it counts as gone."""
    image = registered(ec2)
    known(image).state = "deregistered"
    assert images.find(image) is None


def test_an_image_is_deleted_with_its_snapshots(emulator: Any) -> None:
    """Nothing is left of it, and deleting again is no error."""
    emulator.configure(image_s=0)
    ec2, images = boto3.client("ec2", region_name=REGION), images_of()
    image = registered(ec2)
    images.delete(image)
    images.delete(image)
    images.delete(ImageId("shop-none"))
    assert images.find(image) is None
    assert ec2.describe_snapshots(OwnerIds=["self"])["Snapshots"] == []
