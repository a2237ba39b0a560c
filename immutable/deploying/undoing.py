"""Going back: undo what this deployment did, and nothing else.

The routing is restored first and only onto a side that is proven healthy; the evidence
is collected before anything is destroyed; the place at the switch goes before the fleet.
"""

from datetime import timedelta

import attrs

from immutable.deploying.facts import FleetFact, HealthFact, Reason
from immutable.deploying.freezing import thaw_the_new, undone
from immutable.deploying.maintaining import let_go, part_with, scale, shown
from immutable.deploying.rules import join_all, not_yet_shown
from immutable.deploying.steps import (
    Decision,
    Finish,
    Pause,
    Replace,
    Resize,
    Route,
    Wait,
)
from immutable.deploying.view import FRESH, Scene, serviceable
from immutable.ledger.goals import DeployGoal, HealGoal, ScaleGoal
from immutable.model import WHOLE, FleetName, Outcome, Routing

RESTORE = timedelta(seconds=30)
"""How long the old side may take to prove itself before routing is left alone."""


def undo(
    scene: Scene, goal: DeployGoal | ScaleGoal | HealGoal, *, exhausted: bool
) -> Decision:
    """Return the next step back to how things were."""
    if exhausted:
        return _give_up(scene)
    match goal:
        case DeployGoal():
            back = _restore(scene, goal) or undone(scene, goal)
            return back or _clear_away(scene, goal)
        case ScaleGoal():
            return _shrink_back(scene, goal)
        case HealGoal():
            return _give_up(scene)


def _restore(scene: Scene, goal: DeployGoal) -> Decision | None:
    view = scene.world.switch()
    if not view.routing.mentions(scene.fleet):
        return None
    if not _is_ours(scene, goal):
        return not_yet_shown(scene) or _let_be(scene, goal)
    weights = goal.before.weights
    if weights != view.routing.weights and (unproven := _prove_the_old(scene, goal)):
        return unproven
    routing = Routing(weights=weights)
    return Route(fleet=scene.fleet, routing=routing, expected=view.version)


def _is_ours(scene: Scene, goal: DeployGoal) -> bool:
    """Return whether production is as this deployment found it or made it."""
    routed = scene.attempt.routed or goal.before
    weights = scene.world.switch().routing.weights
    return weights in {goal.before.weights, routed.weights}


def _let_be(scene: Scene, goal: DeployGoal) -> Decision:
    """Overwrite nothing that somebody else has routed; only leave the preview route."""
    view = scene.world.switch()
    if not view.routing.weight_of(scene.fleet):
        routing = Routing(weights=view.routing.weights)
        return Route(fleet=scene.fleet, routing=routing, expected=view.version)
    message = f"somebody else has routed traffic to {scene.fleet}; it was left alone"
    reason = Reason(kind="Drift", message=message, hint="adopt() accepts it")
    return undone(scene, goal) or _leave(scene, reason)


def _prove_the_old(scene: Scene, goal: DeployGoal) -> Decision | None:
    if goal.incumbent is None:
        return None
    if serviceable(scene.world.health(goal.incumbent, fresh=FRESH)):
        return None
    began = scene.attempt.aborting_at or scene.now
    deadline = began + max(RESTORE, goal.ready_timeout)
    if scene.now >= deadline:
        return _neither_side(scene, goal)
    facts = (HealthFact(fleet=goal.incumbent), FleetFact(fleet=goal.incumbent))
    return _revive(scene, goal.incumbent, goal) or Wait(
        on=f"{goal.incumbent} to be ready",
        facts=facts,
        pause=scene.context.poll,
        until=deadline,
    )


def _revive(scene: Scene, fleet: FleetName, goal: DeployGoal) -> Decision | None:
    """Heal the side that is to be gone back to, where too little of it is left."""
    entry = scene.state.fleet(fleet)
    if entry is None:
        return None
    old = attrs.evolve(scene, entry=entry)
    dead = next((i for i in old.dead() if i.id not in scene.attempt.replaced), None)
    if dead is not None:
        return Replace(spec=old.spec(old.size), instance=dead.id)
    if len(old.instances()) < old.size:
        return shown(old) or Resize(spec=old.spec(old.size))
    return join_all(old, goal.drain)


def _neither_side(scene: Scene, goal: DeployGoal) -> Decision:
    """Leave the routing alone: what serves whole is what the next deploy replaces."""
    if scene.world.switch().routing.weight_of(scene.fleet) < WHOLE:
        return _give_up(scene)
    if thawing := thaw_the_new(scene, goal):
        return thawing
    left = (f"{scene.fleet} serves, though it was turned back: deploy again",)
    reason = scene.attempt.aborting
    return Finish(
        outcome=Outcome.NEEDS_RECOVERY, live=scene.fleet, reason=reason, leftovers=left
    )


def _clear_away(scene: Scene, goal: DeployGoal) -> Decision:
    if goal.reused:
        return join_all(scene, goal.drain) or _ended(scene)
    if scene.context.backend.keeps_logs:
        scene.world.evidence(scene.fleet)
    drained_by = (scene.attempt.aborting_at or scene.now) + goal.drain
    return part_with(scene, scene.fleet, drained_by=drained_by)


def _shrink_back(scene: Scene, goal: ScaleGoal) -> Decision:
    if goal.size < goal.before:
        settled = scale(scene, goal) if scene.entry.size == goal.size else None
        return settled or join_all(scene, goal.drain) or _ended(scene)
    parting = let_go(scene, goal.before, goal.drain, preferred=goal.initial)
    return parting or _ended(scene)


def _ended(scene: Scene) -> Finish:
    live = scene.state.live.name if scene.state.live else None
    return Finish(outcome=Outcome.ROLLED_BACK, live=live, reason=scene.attempt.aborting)


def _give_up(scene: Scene) -> Decision:
    """Leave the routing alone and say what is left.

    A fleet that may have traffic keeps the deployment open, for recovery to decide, and
    so does one that serves and is frozen still.
    """
    trouble = scene.attempt.trouble or scene.attempt.aborting
    reason = trouble or Reason(kind="RecoveryNeeded", message="cannot go back")
    routed = scene.attempt.routed or Routing()
    if routed.mentions(scene.fleet):
        return Pause(reason=reason, leftovers=(f"fleet {scene.fleet}",))
    incumbent = getattr(scene.attempt.goal, "incumbent", None)
    if incumbent in scene.attempt.froze:
        left = (f"fleet {scene.fleet}", f"fleet {incumbent} is frozen")
        return Pause(reason=reason, leftovers=left)
    return _leave(scene, reason)


def _leave(scene: Scene, reason: Reason) -> Finish:
    live = scene.state.live.name if scene.state.live else None
    left = (f"fleet {scene.fleet}",)
    return Finish(
        outcome=Outcome.NEEDS_RECOVERY, live=live, reason=reason, leftovers=left
    )
