import sys
import textwrap
from datetime import timedelta

import pytest

import immutable
import immutable.testing
from immutable import host
from immutable.errors import InvalidInput, NotEnough, Unsupported
from immutable.host import Never
from immutable.model import FleetName, InstanceState, Outcome, Token
from immutable.testing import (
    Clock,
    Killed,
    Provider,
    Script,
    Simulation,
    route,
    simulation,
)
from immutable.testing.planting import plant
from immutable.testing.registers import KINDS
from immutable.testing.scheduling import EPOCH, Endless
from immutable.testing.settling import settle


def serving(sim: Simulation) -> dict[str, int]:
    """Return what is served in truth."""
    return dict(sim.cloud.switch("shop").now.routing.weights)


@pytest.mark.parametrize("kind", KINDS)
def test_the_real_calls_run_in_virtual_time(kind):
    """A deploy of minutes takes no time at all, and is served in the simulated world."""
    sim = Simulation(1, switch=kind)
    service = sim.service("shop", size=2)
    with sim:
        done = immutable.deploy(service, sim.image("app-1", boots_in="18s"))
        assert done.outcome is Outcome.LIVE, done.error
        assert timedelta(seconds=18) < done.took < timedelta(seconds=30)
        [fleet] = serving(sim)
        assert len(sim.cloud.fleets.now[fleet].servers) == 2
        assert immutable.status(service).drift is None
        assert immutable.destroy(service).outcome is Outcome.LIVE
    assert serving(sim) == {}
    assert not sim.cloud.fleets.now


@pytest.mark.parametrize(
    ("declared", "kind"),
    [
        ({"ready": False}, "NotReady"),
        ({"wrong_digest": True}, "NotReady"),
        ({"rejected": "preview"}, "ValidationFailed"),
        ({"rejected": "live"}, "ValidationFailed"),
    ],
)
def test_images_behave_as_declared(declared, kind):
    """A release whose image is declared to be bad is not live in the end."""
    sim = Simulation(2)
    service = sim.service("shop", ready_timeout="3s")
    with sim:
        immutable.deploy(service, sim.image("app-1"))
        before = serving(sim)
        done = immutable.deploy(service, sim.image("app-2", **declared))
    assert type(done.error).__name__ == kind
    assert done.outcome is Outcome.ROLLED_BACK
    assert serving(sim) == before


def test_a_server_that_flaps_is_unready_for_a_while():
    """Flapping shows in the switch's probes, and passes."""
    sim = Simulation(2)
    service = sim.service("shop", validators=[])
    image = sim.image("app", boots_in="1s", flaps_after="60s", flaps_for="5s")
    with sim:
        immutable.deploy(service, image)
        [fleet] = serving(sim)
        healths = []
        for _ in range(14):
            sim.wait("5s")
            healths.append(service.switch.health(FleetName(fleet))[0].health.value)
    assert set(healths) == {"ready", "unready"}
    assert healths[-1] == "ready"


def test_a_server_that_dies_is_gone_and_healed():
    """A dead server is listed as gone; heal replaces it."""
    sim = Simulation(2)
    service = sim.service("shop", size=2)
    with sim:
        immutable.deploy(service, sim.image("app"))
        [fleet] = serving(sim)
        victim = sim.cloud.fleets.now[FleetName(fleet)].servers[0].id
        sim.kill_server(victim)
        view = sim.backend.fleets.observe(FleetName(fleet))
        assert [i.id for i in view.instances if i.state is InstanceState.GONE] == [
            victim
        ]
        assert immutable.heal(service).outcome is Outcome.LIVE
        view = sim.backend.fleets.observe(FleetName(fleet))
    assert victim not in {i.id for i in view.instances}
    assert len(view.instances) == 2


