"""Recipes are built in builders that nobody logs in to: the program they are told is run."""

import gzip
import os
import re
import subprocess
from datetime import timedelta
from pathlib import Path
from typing import Any

import attrs
import pytest
from bakes import BUCKET, alive, objects, own_images, unheard
from builders import REGION, Builders

from immutable.errors import (
    BackendError,
    BuildFailed,
    InvalidInput,
    MissingFiles,
    Taken,
    Unavailable,
    Unsupported,
)
from immutable.images.layers import Packages
from immutable.images.lock import Lock
from immutable.images.origins import Existing
from immutable.images.recipe import Recipe
from immutable.model import Digest, ImageId
from immutable_aws.building import baker
from immutable_aws.building.layers import works_of
from immutable_aws.building.making import Making
from immutable_aws.config import AwsConfig
from immutable_aws.images import AwsImages

PAGE = Path(__file__).parents[4] / "docs/howto/aws-bake-images.md"

pytestmark = pytest.mark.skipif(os.geteuid() != 0, reason="makes a root: needs root")


def test_a_recipe_is_built(
    base: Recipe,
    parent: ImageId,
    images: AwsImages,
    builders: Builders,
    account: Any,
    tmp_path: Path,
) -> None:
    """Its layers are made in the builder, in order; its lines are heard; nothing is left."""
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
    assert (image.recipe, image.parent) == (recipe.digest, parent)
    assert alive(account) == []
    assert objects() == []


def test_the_image_is_nobody(
    base: Recipe, images: AwsImages, builders: Builders
) -> None:
    """What the builder was, and was told, is not in the image; then it powers itself off."""
    images.build(base.run("true"), on_output=unheard)
    root = builders.root(builders.launched[0])
    assert (root / "etc/machine-id").read_text() == ""
    assert list((root / "etc/ssh").iterdir()) == []
    assert list((root / "var/lib/cloud").iterdir()) == []
    assert not (root / "root/.ssh/authorized_keys").exists()
    assert list((root / "var/tmp").iterdir()) == []
    assert (root / "stub/called").read_text() == "poweroff --no-block\n"


def test_image_and_snapshots_say_what_they_are(
    base: Recipe, parent: ImageId, images: AwsImages, builders: Builders, account: Any
) -> None:
    """Both carry the recipe, the parent and the bake; the name is the recipe's alone."""
    del builders
    recipe = base.run("true")
    image = images.build(recipe, on_output=unheard)
    (found,) = account.describe_images(ImageIds=[image.id])["Images"]
    snapshot = found["BlockDeviceMappings"][0]["Ebs"]["SnapshotId"]
    (copy,) = account.describe_snapshots(SnapshotIds=[snapshot])["Snapshots"]
    for tags in (found["Tags"], copy["Tags"]):
        told = {tag["Key"]: tag["Value"] for tag in tags}
        assert told["immutable-recipe"] == recipe.digest
        assert told["immutable-parent"] == parent
        assert {"immutable-bake", "immutable-expires-at"} <= set(told)
    assert found["Name"].startswith("immutable/")


def test_a_builder_has_no_rights(
    base: Recipe, images: AwsImages, builders: Builders, account: Any
) -> None:
    """It has no role and no key to log in with, and is told no credentials."""
    images.build(base.run("true"), on_output=unheard)
    (builder,) = builders.launched
    found = account.describe_instances(InstanceIds=[builder])["Reservations"][0]
    (instance,) = found["Instances"]
    assert "IamInstanceProfile" not in instance
    assert "KeyName" not in instance
    assert instance["MetadataOptions"]["HttpTokens"] == "required"
    assert instance["MetadataOptions"]["HttpPutResponseHopLimit"] == 1
    told = gzip.decompress(builders.told[builder]).decode()
    assert "X-Amz-Expires=" in told
    assert "aws_secret" not in told.lower()
    assert len(builders.told[builder]) < 16 * 1024


def test_what_is_built_is_not_built_again(
    base: Recipe, images: AwsImages, builders: Builders
) -> None:
    """The same recipe is the same image, without a builder and without a word."""
    recipe, said = base.run("echo once"), list[str]()
    first = images.build(recipe, on_output=unheard)
    again = images.build(recipe, on_output=said.append)
    assert (again, said) == (first, [])
    assert len(builders.launched) == 1


