"""Fleets that their provider heals and scales by itself, held back while they are judged."""

import json
import sys
from pathlib import Path

import attrs
import pytest

import immutable
from immutable import Outcome
from immutable.events import StepFinished
from immutable.ledger.codec import decode_anew, encode, sealed, unsealed
from immutable.ledger.records import Record, Snapshot
from immutable.testing import Provider, Script, Simulation, people, run_schedule
from immutable.testing.planting import MOST, POLICIES, plant
from immutable.testing.scheduling import EPOCH
from immutable.testing.settling import settle
from immutable.testing.store import SimulatedStore
from immutable.testing.violations import Violation

# At the end: the package itself is tested as it is installed, not as it lies here.
sys.path.append(str(Path(__file__).parents[2]))

from proofs.kills.exploring import Extent, explore
from proofs.kills.lives import Case
from proofs.kills.scenarios import named

KINDS = ("compare-and-set", "slot", "blind")
NAME = "shop"


class World:
    """One service whose first release is live, and scaled by its provider."""

    def __init__(self, provider=None, **options):
        self.sim = Simulation(1, provider=(provider or Provider()).with_groups())
        self.service = self.sim.service(NAME, size=2, **options)
        plant(self.sim, self.service, self.sim.image("app-1"))

    def live(self):
        """Return the fleet that has the traffic."""
        ((name, _),) = self.sim.cloud.switch(NAME).now.routing.weights
        return self.sim.cloud.fleets.now[name]

    def fleet(self, name):
        """Return a fleet."""
        return self.sim.cloud.fleets.now[name]

    def alive(self):
        """Return the servers that live in the fleet that has the traffic."""
        return self.live().alive(self.sim.cloud.now_us)

    def call(self, work, *arguments, **options):
        """Make a call, and return its result with the steps that it took."""
        steps = []

        def note(event):
            if isinstance(event, StepFinished):
                steps.append((event.step, event.fleet))

        with self.sim:
            done = work(self.service, *arguments, on_event=note, **options)
        return done, steps

    def deploy(self, image="app-2", **behaviour):
        """Deploy an image."""
        return self.call(immutable.deploy, self.sim.image(image, **behaviour))

    def scale(self, size):
        """Let the provider scale what serves, and see to it."""
        self.sim.cloud.keeper.scale(self.live().name, size)
        with self.sim:
            self.sim.wait("5s")


def test_what_serves_is_frozen_before_its_size_is_read_and_the_new_side_let_go_at_last():
    """Frozen when the tests have passed, thawed when the bake is over; the standby stays."""
    world = World()
    old = world.live().name
    done, steps = world.deploy()
    new = world.live().name
    assert done.outcome is Outcome.LIVE
    names = [name for name, _ in steps]
    assert steps[names.index("freeze")] == ("freeze", old)
    assert names.index("launch") < names.index("freeze") < len(names) - 1
    assert names[names.index("freeze") + 1 :] == ["route", "thaw"]
    assert steps[-1] == ("thaw", new)
    assert world.fleet(old).group.frozen
    assert not world.live().group.frozen
    settle(world.sim, world.service)


def test_the_first_fleet_is_let_go_by_its_own_rules():
    """With nothing to take over from, the fleet's own rules count."""
    sim = Simulation(1, provider=Provider().with_groups())
    with sim:
        service = sim.service(NAME, size=2)
        immutable.deploy(service, sim.image("app-1")).raise_for_outcome()
    (line,) = [line for line in sim.trace.lines if line.what == "fleets.thaw"]
    assert line.about[1] is None
    settle(sim, service)


def test_the_rules_that_scale_a_fleet_live_on():
    """Policies and bounds move with the traffic, over a rollback, too."""
    world = World()
    for _ in range(2):
        world.deploy(f"app-{world.sim.cloud.now_us}")
        group = world.live().group
        assert (group.policies, group.most) == (POLICIES, MOST)
    world.sim.cloud.keeper.police(world.live().name, "by night", 1, 7)
    done, steps = world.call(immutable.rollback)
    assert done.outcome is Outcome.LIVE
    assert "launch" not in dict(steps)
    assert (world.live().group.policies, world.live().group.most) == ("by night", 7)
    assert not world.live().group.frozen
    settle(world.sim, world.service)


@pytest.mark.parametrize("rejected", ["preview", "live"])
def test_going_back_lets_go_of_what_was_frozen_and_of_nothing_else(rejected):
    """What serves is healed and scaled again when the deployment is turned back."""
    world = World()
    old = world.live().name
    done, steps = world.deploy(rejected=rejected)
    assert done.outcome is Outcome.ROLLED_BACK
    held = [step for step in steps if step[0] in {"freeze", "thaw"}]
    assert held == ([("freeze", old), ("thaw", old)] if rejected == "live" else [])
    assert not world.live().group.frozen
    settle(world.sim, world.service)