def test_capacity_is_limited():
    """A launch beyond the capacity makes what fits and says so; preflight says it before."""
    sim = Simulation(2, provider=Provider(capacity=3))
    service = sim.service("shop", size=2)
    with sim:
        immutable.deploy(service, sim.image("app-1"))
        done = immutable.deploy(service, sim.image("app-2"))
        assert done.outcome is Outcome.REFUSED
        assert isinstance(done.error, NotEnough)
        [name] = serving(sim)
        spec = sim.cloud.fleets.now[FleetName(name)].spec
    other = spec.__class__(
        name=FleetName("other"),
        image=spec.image,
        document="",
        size=2,
        port=80,
        tags=spec.tags,
    )
    sim.gate.sent = lambda _: None
    with pytest.raises(NotEnough):
        sim.backend.fleets.launch(other, token=Token("t"))
    assert len(sim.cloud.fleets.now[FleetName("other")].servers) == 1


def test_the_same_token_again_finds_what_the_first_call_made():
    """A launch that is repeated creates nothing more; another token fills what is missing."""
    sim = Simulation(2)
    service = sim.service("shop", size=2)
    plant(sim, service, sim.image("app"))
    [name] = serving(sim)
    spec = sim.cloud.fleets.now[FleetName(name)].spec
    sim.gate.sent = lambda _: None
    fleets = sim.backend.fleets
    fleets.resize(spec, remove=(), token=Token("a"))
    first = sim.cloud.fleets.now[spec.name].servers
    fleets.replace(spec, instance=first[0].id, token=Token("b"))
    second = sim.cloud.fleets.now[spec.name].servers
    fleets.replace(spec, instance=first[0].id, token=Token("b"))
    assert sim.cloud.fleets.now[spec.name].servers == second
    assert len({s.id for s in first} & {s.id for s in second}) == 1


def test_what_is_planted_is_what_a_deploy_leaves():
    """A planted past is a live release: it can be rolled back, and recovery leaves it."""
    sim = Simulation(2)
    service = sim.service("shop", size=2)
    plant(sim, service, sim.image("app-1"))
    plant(sim, service, sim.image("app-2"))
    with sim:
        status = immutable.status(service)
        assert (status.release.number, status.drift) == (2, None)
        assert immutable.heal(service).steps == ()
        done = immutable.rollback(service)
        assert done.outcome is Outcome.LIVE, done.error
        assert done.took < timedelta(seconds=5)
    assert settle(sim, service).how == "clean"