def test_only_work_that_asks_has_a_network(
    base: Recipe, images: AwsImages, builders: Builders
) -> None:
    """Without it there is only the loopback interface."""
    del builders
    count = "ls /proc/self/net/dev >/dev/null; grep -c : /proc/self/net/dev"
    url = "echo > /dev/null; grep -c ' lo:\\|lo:' /proc/self/net/dev"
    recipe = base.run(count).run(url).run(count, network=True)
    said: list[str] = []
    images.build(recipe, on_output=said.append)
    alone, loopback, with_network = (int(line) for line in said)
    assert (alone, loopback) == (1, 1)
    assert with_network > 1


def test_what_work_starts_ends_with_it(
    base: Recipe, images: AwsImages, builders: Builders
) -> None:
    """Also what has made itself independent of its parent."""
    del builders
    recipe = base.run("setsid -f sleep 4321 >/dev/null 2>&1; pgrep sleep >/dev/null")
    recipe = recipe.run("pgrep sleep || echo nobody")
    said: list[str] = []
    images.build(recipe, on_output=said.append)
    assert said == ["nobody"]


def test_files_keep_modes_and_get_owners(
    base: Recipe, images: AwsImages, builders: Builders, tmp_path: Path
) -> None:
    """Single files, trees without what is excluded, owners and users."""
    source = tmp_path / "source"
    source.mkdir()
    (source / "tool").write_text("#!/bin/sh\n")
    (source / "tool").chmod(0o750)
    (source / "notes.pyc").write_text("no")
    recipe = (
        base.user("app", uid=1234)
        .files(source, "/srv/app", exclude=["*.pyc"], owner="app")
        .files(source / "tool", "/opt/bin/tool")
    )
    images.build(recipe, on_output=unheard)
    root = builders.root(builders.launched[0])
    assert [path.name for path in (root / "srv/app").iterdir()] == ["tool"]
    status = (root / "srv/app/tool").stat()
    assert (status.st_uid, status.st_mode & 0o777) == (1234, 0o750)
    single = (root / "opt/bin/tool").stat()
    assert (single.st_uid, single.st_mode & 0o777) == (0, 0o750)


