"""What runs an image that turned out bad, and what could take its place."""

import attrs
import pytest

import immutable
from immutable import errors
from immutable.images.catalogue.revoking import revoke
from immutable.ledger.state import FleetStatus
from immutable.replacing import affected
from immutable.strategies import BlueGreen
from immutable.testing import forget, world

WHERE = "memory://affected"


@pytest.fixture
def lab():
    """Return a world of its own, ended afterwards."""
    forget(WHERE)
    yield world(WHERE)
    forget(WHERE)


@pytest.fixture
def services(lab):
    """Return two services in one world."""
    strategy = BlueGreen(bake="0s", keep_warm="1h")
    return [
        immutable.Service(name, backend=WHERE, ports=80, strategy=strategy)
        for name in ("shop", "blog")
    ]


def put(lab, name, parent=None):
    """Put an image into a world, layered upon another."""
    image = attrs.evolve(lab.image(name), parent=parent)
    lab._cloud.images[image.id] = image
    return image


def test_live_and_standby_fleets_are_listed_with_what_to_do(lab, services):
    """A descendant counts; the suggestion is the highest earlier release that may run."""
    shop, blog = services
    base = put(lab, "base")
    for name, parent in (("one", None), ("two", "base"), ("three", "base")):
        immutable.deploy(shop, put(lab, name, parent)).raise_for_outcome()
    immutable.deploy(blog, put(lab, "blog-1")).raise_for_outcome()
    revoke(base, "stolen key", ledger=shop)
    live, standby = sorted(affected(base, services), key=lambda found: found.role)
    assert (live.service.name, live.release.number) == ("shop", 3)
    assert live.role is FleetStatus.LIVE
    assert live.because == "it runs three, which was built upon base"
    assert live.suggested.number == 1
    assert live.plan is None
    assert "roll back to v1" in live.advice
    assert (standby.release.number, standby.role) == (2, FleetStatus.STANDBY)
    assert standby.suggested is None
    assert "ends with its time" in standby.advice
    assert immutable.rollback(shop).release.number == live.suggested.number


def test_the_plan_is_ready_to_be_deployed(lab, services):
    """With an image to replace it by, each live fleet has a plan."""
    shop, _ = services
    bad = put(lab, "bad")
    for service in services:
        immutable.deploy(service, bad).raise_for_outcome()
    revoke(bad, "bad", ledger=shop)
    found = affected("bad", services, replacement=put(lab, "good"))
    assert [each.service.name for each in found] == ["shop", "blog"]
    assert all("deploy image good" in each.advice for each in found)
    for each in found:
        assert each.suggested is None
        assert immutable.deploy(each.plan).is_live
    assert affected("bad", services) != ()
    assert all(a.role is FleetStatus.STANDBY for a in affected("bad", services))


def test_without_an_earlier_release_something_new_has_to_be_built(lab, services):
    """Nothing revoked, and nothing that is gone, is suggested."""
    shop, _ = services
    for name in ("one", "two", "three"):
        immutable.deploy(shop, put(lab, name)).raise_for_outcome()
    revoke("two", "bad", ledger=shop)
    del lab._cloud.images["one"]
    found = affected("three", [shop])
    assert found[0].suggested is None
    assert "build anew" in found[0].advice
    assert found[0].because == "it runs three"


def test_one_may_ask_before_revoking(lab, services):
    """Nothing is written, and a replacement that is itself revoked is refused."""
    shop, _ = services
    one = put(lab, "one")
    immutable.deploy(shop, one).raise_for_outcome()
    assert len(affected(one, services)) == 1
    assert affected("unknown", services) == ()
    with pytest.raises(errors.InvalidInput):
        affected(7, services)
    revoke(put(lab, "two"), "bad", ledger=shop)
    with pytest.raises(errors.Revoked):
        affected(one, services, replacement="two")
