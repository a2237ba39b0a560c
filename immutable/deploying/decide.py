"""The pure heart: from what the ledger and the world say to the one next step.

    attach → launch → join → ready → preview → validators → capacity
           → shift (stage by stage) → bake → commit
                 any failure before the commit ↓
           restore routing → evidence → detach → retire → rolled back

There is no I/O, clock or randomness here. Deploy, rollback, scale, heal, retirement and
recovery are this same function with another goal or another starting state. A step that
the world shows to be done is skipped, so a warm rollback is a deploy with little to do.
"""

from datetime import timedelta

from immutable.deploying import maintaining, rules, undoing
from immutable.deploying.facts import Missing, Reason, World
from immutable.deploying.steps import (
    Abort,
    Decision,
    Fence,
    Finish,
    Look,
    Pause,
    Resolve,
    Route,
)
from immutable.deploying.view import Context, Scene
from immutable.ledger.goals import DeployGoal, HealGoal, ScaleGoal, TidyGoal
from immutable.ledger.state import Attempt, Pending, State
from immutable.model import FleetName, Outcome

TRIES = 4
"""So many failures of one step in a row turn a deployment back."""
STEPS = 200
"""So many effects of one deployment mean that the world will not hold still."""
UNDOS = 2 * STEPS
_NOW = timedelta()


def decide(state: State, world: World, context: Context) -> Decision:
    """Return the next step of the deployment that has begun.

    Args:
        state: what the ledger says; it holds an attempt.
        world: what has been read so far, and the time.
        context: what the backend and the switch can do.
    """
    try:
        return _decide(state, world, context)
    except Missing as missing:
        return Look(fact=missing.fact)


def _decide(state: State, world: World, context: Context) -> Decision:
    attempt = state.attempt
    if attempt is None:
        raise ValueError("nothing has begun")
    if not attempt.fenced:
        return _fence(attempt, world)
    if doubtful := attempt.suspect or attempt.pending:
        return _resolve(doubtful, world)
    if isinstance(attempt.goal, TidyGoal):
        exhausted = _is_exhausted(attempt) or world.stop is not None
        return maintaining.tidy(
            state, attempt, attempt.goal, world, exhausted=exhausted
        )
    entry = state.fleet(attempt.goal.fleet)
    if entry is None:
        live = state.live.name if state.live else None
        return Finish(outcome=Outcome.ROLLED_BACK, live=live, reason=attempt.aborting)
    scene = Scene(
        state=state, attempt=attempt, entry=entry, world=world, context=context
    )
    return _back(scene, attempt.goal) or _forward(scene, attempt.goal)


def _forward(scene: Scene, goal: DeployGoal | ScaleGoal | HealGoal) -> Decision:
    match goal:
        case DeployGoal():
            return rules.deploy(scene, goal)
        case ScaleGoal():
            return maintaining.scale(scene, goal)
        case HealGoal():
            return maintaining.heal(scene, goal)


def _back(scene: Scene, goal: DeployGoal | ScaleGoal | HealGoal) -> Decision | None:
    attempt = scene.attempt
    if attempt.aborting is not None:
        return undoing.undo(scene, goal, exhausted=_is_exhausted(attempt))
    reason = _why_stop(attempt, scene.world)
    return Abort(reason=reason) if reason else None


def _why_stop(attempt: Attempt, world: World) -> Reason | None:
    if world.stop is not None:
        return world.stop
    if attempt.permanent or _is_exhausted(attempt):
        return attempt.trouble or Reason(
            kind="DeploymentError", message="too many steps"
        )
    return _died_early(attempt)


def _is_exhausted(attempt: Attempt) -> bool:
    """Return whether to stop trying: every run of this function ends."""
    taken = attempt.steps - attempt.steps_before
    return attempt.failures >= TRIES or taken >= (UNDOS if attempt.aborting else STEPS)


def _died_early(attempt: Attempt) -> Reason | None:
    """Turn back what a dead deployer left, unless only the bake remained."""
    goal = attempt.goal
    if not attempt.taken_over or not isinstance(goal, DeployGoal):
        return None
    if attempt.stage == len(goal.stages) - 1:
        return None
    message = "the deployer died before the cutover; its work was taken back"
    return Reason(kind="Interrupted", message=message, hint="deploy again")


def _fence(attempt: Attempt, world: World) -> Decision:
    if attempt.failures >= TRIES and attempt.trouble is not None:
        return Pause(reason=attempt.trouble)
    goal = attempt.goal
    view = world.switch()
    fleet = FleetName("") if isinstance(goal, TidyGoal) else goal.fleet
    return Fence(fleet=fleet, routing=view.routing, expected=view.version)


def _resolve(pending: Pending, world: World) -> Decision:
    """Read back what became of a switch write; of the rest, the world shows it anyway."""
    if not isinstance(pending.step, Route):
        return Resolve(number=pending.number, applied=False)
    view = world.switch(fresh=_NOW)
    return Resolve(number=pending.number, applied=view.routing == pending.step.routing)
