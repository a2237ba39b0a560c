"""What is said before anything is done: refusals, warnings, and plans that are empty."""

import attrs
import pytest
from fakes import FakeBackend, FakeSwitch

from immutable import errors
from immutable.deploying import operations
from immutable.model import Outcome

LOCAL = "the ledger is on this machine"


def test_a_switch_routes_one_port(stage):
    """A service with two ports is refused before any effect, naming them."""
    two = stage.with_(ports=(80, 443))
    with pytest.raises(errors.Unsupported, match=r"ports \(80, 443\)"):
        two.deploy("one")
    assert not stage.world.inventory()
    assert not stage.store.records


@pytest.mark.parametrize(
    ("ledger", "warned"),
    [(None, True), ("sqlite:///ledger.db", True), ("memory://elsewhere", False)],
)
def test_a_ledger_that_others_cannot_read_is_warned_of(stage, ledger, warned):
    """Where other machines see the same fleets, a ledger on one of them is a risk."""
    cloud = FakeBackend(stage.world, reachable_elsewhere=True)
    there = stage.with_(backend=cloud, ledger=ledger)
    image = stage.world.image("one")
    plan = operations.plan(there.engine(), image, there.options())
    done = there.deploy(image)
    assert done.outcome is Outcome.LIVE
    for warnings in (plan.warnings, done.warnings):
        assert any(LOCAL in said for said in warnings) is warned


def test_a_ledger_beside_its_servers_is_not_warned_of(stage):
    """On one machine, the ledger is where everything else is."""
    plan = operations.plan(stage.engine(), stage.world.image("one"), stage.options())
    assert plan.warnings == ()


def test_a_switch_may_warn(stage, monkeypatch):
    """What it says before anything is done is told with what the backend says."""
    monkeypatch.setattr(FakeSwitch, "preflight", lambda _: ("mind the gap",))
    image = stage.world.image("one")
    plan = operations.plan(stage.engine(), image, stage.options())
    done = stage.deploy(image)
    assert (plan.warnings, done.warnings) == (("mind the gap",), ("mind the gap",))


def test_a_plan_of_what_is_live_has_no_steps(stage):
    """Nothing is to be done, and nothing more is asked of the backend."""
    image = stage.world.image("one")
    stage.deploy(image)
    plan = operations.plan(stage.engine(), image, stage.options())
    assert (plan.steps, plan.calls, plan.peak_instances) == ((), 0, 2)
    assert plan.release.number == 1


def test_a_plan_makes_room_for_what_the_provider_grew(stage):
    """The incumbent's live size wins: the new fleet is planned as large."""
    stage.deploy("one")
    (live,) = stage.world.fleets
    view = stage.world.fleets[live]
    stage.world.fleets[live] = attrs.evolve(view, desired_size=3)
    image = stage.world.image("two")
    plan = operations.plan(stage.engine(), image, stage.options())
    done = stage.deploy(image)
    assert [step.step for step in plan.steps] == [step.step for step in done.steps]
    assert "resize" in [step.step for step in plan.steps]
    assert plan.peak_instances == 5
    (live,) = dict(stage.world.routing.weights)
    assert len(stage.world.fleets[live].instances) == 3


def test_a_plan_with_validators_shows_the_preview(stage):
    """Whoever judges the release sees it off the production path first."""
    judged = stage.with_(validators=(lambda target: target is not None,))
    image = stage.world.image("one")
    plan = operations.plan(judged.engine(), image, judged.options())
    done = judged.deploy(image)
    assert [step.step for step in plan.steps] == [step.step for step in done.steps]
    assert "preview" in plan.steps[-2].detail


def test_a_release_whose_image_is_gone_is_not_gone_back_to(stage):
    """There is nothing to launch from: refused, and said what to do."""
    stage.deploy("one")
    stage.deploy("two")
    before = stage.world.routing
    stage.service.backend.images.delete("one")
    done = stage.rollback()
    assert done.outcome is Outcome.REFUSED
    assert "image one is gone" in str(done.error)
    assert "build it again" in str(done.error)
    assert stage.world.routing == before