def test_work_that_was_altered_is_not_done(
    base: Recipe,
    images: AwsImages,
    builders: Builders,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """A builder does only what its user data names by hash."""
    del builders
    monkeypatch.setattr(baker, "digest_of_file", lambda _: "0" * 64)
    with pytest.raises(BuildFailed, match="not what was handed over"):
        images.build(base.run("true"), on_output=unheard)


def test_what_cannot_be_built_is_refused_before_anything(
    base: Recipe, images: AwsImages, builders: Builders, tmp_path: Path
) -> None:
    """A base that is no AMI, a layer that nobody makes, a lock, no bucket, files not there."""
    no_bucket = attrs.evolve(images, config=AwsConfig(region=REGION))
    dotted = attrs.evolve(images, config=AwsConfig(region=REGION, bucket="a.b"))
    cases: list[tuple[AwsImages, Recipe, type[Exception], str]] = [
        (images, Recipe.base("debian:12").run("true"), Unsupported, "boots an AMI"),
        (images, base.python("3.11"), Unsupported, "of the kind python"),
        (images, base.run("true").locked(Lock()), Unsupported, "no lock"),
        (no_bucket, base.run("true"), InvalidInput, "needs a bucket"),
        (dotted, base.run("true"), InvalidInput, "dot in its name"),
        (images, base.files(tmp_path / "none", "/opt"), MissingFiles, "not there"),
    ]
    for chosen, recipe, error, said in cases:
        with pytest.raises(error, match=said):
            chosen.build(recipe, on_output=unheard)
    assert builders.launched == []
    assert objects() == []


def test_a_base_that_is_another_one_is_refused(
    base: Recipe, images: AwsImages, parent: ImageId
) -> None:
    """A recipe names its base by content, too."""
    other = Recipe(origin=Existing(image=parent, content=Digest("0" * 64)))
    with pytest.raises(InvalidInput, match="not the image that the recipe was written"):
        images.build(other.run("true"), on_output=unheard)
    assert base.origin


def test_a_name_that_is_somebody_elses_is_no_image_of_ours(
    base: Recipe, images: AwsImages, account: Any, builders: Builders
) -> None:
    """Whoever takes a recipe's name for another image gets neither built nor deployed."""
    recipe = base.run("true")
    image = images.build(recipe, on_output=unheard)
    account.delete_tags(Resources=[image.id], Tags=[{"Key": "immutable-recipe"}])
    with pytest.raises(Taken, match="was not built from this recipe"):
        images.build(recipe, on_output=unheard)
    assert len(builders.launched) == 1


def test_an_image_that_is_disabled_is_said(
    base: Recipe, images: AwsImages, account: Any, builders: Builders
) -> None:
    """It has the recipe's name, and becomes available only when somebody enables it."""
    recipe = base.run("true")
    image = images.build(recipe, on_output=unheard)
    account.disable_image(ImageId=image.id)
    with pytest.raises(BackendError, match=f"{image.id} .* it is disabled"):
        images.build(recipe, on_output=unheard)
    account.enable_image(ImageId=image.id)
    assert images.build(recipe, on_output=unheard) == image
    assert len(builders.launched) == 1


def test_an_image_is_not_waited_for_for_ever(
    base: Recipe,
    images: AwsImages,
    account: Any,
    emulator: Any,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """What EC2 does not get done in hours is said, and nothing else is built meanwhile."""
    recipe = base.run("true")
    making = Making(
        aws=images.aws,
        config=images.config,
        recipe=recipe,
        on_output=unheard,
        find=images.find,
    )
    emulator.configure(image_s=3600)
    tags = [{"Key": "immutable-recipe", "Value": recipe.digest}]
    account.register_image(
        Name=making.name,
        RootDeviceName="/dev/xvda",
        TagSpecifications=[{"ResourceType": "image", "Tags": tags}],
    )
    monkeypatch.setattr("immutable_aws.building.making.MAKING", timedelta(seconds=1))
    with pytest.raises(Unavailable, match="is pending"):
        images.build(recipe, on_output=unheard)


@pytest.mark.parametrize("tool", ["apt-get", "dnf"])
def test_packages_are_installed_by_what_there_is(tool: str, tmp_path: Path) -> None:
    """Of Debian's and of Fedora's kind, each with versions as it writes them."""
    (work,) = works_of((Packages(names=("nginx=1.2", "curl")),), tmp_path)
    (tmp_path / tool).write_text('#!/bin/sh\necho "$0 $*"\n')
    (tmp_path / tool).chmod(0o755)
    (tmp_path / "tr").symlink_to("/usr/bin/tr")
    ran = subprocess.run(
        work.argv,
        env={"PATH": str(tmp_path)},
        capture_output=True,
        text=True,
        check=True,
    )
    lines = ran.stdout.splitlines()
    version = "nginx=1.2" if tool == "apt-get" else "nginx-1.2"
    assert f"install curl {version}" in ran.stdout
    if tool == "apt-get":
        waits = ["-o DPkg::Lock::Timeout=300" in each for each in lines[:2]]
        assert waits == [True, True]
    assert work.network


def test_a_base_is_named_by_its_id(
    base: Recipe, parent: ImageId, images: AwsImages, builders: Builders
) -> None:
    """A recipe may begin from an AMI that nobody has looked up before."""
    recipe = Recipe.base(parent).run("true")
    image = images.build(recipe, on_output=unheard)
    assert (image.recipe, image.parent) == (recipe.digest, parent)
    assert recipe.digest != base.run("true").digest
    assert len(builders.launched) == 1


def test_the_page_is_a_program(
    parent: ImageId,
    account: Any,
    builders: Builders,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """What the guide to images shows is done, building included."""
    other = account.register_image(
        Name="other", RootDeviceName="/dev/xvda", Architecture="x86_64"
    )
    vpc = account.create_vpc(CidrBlock="10.0.0.0/16")["Vpc"]["VpcId"]
    subnet = account.create_subnet(VpcId=vpc, CidrBlock="10.0.0.0/24")["Subnet"]
    told = {
        "ami-0aaaaaaaaaaaaaaaa": other["ImageId"],
        "ami-0cccccccccccccccc": parent,
        "company-builds": BUCKET,
        "subnet-0a1b2c3d": subnet["SubnetId"],
    }
    text = PAGE.read_text()
    for theirs, ours in told.items():
        text = text.replace(theirs, ours)
    (tmp_path / "app").mkdir()
    (tmp_path / "app" / "run").write_text("#!/bin/sh\n")
    monkeypatch.chdir(tmp_path)
    names: dict[str, Any] = {}
    for example in re.findall(r"```py(?:thon)?\n(.*?)```", text, re.DOTALL):
        exec(compile(example, str(PAGE), "exec"), names)  # noqa: S102 - our own page
    assert (builders.root(builders.launched[0]) / "srv/app/run").is_file()
    assert own_images(account)[0] == "debian"
    assert "other" not in own_images(account)
