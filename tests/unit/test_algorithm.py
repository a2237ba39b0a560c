"""The algorithm in a small world: what is live, what is left, and what was never done."""

from datetime import timedelta

import attrs
import pytest
from fakes import FakeBackend, boom

from immutable import errors
from immutable.deploying import operations
from immutable.judging import Target
from immutable.model import Outcome, Routing
from immutable.observing import reading
from immutable.strategies import Canary


def test_a_first_deploy_goes_live(stage):
    """An empty world serves the new release, whole, and nothing else is there."""
    done = stage.deploy("one")
    assert done.outcome is Outcome.LIVE, done.error
    (fleet,) = stage.world.fleets
    assert stage.world.routing == Routing(weights={fleet: 100})
    assert len(stage.world.fleets[fleet].instances) == 2
    assert done.release.number == 1


def test_the_old_fleet_stays_as_standby(stage):
    """After the cutover the old fleet is kept, attached and weightless."""
    stage.deploy("one")
    stage.deploy("two")
    status = reading.status(stage.engine())
    assert {(f.release, f.role, f.weight) for f in status.fleets} == {
        (1, "standby", 0),
        (2, "live", 100),
    }
    assert status.drift is None


def test_a_third_deploy_replaces_the_standby(stage):
    """There is one standby: the fleet before last is retired after the commit."""
    for image in ("one", "two", "three"):
        stage.deploy(image)
    assert len(stage.world.inventory()) == 2


def test_a_standby_is_retired_when_its_time_is_over(stage):
    """The next call after keep_warm carries the retirement out."""
    stage.deploy("one")
    stage.deploy("two")
    stage.world.clock.time += timedelta(hours=2)
    operations.recover(stage.engine())
    assert len(stage.world.inventory()) == 1


def test_a_sick_release_is_turned_away(stage):
    """A release that never becomes ready ends rolled back, with evidence, and is gone."""
    stage.deploy("one")
    before = stage.world.routing
    stage.world.sick_images.add("bad")
    done = stage.deploy("bad")
    assert done.outcome is Outcome.ROLLED_BACK
    assert isinstance(done.error, errors.NotReady)
    assert done.evidence[0].console == "panic"
    assert stage.world.routing == before
    assert len(stage.world.inventory()) == 1


def test_lost_evidence_does_not_keep_the_failed_fleet(stage):
    """Logs that cannot be read are a pity, and nothing more."""
    stage.world.sick_images.add("bad")
    stage.world.faults["logs"] = [boom(errors.Unavailable)] * 9
    done = stage.deploy("bad")
    assert done.outcome is Outcome.ROLLED_BACK
    assert not stage.world.inventory()


def test_a_switch_that_goes_away_pauses_the_deployment(stage):
    """With no answer from the switch nothing is guessed; recovery goes on from there."""
    stage.deploy("one")
    clock = stage.world.clock

    def lost() -> None:
        for call in ("read", "health", "write", "detach"):
            stage.world.faults[call] = [boom(errors.Unavailable)] * 50

    clock.at_times.append((clock.now() + timedelta(seconds=1), lost))
    done = stage.deploy("two")
    assert done.outcome is Outcome.NEEDS_RECOVERY
    assert reading.status(_healed(stage)).interrupted
    assert operations.recover(stage.engine()).outcome is Outcome.ROLLED_BACK
    assert len(stage.world.inventory()) == 1
    assert stage.deploy("three").outcome is Outcome.LIVE


def _healed(stage):
    stage.world.faults.clear()
    return stage.engine()


def test_a_broken_incumbent_is_replaced(stage):
    """A deploy does not need the old side to be alive."""
    stage.deploy("one")
    (live,) = stage.world.fleets
    for instance in stage.world.fleets[live].instances:
        stage.world.kill(instance.id)
    assert stage.deploy("two").outcome is Outcome.LIVE


