"""Recipes are built in builders that nobody logs in to: the program they are told is run."""

import contextlib
import gzip
import itertools
import os
import re
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import attrs
import pytest
from builders import REGION, Builders, Hurried

# At the end: the package itself is tested as it is installed, not as it lies here.
sys.path.append(str(Path(__file__).parents[3]))

from emulators.aws import faults
from immutable.baking import Bake
from immutable.errors import (
    BuildFailed,
    InvalidInput,
    MissingFiles,
    NotEnough,
    Taken,
    Unsupported,
)
from immutable.host import running_on
from immutable.images.layers import Packages
from immutable.images.lock import Lock
from immutable.images.origins import Existing
from immutable.images.recipe import Recipe
from immutable.model import Digest, Image, ImageId, Token
from immutable_aws import catalog
from immutable_aws.building import baker, turns
from immutable_aws.building.baker import AwsBaking
from immutable_aws.building.depot import Depot
from immutable_aws.building.layers import works_of
from immutable_aws.building.making import Making
from immutable_aws.building.remains import Remains
from immutable_aws.building.turns import Turn
from immutable_aws.config import AwsConfig
from immutable_aws.images import AwsImages
from immutable_aws.session import Aws, Place

pytestmark = pytest.mark.skipif(os.geteuid() != 0, reason="makes a root: needs root")
BUCKET = "bakes"
PAGE = Path(__file__).parents[3] / "docs/howto/aws-bake-images.md"
AWS = Aws(Place(region=REGION))
"""One for all tests, whose emulated AWS is one: making clients takes longer than a build."""


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


def test_two_at_once_build_once(
    base: Recipe, images: AwsImages, builders: Builders
) -> None:
    """The second waits for the first one's image."""
    recipe = base.run("sleep 1")
    with ThreadPoolExecutor() as pool:
        both = [pool.submit(hurriedly, images, recipe) for _ in range(2)]
    one, other = (future.result() for future in both)
    assert one == other
    assert len(builders.launched) == 1
    assert objects() == []


def hurriedly(images: AwsImages, recipe: Recipe) -> Image:
    """Build on a thread, whose host is its own."""
    with running_on(Hurried()):
        return images.build(recipe, on_output=unheard)


def test_what_fails_leaves_nothing(
    base: Recipe, images: AwsImages, builders: Builders, account: Any
) -> None:
    """A layer that fails says why; there is no image, no instance and no object."""
    del builders
    recipe = base.run("echo fine").run("echo no such thing; exit 3").run("echo never")
    said: list[str] = []
    with pytest.raises(BuildFailed, match="failed with status 3") as caught:
        images.build(recipe, on_output=said.append)
    assert "no such thing" in caught.value.message
    assert said == ["fine", "no such thing"]
    assert own_images(account) == ["debian"]
    assert alive(account) == []
    assert objects() == []


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


def test_a_builder_that_ends_is_noticed(
    base: Recipe, images: AwsImages, builders: Builders, emulator: Any, account: Any
) -> None:
    """One that is switched off before it begins fails the build at once."""
    builders.is_deaf = True
    emulator.configure(boot_s=0)
    with ThreadPoolExecutor() as pool:
        building = pool.submit(hurriedly, images, base.run("true"))
        while not builders.launched:
            time.sleep(0.01)
        emulator.kill(builders.launched[0], state="stopped")
        with pytest.raises(BuildFailed, match="ended while booting the builder"):
            building.result()
    assert alive(account) == []


def turn_of(images: AwsImages, recipe: Recipe, token: str) -> Turn:
    """Return somebody's turn to build a recipe."""
    making = Making(
        aws=images.aws,
        config=images.config,
        recipe=recipe,
        on_output=unheard,
        find=images.find,
    )
    return Turn(
        depot=Depot(aws=images.aws, bucket=BUCKET),
        name=making.name.partition("/")[2],
        token=Token(token * 32),
    )


