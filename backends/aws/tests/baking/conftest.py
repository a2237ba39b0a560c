"""An account with a bucket and a base, and builders that do what they are told."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import attrs
import pytest
from bakes import AWS, BUCKET
from builders import REGION, Builders

from emulators.aws import faults
from immutable.images.origins import Existing
from immutable.images.recipe import Recipe
from immutable.model import ImageId
from immutable_aws.config import AwsConfig
from immutable_aws.images import AwsImages
from immutable_aws.session import Aws, Place


@pytest.fixture
def account(emulator: Any, hurried: None) -> Any:
    """Return a client of EC2, of an account with a bucket."""
    del hurried
    emulator.configure(image_s=0, boot_s=0)
    AWS.changes.s3.create_bucket(
        Bucket=BUCKET, CreateBucketConfiguration={"LocationConstraint": REGION}
    )
    return AWS.changes.ec2


@pytest.fixture
def images(account: Any) -> AwsImages:
    """Return the images of the account."""
    del account
    return AwsImages(aws=AWS, config=AwsConfig(region=REGION, bucket=BUCKET))


@pytest.fixture
def builders(emulator: Any, account: Any, tmp_path: Path) -> Any:
    """Return the builders, which do what they are told."""
    with Builders(emulator, account, tmp_path / "builders") as running:
        yield running


@pytest.fixture
def base(account: Any, images: AwsImages) -> Recipe:
    """Return a recipe upon an image of the account."""
    made = account.register_image(Name="debian", RootDeviceName="/dev/xvda")
    found = images.find(ImageId(made["ImageId"]))
    assert found is not None
    return Recipe.on(found)


@pytest.fixture
def parent(base: Recipe) -> ImageId:
    """Return the image that the recipe is upon."""
    assert isinstance(base.origin, Existing)
    return base.origin.image


@pytest.fixture(scope="module")
def proxy(cloud: Any) -> Iterator[faults.Proxy]:
    """Return a proxy before the emulated AWS."""
    with faults.before(cloud) as running:
        yield running


@pytest.fixture
def wire(
    proxy: faults.Proxy, images: AwsImages, monkeypatch: pytest.MonkeyPatch
) -> tuple[faults.Proxy, AwsImages]:
    """Return a wire that can be cut, and the account's images as seen through it."""
    proxy.clear()
    monkeypatch.setenv("AWS_ENDPOINT_URL", proxy.url)
    return proxy, attrs.evolve(images, aws=Aws(Place(region=REGION)))