def test_when_neither_side_is_healthy_routing_is_left_alone(stage):
    """The new side fails under traffic, the old side is dead: the next deploy goes on."""
    stage.deploy("one")
    (old,) = stage.world.fleets

    def fails_live(target: Target) -> bool:
        if target.live:
            stage.world.sick.add(old)
        return not target.live

    done = stage.deploy("two", validators=(fails_live,))
    assert done.outcome is Outcome.NEEDS_RECOVERY
    (live,) = dict(stage.world.routing.weights)
    assert live != old
    assert stage.deploy("three").outcome is Outcome.LIVE


def test_a_failed_first_deploy_leaves_nothing(stage):
    """Failure of the first deploy leaves the routing empty and the world clean."""
    stage.world.sick_images.add("bad")
    assert stage.deploy("bad").outcome is Outcome.ROLLED_BACK
    assert stage.world.routing == Routing()
    assert not stage.world.inventory()


def test_a_rejected_release_never_gets_traffic(stage):
    """A validator that fails on the preview route keeps production untouched."""
    stage.deploy("one")
    seen = []

    def reject(target: Target) -> bool:
        seen.append(target)
        return False

    stage.world.routings.clear()
    done = stage.deploy("two", validators=(reject,))
    assert isinstance(done.error, errors.ValidationFailed)
    assert done.outcome is Outcome.ROLLED_BACK
    assert seen[0].live is False
    assert all(
        routing.weight_of(seen[0].fleet) == 0 for routing in stage.world.routings
    )
    assert len(stage.world.inventory()) == 1


def test_an_undecided_validator_is_no_pass(stage):
    """A validator without an answer ends the deployment when its time is over."""
    stage.deploy("one")
    done = stage.deploy("two", validators=(lambda _: None,))
    assert isinstance(done.error, errors.ValidationFailed)
    assert "undecided" in str(done.error)


def test_failure_in_the_bake_moves_everything_back(stage):
    """A validator that fails on live traffic restores the old side."""
    stage.deploy("one")
    old = stage.world.routing
    done = stage.deploy("two", validators=(lambda target: not target.live,))
    assert done.outcome is Outcome.ROLLED_BACK
    assert stage.world.routing == old
    assert len(stage.world.inventory()) == 1


def test_rollback_is_warm(stage):
    """Rolling back to the standby launches nothing and needs one write."""
    stage.deploy("one")
    stage.deploy("two")
    stage.world.calls.clear()
    done = stage.rollback()
    assert done.outcome is Outcome.LIVE
    assert done.release.number == 1
    assert "launch" not in stage.world.calls
    assert stage.world.calls.count("write") == 1


def test_rollback_twice_does_not_toggle(stage):
    """Each rollback goes to an earlier release; at the first there is none."""
    for image in ("one", "two", "three"):
        stage.deploy(image)
    assert stage.rollback().release.number == 2
    assert stage.rollback().release.number == 1
    with pytest.raises(errors.UnknownRelease):
        stage.rollback()


def test_rollback_after_failures_is_still_warm(stage):
    """Two failed deploys do not touch the standby."""
    stage.deploy("one")
    stage.deploy("two")
    stage.world.sick_images.update({"bad", "worse"})
    stage.deploy("bad")
    stage.deploy("worse")
    stage.world.calls.clear()
    assert stage.rollback().outcome is Outcome.LIVE
    assert "launch" not in stage.world.calls


def test_a_cold_rollback_launches_again(stage):
    """A release whose fleet is gone is launched again from its image."""
    for image in ("one", "two", "three"):
        stage.deploy(image)
    done = stage.rollback(to=1)
    assert done.outcome is Outcome.LIVE
    assert done.release.number == 1


def test_the_same_release_again_does_nothing(stage):
    """What is live already is live at once, without a record or an effect."""
    image = stage.world.image("one")
    stage.deploy(image)
    records = len(stage.store.records["service/shop"])
    assert stage.deploy(image).outcome is Outcome.LIVE
    assert len(stage.store.records["service/shop"]) == records


def test_a_change_of_configuration_is_a_new_release(stage):
    """The digest covers the configuration, and instances are handed it."""
    image = stage.world.image("one")
    stage.deploy(image)
    done = stage.deploy(image, configuration=(("LEVEL", "debug"),))
    assert done.release.number == 2
    (live,) = dict(stage.world.routing.weights)
    assert '"LEVEL": "debug"' in stage.world.specs[live].document