def test_the_turn_of_the_dead_is_taken_over(
    base: Recipe, images: AwsImages, builders: Builders, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A builder whose caller is not heard of any more does not keep others from building."""
    recipe = base.run("true")
    assert turn_of(images, recipe, "0").take() is None
    monkeypatch.setattr(turns, "LEASE", timedelta(seconds=-1))
    image = images.build(recipe, on_output=unheard)
    assert images.find(image.id) == image
    assert len(builders.launched) == 1


def test_a_turn_is_taken_over_by_one(
    base: Recipe, images: AwsImages, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Of two who find it abandoned one has it; whoever had it is told when it lives."""
    monkeypatch.setattr(turns, "LEASE", timedelta(seconds=-1))
    monkeypatch.setattr(turns, "RENEWAL", timedelta())
    first, second, third = (turn_of(images, base.run("true"), n) for n in "012")
    assert first.take() is None
    first.renew()
    seen = second.take()
    also = third.take()
    assert seen is not None
    assert also is not None
    assert seen.tag == also.tag
    assert [second.take_over(seen), third.take_over(seen)] == [True, False]
    with pytest.raises(BuildFailed, match="somebody else builds"):
        first.renew()
    first.leave()
    second.renew()


def test_the_living_keep_their_turn(base: Recipe, images: AwsImages) -> None:
    """Whoever was heard a moment ago is not taken to be dead."""
    first, second = (turn_of(images, base.run("true"), number) for number in "01")
    assert first.take() is None
    seen = second.take()
    assert seen is not None
    assert not second.take_over(seen)


def test_what_has_expired_is_swept(
    base: Recipe,
    parent: ImageId,
    images: AwsImages,
    builders: Builders,
    account: Any,
) -> None:
    """Builders and objects of dead callers go by their tags and names; others stay."""
    builders.is_deaf = True
    order = Bake(parent=parent, works=())
    ami = catalog.look_up(images.aws, parent, ("self",))
    assert ami is not None
    baking = AwsBaking(
        aws=images.aws,
        config=images.config,
        depot=Depot(aws=images.aws, bucket=BUCKET),
        parent=ami,
        name="immutable/none",
        tags=(),
        on_alive=lambda: None,
    )
    now = datetime.now(UTC)
    for number, ends in enumerate(
        (now - timedelta(minutes=1), now + timedelta(hours=1))
    ):
        baking.start(order, token=Token(f"{number}" * 32), expires_at=ends)
    assert len(alive(account)) == 2
    swept = images.sweep()
    assert len(alive(account)) == 1
    assert [name.partition(" ")[0][:12] for name in swept] == [
        "instance",
        "s3://bakes/i",
    ]
    assert [key.partition("-")[0] for key in objects()] == ["immutable"]
    assert "1" * 32 in objects()[0]
    assert base.origin


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
    version = "nginx=1.2" if tool == "apt-get" else "nginx-1.2"
    assert f"install curl {version}" in ran.stdout
    assert work.network


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


def test_answers_that_are_lost_change_nothing(
    base: Recipe,
    builders: Builders,
    account: Any,
    wire: tuple[faults.Proxy, AwsImages],
) -> None:
    """One builder and one image, though nobody heard that they were made."""
    proxy, images = wire
    cut = [("ec2", "RunInstances"), ("ec2", "CreateImage"), ("s3", "PutObject")]
    cut += [("ec2", "TerminateInstances"), ("s3", "DeleteObject")]
    for service, operation in cut:
        proxy.inject(faults.Fault(service=service, operation=operation, is_cut=True))
    image = images.build(base.run("true"), on_output=unheard)
    assert len(proxy.fired()) == len(cut)
    assert images.find(image.id) == image
    assert len(builders.launched) == 1
    assert len(own_images(account)) == 2
    assert alive(account) == []
    assert objects() == []


def test_calls_that_are_refused_for_now_are_made_again(
    base: Recipe, builders: Builders, wire: tuple[faults.Proxy, AwsImages]
) -> None:
    """A throttled account builds more slowly."""
    proxy, images = wire
    for operation in ("RunInstances", "CreateImage", "TerminateInstances"):
        error = "RequestLimitExceeded"
        proxy.inject(
            faults.Fault(service="ec2", operation=operation, error=error, status=503)
        )
    images.build(base.run("true"), on_output=unheard)
    assert len(builders.launched) == 1


def test_whoever_interrupts_leaves_nothing(
    base: Recipe, images: AwsImages, builders: Builders, account: Any
) -> None:
    """A build that is given up takes its builder with it."""
    assert builders.launched == []

    def interrupt(line: str) -> None:
        raise KeyboardInterrupt(line)

    with pytest.raises(KeyboardInterrupt):
        images.build(base.run("echo something; sleep 60"), on_output=interrupt)
    assert alive(account) == []
    assert objects() == []
    assert own_images(account) == ["debian"]


_BUILDER = """\
import sys
from immutable.images.recipe import Recipe
from immutable.model import ImageId
from immutable_aws import AwsConfig
from immutable_aws.backend import AwsBackend
images = AwsBackend(config=AwsConfig(region=sys.argv[1], bucket=sys.argv[2])).images
recipe = Recipe.on(images.find(ImageId(sys.argv[3]))).run("true")
images.build(recipe, on_output=print)
"""


def test_what_the_killed_leave_goes_with_the_next_build(
    base: Recipe,
    parent: ImageId,
    images: AwsImages,
    builders: Builders,
    account: Any,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """A deployer that is killed while it builds leaves a builder; who comes next ends it."""
    builders.is_deaf = True
    argv = [sys.executable, "-c", _BUILDER, REGION, BUCKET, parent]
    with subprocess.Popen(argv) as process:
        while not builders.launched:
            assert process.poll() is None
            time.sleep(0.01)
        process.kill()
    (left,) = alive(account)
    builders.is_deaf = False
    monkeypatch.setattr(turns, "LEASE", timedelta(seconds=-1))
    images.build(base.run("true"), on_output=unheard)
    assert builders.launched[0] == left
    assert len(builders.launched) == 2
    assert len(own_images(account)) == 2
    assert alive(account) == []
    assert objects() == []


class Killed(BaseException):
    """The process is no more: nothing catches this, and nothing is called after it."""


class Dying:
    """Calls of a process that is killed at one of its changes, before or after its effect."""

    def __init__(self, at: int, *, after: bool) -> None:
        self.aws = Aws(Place(region=REGION))
        self.said = ""
        self._left, self._after, self._is_dead = at, after, False
        for clients in (self.aws.reads, self.aws.changes):
            for client in (clients.ec2, clients.s3):
                client.meta.events.register_first("before-send", self._send)
                client.meta.events.register_first("after-call", self._heard)

    def _send(self, request: Any, event_name: str, **_: Any) -> None:
        if self._is_dead:
            raise Killed
        name = event_name.rpartition(".")[2]
        if name.startswith(("Describe", "Get", "List")):
            return
        self._left -= 1
        if not self._left:
            self.said = name
            self._is_dead = True
            if not self._after:
                raise Killed

    def _heard(self, **_: Any) -> None:
        if self._is_dead:
            raise Killed


def dies(images: AwsImages, recipe: Recipe, at: int, *, after: bool) -> str:
    """Build and be killed at a change; return at which, or nothing where there were fewer."""
    process = Dying(at, after=after)
    with contextlib.suppress(Killed):
        attrs.evolve(images, aws=process.aws).build(recipe, on_output=unheard)
    return process.said


@pytest.mark.parametrize("after", [False, True], ids=["before", "after"])
def test_killed_at_any_change_the_next_build_is_whole(
    after: bool,
    base: Recipe,
    images: AwsImages,
    builders: Builders,
    account: Any,
    monkeypatch: pytest.MonkeyPatch,
    ran: Callable[[str], None],
) -> None:
    """Before or after its effect: there is one image, and what is left is swept."""
    monkeypatch.setattr(turns, "LEASE", timedelta(seconds=-1))
    died: list[str] = []
    later = datetime.now(UTC) + timedelta(days=2)
    for made in itertools.count(1):
        recipe = base.run(f"echo {made}")
        at = dies(images, recipe, made, after=after)
        image = images.build(recipe, on_output=unheard)
        assert images.find(image.id) == image
        Remains(aws=AWS, depot=Depot(aws=AWS, bucket=BUCKET)).sweep(later)
        assert alive(account) == [], at
        assert objects() == [], at
        if not at:
            break
        died.append(at)
    assert len(own_images(account)) == 1 + made
    assert len(account.describe_snapshots(OwnerIds=["self"])["Snapshots"]) == 1 + made
    assert {"RunInstances", "CreateImage", "PutObject", "TerminateInstances"} <= set(
        died
    )
    assert builders.launched
    ran(f"builds of images killed at {len(died)} places")


def test_nothing_is_left_where_there_is_no_room(
    base: Recipe, images: AwsImages, emulator: Any
) -> None:
    """No builder can be had: neither a bundle nor a turn stays."""
    emulator.configure(vcpus=0)
    with pytest.raises(NotEnough):
        images.build(base.run("true"), on_output=unheard)
    assert objects() == []


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