def test_what_a_person_has_frozen_stays_frozen_when_the_deployment_goes_back():
    """Nobody lets go of what he has not frozen; the next release is let go."""
    world = World()
    old = world.live()
    group = attrs.evolve(old.group, frozen=True)
    fleets = {**world.sim.cloud.fleets.now, old.name: attrs.evolve(old, group=group)}
    world.sim.cloud.fleets.put(world.sim.cloud.now_us, fleets)
    world.sim.oracles.holding[NAME].persons.add(old.name)
    _, steps = world.deploy(rejected="live")
    assert {"freeze", "thaw"}.isdisjoint(dict(steps))
    assert world.live().group.frozen
    world.deploy("app-3")
    assert not world.live().group.frozen
    settle(world.sim, world.service)


def test_the_size_that_the_provider_has_made_is_carried_over():
    """The new side is as large as the old one is by its provider, be it more or less."""
    for size in (4, 1):
        world = World()
        world.scale(size)
        done, _ = world.deploy()
        assert done.outcome is Outcome.LIVE
        # the service's own size is the floor
        assert len(world.alive()) == max(size, 2)


def test_a_service_that_was_large_once_is_deployed_as_small_as_it_is_now():
    """Its provider's number wins over the ledger's."""
    world = World()
    world.scale(5)
    world.deploy()
    world.scale(2)
    done, _ = world.deploy("app-3")
    assert done.outcome is Outcome.LIVE
    assert len(world.alive()) == 2


def test_scaling_compares_with_the_live_size_and_sets_it():
    """What the ledger says is not what there is; the size that is asked for is."""
    world = World()
    world.scale(4)
    done, steps = world.call(immutable.scale, 2)
    assert done.outcome is Outcome.LIVE
    assert "resize" in dict(steps)
    assert len(world.alive()) == 2
    _, steps = world.call(immutable.scale, 2)
    assert steps == []
    done, _ = world.call(immutable.scale, 3)
    assert len(world.alive()) == 3
    assert not world.live().group.frozen
    settle(world.sim, world.service)


@pytest.mark.parametrize("size", [1, 4])
def test_healing_leaves_the_size_to_the_provider(size):
    """Neither are instances let go that it has added, nor those launched that it took."""
    world = World()
    world.scale(size)
    world.sim.kill_server(world.alive()[0].id)
    done, _ = world.call(immutable.heal)
    assert done.outcome is Outcome.LIVE
    assert len(world.alive()) == size
    _, steps = world.call(immutable.heal)
    assert steps == []
    settle(world.sim, world.service)


def test_adopting_a_standby_lets_it_go_and_freezes_what_served():
    """What a person gives the traffic to is healed and scaled from then on."""
    world = World()
    old = world.live().name
    world.deploy()
    new = world.live().name
    people.route(world.sim, NAME, {old: 100})
    done, steps = world.call(immutable.adopt)
    assert done.outcome is Outcome.LIVE
    assert steps[-2:] == [("freeze", new), ("thaw", old)]
    settle(world.sim, world.service)


def test_a_lost_ledger_says_that_what_serves_is_frozen_and_healing_lets_it_go():
    """Nobody else is left who would."""
    world = World()
    world.sim.set_faults([Script("refused", "fleets.thaw", times=None)])
    done, _ = world.deploy(rejected="live")
    assert done.outcome is Outcome.NEEDS_RECOVERY
    assert world.live().group.frozen
    world.sim.set_faults(None)
    world.sim.store = SimulatedStore(world.sim.gate)
    world.sim.store.watch = world.sim.oracles
    world.sim.oracles.books.clear()
    world.sim.oracles.look_after(NAME)
    world.service = attrs.evolve(world.service, ledger=world.sim.store)
    with world.sim:
        restored = immutable.restore_ledger(world.service)
    assert any("frozen" in said for said in restored.warnings)
    done, _ = world.call(immutable.heal)
    assert done.outcome is Outcome.LIVE
    assert not world.live().group.frozen


def test_a_plan_has_the_same_steps():
    """What a deployment does to the provider's own work is foretold."""
    world = World()
    image = world.sim.image("app-2")
    with world.sim:
        plan = immutable.plan(world.service, image)
    _, steps = world.call(immutable.deploy, image)
    planned = [(step.step, step.fleet) for step in plan.steps]
    kinds = [name for name, _ in steps]
    assert [name for name, _ in planned] == kinds
    assert "like" in plan.steps[-1].detail


