"""One builds, and the others wait; whoever is dead keeps nobody waiting."""

import os
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta

import pytest
from bakes import BUCKET, hurriedly, objects, unheard
from builders import Builders

from immutable.errors import BuildFailed
from immutable.images.recipe import Recipe
from immutable.model import Token
from immutable_aws.building import turns
from immutable_aws.building.depot import Depot
from immutable_aws.building.making import Making
from immutable_aws.building.turns import Turn
from immutable_aws.images import AwsImages

pytestmark = pytest.mark.skipif(os.geteuid() != 0, reason="makes a root: needs root")


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
