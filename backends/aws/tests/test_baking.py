"""Recipes are built in builders that nobody logs in to: the program they are told is run."""

import os
from pathlib import Path
from typing import Any

import boto3
import pytest
from builders import REGION, Builders

from immutable.errors import BuildFailed
from immutable.images.recipe import Recipe
from immutable.model import ImageId
from immutable_aws.config import AwsConfig
from immutable_aws.images import AwsImages
from immutable_aws.session import Place, aws_of

pytestmark = pytest.mark.skipif(os.geteuid() != 0, reason="makes a root: needs root")
BUCKET = "bakes"


@pytest.fixture
def account(emulator: Any, hurried: None) -> Any:
    """Return a client of EC2, of an account with a bucket."""
    del hurried
    emulator.configure(image_s=0, boot_s=0)
    boto3.client("s3", region_name=REGION).create_bucket(
        Bucket=BUCKET, CreateBucketConfiguration={"LocationConstraint": REGION}
    )
    return boto3.client("ec2", region_name=REGION)


@pytest.fixture
def images(account: Any) -> AwsImages:
    """Return the images of the account."""
    del account
    config = AwsConfig(region=REGION, bucket=BUCKET)
    return AwsImages(aws=aws_of(Place(region=REGION)), config=config)


@pytest.fixture
def builders(emulator: Any, account: Any, tmp_path: Path) -> Any:
    """Return the builders, which do what they are told."""
    del account
    with Builders(emulator, tmp_path / "builders") as running:
        yield running


@pytest.fixture
def base(account: Any, images: AwsImages) -> Recipe:
    """Return a recipe upon an image of the account."""
    made = account.register_image(Name="debian", RootDeviceName="/dev/xvda")
    found = images.find(ImageId(made["ImageId"]))
    assert found is not None
    return Recipe.on(found)


def test_a_recipe_is_built(
    base: Recipe, images: AwsImages, builders: Builders, account: Any, tmp_path: Path
) -> None:
    """Its layers are made in the builder, in order, and its lines are heard."""
    (tmp_path / "site").mkdir()
    (tmp_path / "site" / "index.html").write_text("hello\n")
    recipe = base.files(tmp_path / "site", "/opt/site").run(
        "cat /opt/site/index.html; echo made >/opt/made; ls /run/files 2>&1 || true"
    )
    said: list[str] = []
    image = images.build(recipe, on_output=said.append)
    (builder,) = builders.launched
    root = builders.root(builder)
    assert said[0] == "hello"
    assert "No such file" in said[1]
    assert (root / "opt/site/index.html").read_text() == "hello\n"
    assert (root / "opt/made").read_text() == "made\n"
    assert image == images.find(image.id)
    assert image.recipe == recipe.digest
    assert image.parent == base.origin.image