def test_capacity_is_carried_over(stage):
    """A deploy keeps the size that scale has set; only size= lowers it."""
    stage.deploy("one")
    operations.scale(stage.engine(), 4, timeout=None)
    kept = stage.deploy("two")
    (live,) = dict(stage.world.routing.weights)
    assert kept.outcome is Outcome.LIVE
    assert len(stage.world.fleets[live].instances) == 4
    stage.deploy("three", size=1)
    (live,) = dict(stage.world.routing.weights)
    assert len(stage.world.fleets[live].instances) == 1


def test_a_canary_moves_by_steps(stage):
    """Each step is written as a whole routing, and every one sums to 100."""
    stage.deploy("one")
    stage.world.routings.clear()
    canary = Canary(steps=[5, 50], hold="10s", bake="1s")
    assert stage.deploy("two", strategy=canary).outcome is Outcome.LIVE
    (live,) = dict(stage.world.routing.weights)
    assert [r.weight_of(live) for r in stage.world.routings] == [5, 50, 100]


def test_a_failing_canary_goes_back(stage):
    """A judge that fails at a step sends everyone back to the old release."""
    stage.deploy("one")
    old = stage.world.routing
    canary = Canary(steps=[5], hold="10s", judge=lambda _: False)
    assert stage.deploy("two", strategy=canary).outcome is Outcome.ROLLED_BACK
    assert stage.world.routing == old
    assert len(stage.world.inventory()) == 1


def test_scale_down_lets_requests_end_first(stage):
    """Instances that go leave the switch before they are destroyed."""
    stage.deploy("one", size=3)
    done = operations.scale(stage.engine(), 1, timeout=None)
    assert done.outcome is Outcome.LIVE
    assert [s.step for s in done.steps] == ["join", "resize"]
    (fleet,) = stage.world.fleets.values()
    assert len(fleet.instances) == 1


def test_a_scale_that_fails_goes_back(stage):
    """New instances that never become ready are taken away again."""
    stage.deploy("one")
    (live,) = dict(stage.world.routing.weights)
    stage.world.boot = timedelta(days=1)
    done = operations.scale(stage.engine(), 3, timeout=None)
    assert done.outcome is Outcome.ROLLED_BACK
    assert len(stage.world.fleets[live].instances) == 2


def test_heal_replaces_the_dead(stage):
    """A dead instance is replaced by another of the same release."""
    stage.deploy("one")
    (live,) = stage.world.fleets
    dead = stage.world.fleets[live].instances[0].id
    stage.world.kill(dead)
    done = operations.heal(stage.engine(), timeout=None)
    assert done.outcome is Outcome.LIVE
    alive = {i.id for i in stage.world.fleets[live].instances}
    assert dead not in alive
    assert len(alive) == 2
    assert {m.instance for m in stage.world.places[live]} == alive


def test_heal_of_a_whole_fleet_does_nothing(stage):
    """Nothing is recorded or changed when every instance is ready."""
    stage.deploy("one")
    records = len(stage.store.records["service/shop"])
    stage.world.clock.time += timedelta(seconds=10)
    assert operations.heal(stage.engine(), timeout=None).outcome is Outcome.LIVE
    assert len(stage.store.records["service/shop"]) == records


def test_an_instance_that_dies_on_the_way_is_replaced(stage):
    """The loop heals its own new fleet."""
    clock = stage.world.clock
    clock.at_times.append(
        (
            clock.now() + timedelta(seconds=1),
            lambda: stage.world.kill(
                next(iter(stage.world.fleets.values())).instances[0].id
            ),
        )
    )
    done = stage.deploy("one")
    assert done.outcome is Outcome.LIVE
    assert "replace" in {s.step for s in done.steps}


def test_cancel_before_the_commit_goes_back(stage):
    """Asked to stop while waiting, production stays and the new fleet is gone."""
    stage.deploy("one")
    old = stage.world.routing
    clock = stage.world.clock
    clock.at_times.append((clock.now() + timedelta(seconds=1), stage.asked.interrupt))
    done = stage.deploy("two")
    assert done.outcome is Outcome.ROLLED_BACK
    assert isinstance(done.error, errors.Cancelled)
    assert stage.world.routing == old
    assert len(stage.world.inventory()) == 1


