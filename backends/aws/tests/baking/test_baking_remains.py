"""What builders leave is ended as soon as it is known of, and what nobody ends is swept."""

import json
import os
from datetime import UTC, datetime, timedelta
from typing import Any

import attrs
import pytest
from bakes import AWS, BUCKET, alive, baking_of, objects, unheard
from builders import Builders

from emulators.aws import faults
from immutable.baking import Bake
from immutable.errors import Ambiguous, PermissionDenied
from immutable.images.recipe import Recipe
from immutable.model import ImageId, Token
from immutable_aws.building.remains import Remains
from immutable_aws.images import AwsImages

pytestmark = pytest.mark.skipif(os.geteuid() != 0, reason="makes a root: needs root")


def test_a_builder_is_ended_though_nothing_shows_it_yet(
    parent: ImageId,
    account: Any,
    emulator: Any,
    wire: tuple[faults.Proxy, AwsImages],
) -> None:
    """What was launched a moment ago is not found by its tags, and not known by its id."""
    proxy, images = wire
    emulator.configure(stale_s=1e6)
    ends = datetime.now(UTC) + timedelta(hours=1)
    order = Bake(parent=parent, works=())
    builder = baking_of(images, parent).start(
        order, token=Token("0" * 32), expires_at=ends
    )
    proxy.inject(
        faults.Fault(
            service="ec2",
            operation="TerminateInstances",
            error="InvalidInstanceID.NotFound",
            times=3,
        )
    )
    assert len(alive(account)) == 1
    builder.destroy()
    emulator.configure(stale_s=0)
    assert len(proxy.fired()) == 3
    assert alive(account) == []
    assert objects() == []


def test_a_launch_that_nobody_heard_of_is_looked_for_when_it_shows(
    parent: ImageId,
    account: Any,
    emulator: Any,
    wire: tuple[faults.Proxy, AwsImages],
) -> None:
    """Where every answer is lost, what was launched is ended once it can be found."""
    proxy, images = wire
    slow = attrs.evolve(images.config, staleness=timedelta(seconds=15))
    emulator.configure(stale_s=1)
    proxy.inject(
        faults.Fault(service="ec2", operation="RunInstances", is_cut=True, times=None)
    )
    order = Bake(parent=parent, works=())
    with pytest.raises(Ambiguous):
        baking_of(attrs.evolve(images, config=slow), parent).start(
            order,
            token=Token("0" * 32),
            expires_at=datetime.now(UTC) + timedelta(hours=1),
        )
    emulator.configure(stale_s=0)
    assert alive(account) == []
    assert objects() == []


def test_what_follows_a_gap_is_read_when_the_builder_is_off(
    parent: ImageId, images: AwsImages, emulator: Any
) -> None:
    """A word that never came does not keep the next ones from being heard."""
    builder = baking_of(images, parent).start(
        Bake(parent=parent, works=()),
        token=Token("0" * 32),
        expires_at=datetime.now(UTC) + timedelta(hours=1),
    )
    (bundle,) = objects()
    place = bundle.rpartition("/")[0]
    for name in ("00000000", "00000002", "00000003", "zzz"):
        body = json.dumps({"lines": [name], "reports": []}).encode()
        AWS.changes.s3.put_object(Bucket=BUCKET, Key=f"{place}/said/{name}", Body=body)
    (instance,) = emulator.machines()
    emulator.kill(instance, state="stopped")
    read = [builder.read(wait=timedelta()) for _ in range(4)]
    assert [said.lines for said in read] == [
        ("00000000",),
        ("00000002",),
        ("00000003",),
        (),
    ]
    assert [said.is_on for said in read] == [True, True, True, False]
    builder.destroy()


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
    baking = baking_of(images, parent)
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


def test_snapshots_without_their_image_are_swept(
    base: Recipe, images: AwsImages, builders: Builders, account: Any, emulator: Any
) -> None:
    """Those that EC2 did not delete go once nobody can be making an image of them."""
    del builders
    kept = images.build(base.run("true"), on_output=unheard)
    gone = images.build(base.run("echo"), on_output=unheard)
    emulator.configure(denied="ec2:DeleteSnapshot")
    with pytest.raises(PermissionDenied):
        images.delete(gone.id)
    emulator.configure(denied="")
    assert len(account.describe_snapshots(OwnerIds=["self"])["Snapshots"]) == 3
    remains = Remains(aws=AWS, depot=None)
    assert remains.sweep(datetime.now(UTC) + timedelta(hours=2)) == ()
    (swept,) = remains.sweep(datetime.now(UTC) + timedelta(days=1))
    assert swept.startswith("snapshot snap-")
    assert images.find(kept.id) == kept
    assert len(account.describe_snapshots(OwnerIds=["self"])["Snapshots"]) == 2