def test_nobody_changes_what_is_frozen_and_the_provider_keeps_what_is_not():
    """The simulated provider heals what is loose, and the oracle knows its hands."""
    world = World()
    world.sim.kill_server(world.alive()[0].id)
    with world.sim:
        world.sim.wait("5s")
    assert len(world.alive()) == 2
    live = world.live()
    frozen = attrs.evolve(live, group=attrs.evolve(live.group, frozen=True))
    world.sim.cloud.fleets.put(world.sim.cloud.now_us, {live.name: frozen})
    world.sim.kill_server(world.alive()[0].id)
    with world.sim:
        world.sim.wait("5s")
    assert len(world.alive()) == 1
    with pytest.raises(Violation, match="frozen"):
        world.sim.cloud.keeper._bring(world.live(), 2)


@pytest.mark.parametrize("kind", KINDS)
def test_a_slice_of_the_drawn_schedules_breaks_nothing(kind, ran):
    """Faults, deaths, and a provider that scales by chance."""
    reports = [run_schedule(seed, kind, groups=True) for seed in range(1, 41)]
    calls = sum(report.calls for report in reports)
    ran(f"schedules with native groups, {kind}: {len(reports)}, {calls} calls")


def test_whoever_dies_leaves_nothing_frozen(ran):
    """A death at every point: in the end what serves is loose, as it was before."""
    scenario = "rejected in the bake"
    case = Case(scenario=named(scenario), kind="slot", groups=True)
    tally = explore(case, Extent())
    assert tally.is_complete
    assert [failure.message for failure in tally.failures] == []
    ran(f"kills with native groups: {scenario}: {tally.kills} of {tally.asked} deaths")


def test_what_an_older_version_wrote_of_fleets_and_deployments_is_read():
    """A snapshot without a word on who may change fleets says that nothing was asked."""
    world = World()
    world.deploy(rejected="live")
    state = world.sim.oracles.books[NAME].state
    record = Record(
        sequence=state.sequence + 1,
        at=EPOCH,
        by="older",
        lease_until=None,
        snapshot=0,
        nonce="",
        entry=Snapshot(state=state),
    )
    fields = json.loads(unsealed(encode(record)))
    for entry in fields["entry"]["state"]["fleets"]:
        del entry["frozen"], entry["thawed_at"]
    read = decode_anew(sealed(json.dumps(fields))).entry.state
    live = attrs.evolve(state.live, frozen=None, thawed_at=None)
    assert state.live != live == read.live


def test_what_a_late_call_lets_go_between_two_stages_is_frozen_again():
    """Before more traffic moves: its provider may have scaled it meanwhile."""
    steps = immutable.Canary(steps=(10,), hold="90s", keep_warm="1h")
    world = World(Provider(late="60s"), strategy=steps)
    world.sim.set_faults([Script("late", "fleets.thaw")])
    world.deploy("app-2")
    old = world.live().name
    done, steps = world.deploy("app-3")
    assert done.outcome is Outcome.LIVE
    assert steps.count(("freeze", old)) == 2
    settle(world.sim, world.service)


@pytest.mark.parametrize("skip", range(16))
def test_an_old_list_without_what_serves_is_not_believed(skip):
    """It was launched a moment ago: whichever reading is old, it is frozen all the same."""
    world = World(Provider(staleness="60s"))
    world.deploy("app-2")
    old = world.live().name
    world.sim.set_faults([Script("stale", "fleets.observe", skip=skip, times=2)])
    done, steps = world.deploy("app-3")
    assert done.outcome is Outcome.LIVE
    assert ("freeze", old) in steps
    settle(world.sim, world.service)


def test_a_standby_that_was_let_go_by_a_call_that_came_twice_is_frozen_again():
    """Before it is judged as the new side; its provider would scale it meanwhile."""
    world = World(Provider(late="30s"))
    world.sim.set_faults([Script("duplicated", "fleets.thaw")])
    world.deploy("app-2")
    standby = world.live().name
    world.deploy("app-3")
    with world.sim:
        world.sim.wait("60s")
    assert not world.fleet(standby).group.frozen
    done, steps = world.call(immutable.rollback)
    assert done.outcome is Outcome.LIVE
    assert steps.index(("freeze", standby)) < steps.index(("route", standby))


def test_the_status_has_the_size_that_the_provider_has_made():
    """What the ledger says is not what there is."""
    world = World()
    world.scale(4)
    with world.sim:
        status = immutable.status(world.service)
    assert [line.size for line in status.fleets] == [4]
