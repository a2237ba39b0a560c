"""Builds that fail, are cut off or killed leave nothing behind, and are made whole."""

import contextlib
import itertools
import os
import subprocess
import sys
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import attrs
import pytest
from builders import REGION, Builders

# At the end: the package itself is tested as it is installed, not as it lies here.
sys.path.append(str(Path(__file__).parents[4]))

from bakes import AWS, BUCKET, alive, hurriedly, objects, own_images, unheard

from emulators.aws import faults
from immutable.errors import (
    BuildFailed,
    NotEnough,
)
from immutable.images.recipe import Recipe
from immutable.model import ImageId
from immutable_aws.building import turns
from immutable_aws.building.depot import Depot
from immutable_aws.building.remains import Remains
from immutable_aws.images import AwsImages
from immutable_aws.session import Aws, Place

pytestmark = pytest.mark.skipif(os.geteuid() != 0, reason="makes a root: needs root")


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
