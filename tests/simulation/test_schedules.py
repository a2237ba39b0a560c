from collections import Counter
from datetime import timedelta

import pytest

import immutable
from immutable.model import LedgerId, Outcome, Routing, Version
from immutable.testing import (
    Fault,
    Simulation,
    Violation,
    explore,
    run_schedule,
    settle,
)
from immutable.testing.chances import seeded
from immutable.testing.drawing import DrawnPolicy, draw_provider
from immutable.testing.registers import KINDS
from immutable.testing.schedules import prepare

SLICE = range(900_000, 900_150)
"""The seeds that are run with every change; proofs run many more."""


@pytest.mark.parametrize("kind", KINDS)
def test_a_slice_of_schedules_breaks_no_rule(kind, ran):
    """So many schedules run, with deaths, every fault and every ending among them."""
    reports = [run_schedule(seed, kind) for seed in SLICE]
    faults, outcomes, rests = Counter(), Counter(), Counter()
    for report in reports:
        faults += report.faults
        outcomes += Counter(name.split(" ", 1)[1] for name in report.outcomes)
        rests.update(rest.how for rest in report.rests)
    assert len(reports) == len(SLICE)
    kills = sum(report.kills for report in reports)
    ran(f"schedules: {kind}: {len(reports)}, {kills} kills, {faults.total()} faults")
    assert sum(report.kills for report in reports) > len(SLICE) / 2
    assert {fault for fault in Fault if kind != "blind"} <= {*faults, Fault.DUPLICATED}
    assert set(Outcome) <= set(outcomes)
    assert rests["clean"] > 0.8 * len(SLICE)
    assert rests["drifted"]
    calls = sum(report.calls for report in reports) / len(SLICE)
    assert 40 < calls < 200, "schedules are to be short, and not empty"


@pytest.mark.parametrize("kind", KINDS)
def test_without_faults_nothing_goes_wrong(kind):
    """In a sound world nobody dies, and every service comes to rest."""
    for seed in range(20):
        report = run_schedule(seed, kind, faults=False)
        assert report.kills == 0
        assert not report.faults
        assert report.virtual > timedelta()


def test_providers_differ():
    """Seeds draw different providers."""
    drawn = {draw_provider(seeded(seed, "p"), "slot") for seed in range(50)}
    assert len(drawn) > 30
    assert {provider.switch for provider in drawn} == {"slot"}


def careful(sim: Simulation) -> None:
    """Let two people deploy one after the other, and a third roll back."""
    service = sim.service("web", size=2)
    for number in (1, 2):
        image = sim.image(f"app-{number}", boots_in="100ms")
        sim.spawn(
            f"deployer-{number}",
            lambda image=image: immutable.deploy(service, image),
            after=f"{number * 20}s",
        )


def test_a_policy_of_your_own_is_explored():
    """A user's policy runs through as many schedules as asked."""
    assert explore(careful, range(25)) == 25
    assert explore(careful, range(5), switch="blind") == 5


def test_the_first_violation_of_a_policy_is_raised_with_its_seed():
    """A policy that breaks a rule is found out, and the seed repeats it."""

    def careless(sim: Simulation) -> None:
        service = sim.service("web")
        image = sim.image("app", boots_in="100ms")

        def work() -> None:
            immutable.deploy(service, image)
            # past the engine and its ledger, in half of all worlds
            if sim.seed % 2:
                nobody, version = LedgerId("nobody"), Version("1")
                service.switch.write(Routing(), owner=nobody, expected=version)

        sim.spawn("careless", work)

    with pytest.raises(Violation, match="intent") as caught:
        explore(careless, range(100))
    assert caught.value.seed % 2
    with pytest.raises(Violation, match=r"intent.*seed"):
        run_schedule(caught.value.seed, policy=careless)


def test_a_schedule_can_be_looked_at():
    """What `prepare` gives runs as `run_schedule` does, and keeps its trace."""
    sim, outcomes = prepare(12, "slot")
    sim.run()
    rests = tuple(settle(sim, service) for service in sim.services.values())
    sim.close()
    report = run_schedule(12, "slot")
    assert (report.rests, report.outcomes) == (rests, outcomes)
    assert report.calls == sum(sim.gate.calls.values())
    assert f"{report.virtual.total_seconds():.6f}".split(".")[0] in sim.trace.tail(3)


def test_a_drawn_policy_makes_everything_happen_somewhere():
    """Over some seeds every verb is called."""
    verbs: set[str] = set()
    for seed in range(60):
        chance = seeded(seed, "policy")
        sim = Simulation(seed)
        policy = DrawnPolicy(chance)
        policy(sim)
        sim.run()
        verbs |= {name.split(" ", 1)[0] for name in policy.outcomes}
    assert verbs == {
        "deploy",
        "rollback",
        "scale",
        "heal",
        "recover",
        "sweep",
        "destroy",
    }
