"""What is done to a service, and when a process that dies has decided how it ends."""

import functools
from collections.abc import Callable
from datetime import timedelta

import attrs

import immutable
from immutable.model import Outcome
from immutable.results import Deployment
from immutable.strategies import Canary
from immutable.testing.faults import Faults
from immutable.testing.scheduling import Process, to_us
from immutable.testing.servers import Route
from proofs.kills.stage import (
    SIZE,
    WARM,
    Call,
    LastCallLate,
    Stage,
    Terms,
)

Rule = Callable[[Stage], bool]
_LATE = timedelta(days=1)


def recover(stage: Stage) -> Deployment:
    """Finish what a dead process left."""
    return immutable.recover(stage.service)


@attrs.frozen(kw_only=True)
class Scenario:
    """One call on a service with a history."""

    name: str
    prepare: Callable[[Stage], None]
    call: Call
    decided: Rule
    """Whether a process that died here must have brought it to its end all the same;
    otherwise everything must be as it was before."""
    outcome: Outcome = Outcome.LIVE
    """How the call ends when nobody disturbs it."""
    again: Call = recover
    """What a restarted process does."""
    swept: bool = False
    """Only a sweep brings it to its end; recovery alone does not."""
    origin: Callable[[Stage], None] | None = None
    """Makes the world as it was before what the scenario's call clears up after."""
    afterwards: Call | None = None
    """What a person calls who was told NEEDS_RECOVERY, where recovery is not the way on."""
    is_deploy: bool = False
    """A new side is made ready and gets the traffic, or is turned back."""


def _nothing(stage: Stage) -> None:
    """Begin with an empty world."""


def one_live(stage: Stage) -> None:
    """Let one release be live."""
    stage.deploy("a").raise_for_outcome()


def _two(stage: Stage) -> None:
    """Let a second release be live, and the first be its standby."""
    one_live(stage)
    stage.deploy("b").raise_for_outcome()


def _two_with_one_gone(stage: Stage) -> None:
    """Let the standby have been retired."""
    _two(stage)
    stage.sim.wait(WARM)
    immutable.recover(stage.service).raise_for_outcome()


def _one_maimed(stage: Stage) -> None:
    """Let one of the live servers have died."""
    one_live(stage)
    fleet = stage.sim.cloud.fleets.now[stage.routed[0]]
    stage.sim.kill_server(fleet.servers[0].id)


def _two_with_one_expired(stage: Stage) -> None:
    """Let the standby's time be over."""
    _two(stage)
    stage.sim.wait(WARM)


def _two_moved(stage: Stage) -> None:
    """Let a person have given the standby the traffic."""
    _two(stage)
    standby = stage.state.standby
    if standby is None:
        raise AssertionError("there is no standby")
    stage.move_by_hand(standby.name)


def _two_unrecorded(stage: Stage) -> None:
    """Let the ledger be lost."""
    _two(stage)
    stage.lose_the_ledger()


def _with_an_orphan(stage: Stage) -> None:
    """Let a launch land when its deployment is long over."""
    one_live(stage)
    # the provider declares nothing of the kind, so that only a sweep finds what comes
    stage.sim.gate.late_us = to_us(_LATE)
    died(stage, "after:fleets.launch", faults=LastCallLate)
    immutable.recover(stage.service)
    stage.sim.wait(_LATE)
    if len(stage.sim.cloud.fleets.now) == 1:
        raise AssertionError("the launch landed too early to leave an orphan")


def died(
    stage: Stage,
    point: str,
    *,
    before: int = 0,
    faults: Callable[[Process], Faults] | None = None,
) -> None:
    """Let a deployer have died at a crash point, having passed it so often before."""
    kill_at = _point(stage.terms, point, before)
    process, _ = stage.live("forgotten", _deploy("b"), kill_at=kill_at, faults=faults)
    process.is_known_dead = True


@functools.cache
def _point(terms: Terms, point: str, before: int) -> int:
    """Return the number of a crash point of a deploy over an incumbent."""
    stage = Stage(terms)
    with stage.sim:
        one_live(stage)
        process, _ = stage.live("forgotten", _deploy("b"))
    numbers = [at for at, name in enumerate(process.points, 1) if name == point]
    return numbers[before]


def _always(_stage: Stage) -> bool:
    return True


def _never(_stage: Stage) -> bool:
    return False


def _has_begun(stage: Stage) -> bool:
    """Return whether the ledger knows of the call."""
    return stage.state.sequence > stage.mark