def test_the_timeout_goes_back(stage):
    """When the time is over everything goes back."""
    stage.deploy("one")
    done = stage.deploy("two", timeout=timedelta(seconds=1))
    assert isinstance(done.error, errors.DeadlineExceeded)
    assert len(stage.world.inventory()) == 1


def test_a_backend_says_how_often_it_may_be_looked_at(stage):
    """Where readings are counted, a fleet on its way is looked at no more often."""
    pace = timedelta(seconds=2)
    slow = stage.with_(backend=FakeBackend(stage.world, pace=pace))
    slow.deploy("one")
    looks = stage.world.calls.count("health")
    stage.world.calls.clear()
    stage.deploy("two", strategy=attrs.evolve(stage.service.strategy, bake="0s"))
    assert looks < stage.world.calls.count("health") / 4


def test_retryable_errors_are_repeated(stage):
    """What the backend says may be repeated is repeated, and leaves no trace."""
    stage.world.faults["launch"] = [boom(errors.Unavailable, retryable=True)] * 2
    assert stage.deploy("one").outcome is Outcome.LIVE


def test_an_ambiguous_launch_is_adopted(stage):
    """A launch that took effect without an answer makes no second fleet."""
    stage.world.late_faults["launch"] = [boom(errors.Ambiguous)]
    assert stage.deploy("one").outcome is Outcome.LIVE
    (fleet,) = stage.world.fleets.values()
    assert len(fleet.instances) == 2


def test_an_ambiguous_shift_is_read_back(stage):
    """A switch write that took effect without an answer counts as done."""
    stage.deploy("one")
    stage.world.late_faults["write"] = [boom(errors.Ambiguous)]
    assert stage.deploy("two").outcome is Outcome.LIVE
    (live,) = dict(stage.world.routing.weights)
    assert "-v2-" in live


def test_no_room_is_a_clean_end(stage):
    """A provider without room ends the deployment at once, and cleanly."""
    stage.deploy("one")
    stage.world.faults["launch"] = [boom(errors.NotEnough)]
    done = stage.deploy("two")
    assert done.outcome is Outcome.ROLLED_BACK
    assert isinstance(done.error, errors.NotEnough)
    assert len(stage.world.inventory()) == 1


def test_what_cannot_be_destroyed_is_reported_and_retired_later(stage):
    """Leftovers are named; the next call on the service is rid of them."""
    stage.deploy("one")
    stage.world.sick_images.add("bad")
    stage.world.faults["retire"] = [boom(errors.Unavailable)] * 10
    done = stage.deploy("bad")
    assert done.outcome is Outcome.NEEDS_RECOVERY
    assert done.leftovers
    stage.world.faults.clear()
    operations.recover(stage.engine())
    assert len(stage.world.inventory()) == 1


def test_a_moved_switch_is_drift(stage):
    """A deployment is refused while traffic goes elsewhere than the ledger says."""
    stage.deploy("one")
    stage.world.routing = Routing()
    done = stage.deploy("two")
    assert done.outcome is Outcome.REFUSED
    assert isinstance(done.error, errors.Drift)


def test_a_switch_of_another_ledger_is_drift(stage):
    """An empty ledger beside live traffic is a lost file, not a first deploy."""
    stage.deploy("one")
    stage.store.records.clear()
    done = stage.deploy("two")
    assert isinstance(done.error, errors.Drift)
    assert len(stage.world.inventory()) == 1


def test_a_switch_moved_meanwhile_is_left_alone(stage):
    """When somebody moves production during a deployment, theirs stays."""
    stage.deploy("one")
    clock, theirs = stage.world.clock, Routing()

    def moved() -> None:
        stage.world.routing = theirs
        stage.world.version += 1

    clock.at_times.append((clock.now() + timedelta(seconds=1), moved))
    done = stage.deploy("two")
    assert isinstance(done.error, errors.Drift)
    assert stage.world.routing == theirs