def test_processes_take_turns_and_the_caller_is_one_of_them():
    """While the calling program sleeps, spawned ones work; run ends when they have."""
    sim = Simulation(1)
    said = []

    def work() -> None:
        for count in range(3):
            said.append((sim.scheduler.now_us // 1_000_000, f"worker {count}"))
            sim.wait("10s")

    sim.spawn("worker", work, after="5s")
    sim.wait("20s")
    said.append((sim.scheduler.now_us // 1_000_000, "caller"))
    sim.run()
    assert said == [(5, "worker 0"), (15, "worker 1"), (20, "caller"), (25, "worker 2")]


def test_two_deployers_contend():
    """Of two deployers at once one goes live, and the other is refused."""
    sim = Simulation(1)
    service = sim.service("shop")
    done = {}
    for name in ("a", "b"):
        image = sim.image(f"app-{name}")
        sim.spawn(
            name,
            lambda name=name, image=image: done.update(
                {name: immutable.deploy(service, image)}
            ),
        )
    sim.run()
    assert {d.outcome for d in done.values()} == {Outcome.LIVE, Outcome.REFUSED}
    assert settle(sim, service).how == "clean"


def test_a_process_can_be_killed_and_another_recovers():
    """What a killed deployer left is taken back by the next, once the lease is over."""
    sim = Simulation(1)
    service = sim.service("shop")
    victim = sim.spawn("victim", lambda: immutable.deploy(service, sim.image("app")))
    sim.at("1s", lambda: sim.kill(victim))
    sim.run()
    assert victim.is_done
    assert victim.is_killed
    with sim:
        assert immutable.recover(service).outcome is Outcome.REFUSED
        sim.wait("15m")
        assert immutable.recover(service).outcome is Outcome.ROLLED_BACK
    assert serving(sim) == {}


def test_a_known_death_needs_no_lease_to_run_out():
    """Where a death can be known, recovery goes on at once."""
    sim = Simulation(1)
    service = sim.service("shop")
    victim = sim.spawn("victim", lambda: immutable.deploy(service, sim.image("app")))
    sim.at("1s", lambda: sim.kill(victim, known=True))
    sim.run()
    with sim:
        assert immutable.recover(service).outcome is Outcome.ROLLED_BACK


def test_a_paused_process_wakes_late_and_finds_itself_superseded():
    """A deployer that slept through its lease does no harm when it wakes."""
    sim = Simulation(1)
    service = sim.service("shop")
    done = []
    sleeper = sim.spawn(
        "sleeper", lambda: done.append(immutable.deploy(service, sim.image("app-1")))
    )
    sim.at("600ms", lambda: sim.pause(sleeper, "30m"))
    with sim:
        sim.wait("20m")
        assert immutable.deploy(service, sim.image("app-2")).outcome is Outcome.LIVE
    sim.run()
    assert [d.outcome for d in done] == [Outcome.SUPERSEDED]
    assert settle(sim, service).how == "clean"


def test_a_killed_process_says_nothing_more():
    """A process that is killed before it began never runs."""
    sim = Simulation(1)
    said = []
    process = sim.spawn("late", lambda: said.append("ran"), after="10s")
    sim.kill(process)
    sim.run()
    assert said == []


def test_crash_points_are_named_and_counted():
    """An undisturbed run tells its crash points; killed at the n-th, it passed n."""
    sim = Simulation(1)
    with sim:
        immutable.deploy(sim.service("shop"), sim.image("app"))
    points = sim.points()
    assert points[:2] == ("before:switch.preflight", "after:switch.preflight")
    assert {"before-write:Begun", "after-write:Finished"} <= set(points)
    assert {"before:switch.write", "after:fleets.launch"} <= set(points)
    assert len(points) == 2 * sum(sim.gate.calls.values())
    for number in (1, 20, len(points)):
        again = Simulation(1, kill_at=number)
        with again, pytest.raises(Killed):
            immutable.deploy(again.service("shop"), again.image("app"))
        assert again.points() == points[:number]
        assert again.gate.killed == 1


@pytest.mark.parametrize("known", [True, False])
def test_a_restarted_program_is_another(known):
    """After a death the caller goes on as a new process; whether it knows is told."""
    sim = Simulation(1, kill_at=30)
    service = sim.service("shop")
    with sim:
        with pytest.raises(Killed):
            immutable.deploy(service, sim.image("app"))
        with pytest.raises(Killed):
            immutable.recover(service)
        sim.restart(known=known)
        assert sim.here.name == "main-2"
        outcome = immutable.recover(service).outcome
        assert outcome is (Outcome.ROLLED_BACK if known else Outcome.REFUSED)


def test_clocks_can_be_wrong():
    """A process's own clock may be ahead, and may run at another rate."""
    sim = Simulation(1)
    seen = []

    def work() -> None:
        here = host.current()
        seen.append(here.now())
        here.sleep(timedelta(seconds=10), Never())
        seen.append(here.now())

    sim.spawn("wrong", work, clock=Clock(ahead=timedelta(hours=1), rate=2.0))
    sim.run()
    assert seen == [EPOCH + timedelta(hours=1), EPOCH + timedelta(hours=1, seconds=10)]
    assert sim.here.now() == EPOCH + timedelta(seconds=5)


def test_names_are_never_given_twice():
    """No two processes ever have the same name."""
    sim = Simulation(1)
    sim.spawn("worker", lambda: None)
    with pytest.raises(InvalidInput):
        sim.spawn("worker", lambda: None)


def test_what_a_process_raises_comes_out_of_run():
    """An error that a process does not handle is the caller's to see."""
    sim = Simulation(1)
    service = sim.service("shop")
    sim.spawn("worker", lambda: immutable.rollback(service))
    with pytest.raises(immutable.errors.UnknownRelease):
        sim.run()


def test_what_runs_in_a_circle_is_ended():
    """A program that never ends is told from one that takes long."""
    sim = Simulation(1, turns=1000)

    def work() -> None:
        while True:
            sim.wait("1s")

    sim.spawn("worker", work)
    with pytest.raises(Endless):
        sim.run()
    sim.close()


def test_a_person_moves_traffic_and_is_not_overwritten():
    """What was routed by hand is drift: refused until it is adopted."""
    sim = Simulation(1)
    service = sim.service("shop")
    plant(sim, service, sim.image("app-1"))
    plant(sim, service, sim.image("app-2"))
    old = FleetName(min(sim.cloud.fleets.now))
    route(sim, "shop", {old: 100})
    with sim:
        done = immutable.deploy(service, sim.image("app-3"))
        assert isinstance(done.error, immutable.errors.Drift)
        assert immutable.adopt(service).outcome is Outcome.LIVE
        assert immutable.deploy(service, sim.image("app-3")).outcome is Outcome.LIVE
    assert settle(sim, service).how == "clean"


def test_retries_are_spread_by_virtual_time():
    """What is throttled is tried again after a while, in virtual time."""
    sim = Simulation(1, faults=[Script("throttled", "switch.attach", times=3)])
    service = sim.service("shop")
    with sim:
        done = immutable.deploy(service, sim.image("app"))
    assert done.outcome is Outcome.LIVE
    assert sim.gate.calls["switch.attach"] == 4


@pytest.mark.parametrize("module", [immutable.testing, simulation])
def test_the_documented_example_runs(module):
    """What the documentation shows works as it stands there."""
    lines = (module.__doc__ or "").splitlines()
    example = textwrap.dedent("\n".join(x for x in lines if x.startswith("    ")))
    namespace: dict[str, object] = {"immutable": immutable}
    exec(example, namespace)  # noqa: S102 - our own documentation
    assert namespace["done"].outcome is Outcome.LIVE


@pytest.mark.parametrize("skip", range(6))
def test_an_old_reading_does_not_turn_a_good_deployment_back(skip):
    """What was read from before the shift says nothing about traffic after it."""
    stale = [Script("stale", "switch.health", times=None, skip=skip)]
    provider = Provider(staleness="2s")
    with Simulation(1, provider=provider, faults=stale) as sim:
        service = sim.service("shop", size=2)
        immutable.deploy(service, sim.image("app-1")).raise_for_outcome()
        done = immutable.deploy(service, sim.image("app-2"))
    assert done.is_live, done.error


@pytest.mark.parametrize("kind", KINDS)
def test_old_readings_cost_time_and_no_steps(kind):
    """Where all readings are old, nothing is done twice, and all goes well."""
    stale = [Script("stale", "*", times=None)]
    provider = Provider(switch=kind, staleness="2s")
    with Simulation(1, provider=provider, faults=stale) as sim:
        service = sim.service("shop", size=2)
        immutable.deploy(service, sim.image("app-1")).raise_for_outcome()
        done = immutable.deploy(service, sim.image("app-2"))
        steps = [step.step for step in done.steps]
        assert steps == ["attach", "launch", "join", "route", "route"]
        assert [step.step for step in immutable.rollback(service).steps] == steps[3:]
        assert immutable.scale(service, 3).is_live
        assert immutable.destroy(service).is_live
    assert not sim.cloud.fleets.now


def test_without_greenlet_processes_cannot_be_spawned(monkeypatch):
    """What is an extra is named, with the command that installs it."""
    monkeypatch.setitem(sys.modules, "greenlet", None)
    with pytest.raises(Unsupported, match=r"immutable-deploy\[testing\]"):
        Simulation(1).spawn("one", lambda: None)