def _has_cut_over(stage: Stage) -> bool:
    """Return whether the new side has all the traffic."""
    weights = stage.register.routing.weights
    return len(weights) == 1 and stage.routed != stage.served


def _deploy(
    image: str, *, ready: bool = True, rejected: Route | None = None, patience: str = ""
) -> Call:
    def call(stage: Stage) -> Deployment:
        service = stage.service
        if patience:
            service = attrs.evolve(service, ready_timeout=patience)
        return stage.deploy(image, ready=ready, rejected=rejected, service=service)

    return call


def _deploy_by_steps(stage: Stage) -> Deployment:
    strategy = Canary(steps=[50], hold="300ms", bake="300ms", keep_warm=WARM)
    service = attrs.evolve(stage.service, strategy=strategy)
    return stage.deploy("b", service=service)


def _heal(stage: Stage) -> Deployment:
    return immutable.heal(stage.service)


def _destroy(stage: Stage) -> Deployment:
    return immutable.destroy(stage.service)


def _restore(stage: Stage) -> Deployment:
    return immutable.restore_ledger(stage.service)


def _restore_again(stage: Stage) -> Deployment:
    """Restore what is still lost, as a person who saw no answer does."""
    immutable.restore_ledger(stage.service)
    return immutable.recover(stage.service)


_BACK = Outcome.ROLLED_BACK
SCENARIOS = (
    Scenario(
        name="first deploy",
        prepare=_nothing,
        call=_deploy("a"),
        decided=_has_cut_over,
        is_deploy=True,
    ),
    Scenario(
        name="deploy over an incumbent",
        prepare=one_live,
        call=_deploy("b"),
        decided=_has_cut_over,
        is_deploy=True,
    ),
    Scenario(
        name="deploy with a standby",
        prepare=_two,
        call=_deploy("c"),
        decided=_has_cut_over,
        is_deploy=True,
    ),
    Scenario(
        name="deploy by steps",
        prepare=one_live,
        call=_deploy_by_steps,
        decided=_has_cut_over,
        is_deploy=True,
    ),
    Scenario(
        name="rejected on the preview",
        prepare=one_live,
        call=_deploy("b", rejected="preview"),
        decided=_never,
        outcome=_BACK,
        is_deploy=True,
    ),
    Scenario(
        name="rejected in the bake",
        prepare=one_live,
        call=_deploy("b", rejected="live"),
        decided=_never,
        outcome=_BACK,
        is_deploy=True,
    ),
    Scenario(
        name="never ready",
        prepare=one_live,
        call=_deploy("b", ready=False, patience="200ms"),
        decided=_never,
        outcome=_BACK,
        is_deploy=True,
    ),
    Scenario(
        name="rollback, warm",
        prepare=_two,
        call=lambda stage: immutable.rollback(stage.service),
        decided=_has_cut_over,
        is_deploy=True,
    ),
    Scenario(
        name="rollback, cold",
        prepare=_two_with_one_gone,
        call=lambda stage: immutable.rollback(stage.service),
        decided=_has_cut_over,
        is_deploy=True,
    ),
    Scenario(
        name="scale up",
        prepare=one_live,
        call=lambda stage: immutable.scale(stage.service, SIZE + 1),
        decided=_has_begun,
        afterwards=_heal,
    ),
    Scenario(
        name="scale down",
        prepare=one_live,
        call=lambda stage: immutable.scale(stage.service, SIZE - 1),
        decided=_has_begun,
        afterwards=_heal,
    ),
    Scenario(
        name="heal",
        prepare=_one_maimed,
        call=_heal,
        decided=_has_begun,
        afterwards=_heal,
    ),
    Scenario(
        name="tidy an expired standby",
        prepare=_two_with_one_expired,
        call=recover,
        decided=_always,
    ),
    Scenario(
        name="sweep an orphan",
        prepare=_with_an_orphan,
        call=lambda stage: immutable.sweep(stage.service),
        decided=_always,
        swept=True,
    ),
    Scenario(
        name="destroy",
        prepare=_two,
        call=_destroy,
        decided=_has_begun,
        afterwards=_destroy,
    ),
    Scenario(
        name="adopt",
        prepare=_two_moved,
        call=lambda stage: immutable.adopt(stage.service),
        decided=_has_begun,
    ),
    Scenario(
        name="restore_ledger",
        prepare=_two_unrecorded,
        call=_restore,
        decided=_always,
        again=_restore_again,
        origin=_two,
        swept=True,
    ),
)


def named(name: str) -> Scenario:
    """Return the scenario with this name."""
    return next(scenario for scenario in SCENARIOS if scenario.name == name)