def test_two_deployers_one_proceeds(stage):
    """While a deployment waits, another call is refused with a clear reason."""
    refused = []
    clock = stage.world.clock
    clock.at_times.append(
        (
            clock.now() + timedelta(seconds=1),
            lambda: refused.append(stage.deploy("two")),
        )
    )
    assert stage.deploy("one").outcome is Outcome.LIVE
    assert refused[0].outcome is Outcome.REFUSED
    assert isinstance(refused[0].error, errors.Contention)


def test_a_plan_is_what_happens(stage):
    """The planned steps are the steps of the deployment, in order."""
    stage.deploy("one")
    image = stage.world.image("two")
    plan = operations.plan(stage.engine(), image, stage.options())
    done = stage.deploy(image)
    assert [s.step for s in plan.steps] == [s.step for s in done.steps]
    assert plan.peak_instances == 4
    assert plan.size == 2


def test_planning_changes_nothing(stage):
    """A plan writes nothing, neither to the ledger nor to the world."""
    operations.plan(stage.engine(), stage.world.image("one"), stage.options())
    assert not stage.store.records
    assert not stage.world.inventory()


def test_a_stale_plan_is_refused(stage):
    """A plan whose ledger head has moved is refused."""
    stage.deploy("one")
    image = stage.world.image("two")
    plan = operations.plan(stage.engine(), image, stage.options())
    stage.deploy("three")
    head = operations.Head(ledger=plan.ledger_head, switch=plan.switch_version)
    done = operations.deploy(stage.engine(), image, stage.options(), head=head)
    assert isinstance(done.error, errors.StalePlan)


def test_sweep_retires_what_the_ledger_does_not_know(stage):
    """A fleet with our tags that no record mentions is retired; the live one stays."""
    stage.deploy("one")
    (live,) = stage.world.fleets
    spec = stage.world.specs[live]
    orphan = attrs.evolve(spec, name="shop-v9-abcdef")
    stage.service.backend.fleets.launch(orphan, token="t")
    assert operations.sweep(stage.engine()).outcome is Outcome.LIVE
    assert set(stage.world.fleets) == {live}


def test_destroy_closes_production_first(stage):
    """The service goes whole: routing empty, fleets gone, history kept."""
    stage.deploy("one")
    stage.deploy("two")
    assert operations.destroy(stage.engine()).outcome is Outcome.LIVE
    assert stage.world.routing == Routing()
    assert not stage.world.inventory()
    assert [line.verb for line in reading.history(stage.engine())][-1] == "destroy"
    assert stage.deploy("three").release.number == 3


def test_history_tells_every_deployment(stage):
    """History names verb, release and outcome, oldest first."""
    stage.deploy("one")
    stage.world.sick_images.add("bad")
    stage.deploy("bad")
    lines = reading.history(stage.engine())
    assert [(line.verb, line.release, line.outcome) for line in lines] == [
        ("deploy", 1, Outcome.LIVE),
        ("deploy", 2, Outcome.ROLLED_BACK),
    ]
    assert "ready" in lines[1].error


@pytest.mark.parametrize("size", [1, 2, 5])
def test_a_rollback_onto_a_warm_standby_has_the_size_that_was_asked_for(stage, size):
    """size= holds for a fleet that exists already, too."""
    stage.deploy("one")
    stage.deploy("two")
    options = stage.options(size=size)
    done = operations.rollback(stage.engine(), None, options)
    assert done.outcome is Outcome.LIVE, done.error
    (live,) = dict(stage.world.routing.weights)
    assert len(stage.world.fleets[live].instances) == size
    assert len(stage.world.places[live]) == size


def test_a_reading_that_always_fails_is_given_up_among_others_that_work(stage):
    """What can be read in between does not make up for what cannot."""
    stage.deploy("one")
    clock = stage.world.clock

    def lost() -> None:
        stage.world.faults["observe"] = [boom(errors.Unavailable)] * 10_000

    clock.at_times.append((clock.now() + timedelta(seconds=2), lost))
    done = stage.deploy("two")
    assert done.outcome in {Outcome.ROLLED_BACK, Outcome.NEEDS_RECOVERY}
    assert len(stage.world.calls) < 1000
