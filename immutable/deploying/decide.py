"""The pure heart: from what the ledger and the world say to the one next step.

    in doubt ──── fence ── resolve ──┐      whoever takes over, and whoever lost an answer
                                     ▼
    before     attach → launch → join → ready → preview → validate → capacity
    traffic      │                                                      │ shift
    under        │                     next stage ◄── hold ◄────────────┤
    traffic      │                                      │ the last: bake, commit ──► LIVE
                 ▼ a failure, a stop,                   ▼ a failure
    undoing    restore the routing → keep the evidence → detach → retire ──► ROLLED BACK
                 │ neither side is healthy, or nothing goes on
                 ▼
               leave the routing alone ──► NEEDS RECOVERY

There is no I/O, clock or randomness here. Deploy, rollback, scale, heal, retirement,
adoption and recovery are this same function with another goal or another starting state:
recovery only begins in doubt. A step that the world shows to be done is skipped, so a warm
rollback is a deploy with little to do.
"""

from datetime import datetime, timedelta

from immutable.deploying import adopting, maintaining, rules, undoing
from immutable.deploying.facts import (
    EvidenceFact,
    Fact,
    FleetFact,
    Missing,
    Reason,
    SwitchFact,
    World,
)
from immutable.deploying.spoiling import shows
from immutable.deploying.steps import (
    Abort,
    Decision,
    Fence,
    Finish,
    Launch,
    Look,
    Pause,
    Replace,
    Resize,
    Resolve,
    Route,
    Wait,
)
from immutable.deploying.view import Context, Scene, Whole
from immutable.ledger.goals import (
    AdoptGoal,
    DeployGoal,
    HealGoal,
    ScaleGoal,
    TidyGoal,
)
from immutable.ledger.state import Attempt, Pending, State
from immutable.model import FleetName, Outcome

TRIES = 4
"""So many failures of one step in a row turn a deployment back."""
STEPS = 200
"""So many effects of one deployment mean that the world will not hold still."""
UNDOS = 2 * STEPS
_BREATH = timedelta(seconds=0.1)
_PATIENCE = timedelta(seconds=5)


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
    if pause := _recover_breath(attempt, world, context):
        return pause
    if attempt.unfenced_at is not None:
        return _fence(attempt, attempt.unfenced_at, world, context)
    if attempt.suspect is not None:
        return _resolve(attempt.suspect, world)
    if unshown := _show(attempt, world, context):
        return unshown
    exhausted = _is_exhausted(attempt) or world.stop is not None
    match attempt.goal:
        case TidyGoal() as goal:
            whole = Whole(state=state, attempt=attempt, world=world, context=context)
            return maintaining.tidy(whole, goal, exhausted=exhausted)
        case AdoptGoal() as goal:
            whole = Whole(state=state, attempt=attempt, world=world, context=context)
            return adopting.adopt(whole, goal, exhausted=exhausted)
    entry = state.fleet(attempt.goal.fleet)
    if entry is None:
        live = state.live.name if state.live else None
        return Finish(outcome=Outcome.ROLLED_BACK, live=live, reason=attempt.aborting)
    scene = Scene(
        state=state, attempt=attempt, entry=entry, world=world, context=context
    )
    step = _back(scene, attempt.goal) or _forward(scene, attempt.goal)
    return _see_its_place(scene, step) or step


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


def _see_its_place(scene: Scene, step: Decision) -> Decision | None:
    """Wait where a fleet would be launched without a place because a reading is old.

    Its place is a part of what is launched: with another one under the same token it
    would be another launch.
    """
    if isinstance(step, Launch | Resize | Replace) and step.spec.place is None:
        return rules.not_yet_shown(scene)
    return None


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
    if attempt.resumed_at is None or not isinstance(goal, DeployGoal):
        return None
    if attempt.stage == len(goal.stages) - 1:
        return None
    message = "the deployer died before the cutover; its work was taken back"
    return Reason(kind="Interrupted", message=message, hint="deploy again")


def _recover_breath(
    attempt: Attempt, world: World, context: Context
) -> Decision | None:
    """Let a little time pass after a failed try, and as long as readings may be old."""
    if not attempt.failures or attempt.failed_at is None:
        return None
    pause = max(_BREATH * 2**attempt.failures, context.staleness)
    until = attempt.failed_at + pause
    if world.now >= until or _is_exhausted(attempt):
        return None
    facts = tuple(fact for fact in world.facts if not isinstance(fact, EvidenceFact))
    return Wait(on="another try", facts=facts, pause=pause, until=until)


def _fence(
    attempt: Attempt, since: datetime, world: World, context: Context
) -> Decision:
    """Make sure that nothing in flight can move the switch any more.

    Where the switch compares, a write of what it has now refuses everything sent before.
    A blind one has no such defence: only time makes sure.
    """
    if attempt.failures >= TRIES and attempt.trouble is not None:
        return Pause(reason=attempt.trouble)
    if context.switch.fencing == "blind":
        until = since + context.switch.late + context.switch.staleness
        if world.now < until:
            said = "what may be in flight at the switch"
            return Wait(on=said, facts=(SwitchFact(),), pause=_PATIENCE, until=until)
    view = world.switch()
    fleet = getattr(attempt.goal, "fleet", None) or FleetName("")
    return Fence(fleet=fleet, routing=view.routing, expected=view.version)


def _show(attempt: Attempt, world: World, context: Context) -> Decision | None:
    """Decide nothing on what was read before it showed what this deployment did last."""
    written, changed = attempt.written, attempt.changed
    of_fleet = FleetFact(fleet=changed.step.fleet) if changed else None
    switch, backend = context.switch.staleness, context.backend.staleness
    return _shown(world, SwitchFact(), written, attempt.written_at, switch) or (
        _shown(world, of_fleet, changed, attempt.changed_at, backend)
    )


def _shown(
    world: World,
    fact: Fact | None,
    done: Pending | None,
    at: datetime | None,
    staleness: timedelta,
) -> Decision | None:
    seen = world.facts.get(fact) if fact else None
    if fact is None or seen is None or done is None or at is None:
        return None
    until = at + staleness
    if seen.at >= until or shows(seen.value, done.step):
        return None
    pause = max(until - world.now, _BREATH)
    said = "a reading that shows what was done"
    return Wait(on=said, facts=(fact,), pause=pause, until=until + pause)


def _resolve(suspect: Pending, world: World) -> Decision:
    """Say what became of a routing that was in flight: after the fence, the switch shows it."""
    wanted = suspect.step.routing if isinstance(suspect.step, Route) else None
    return Resolve(number=suspect.number, applied=world.switch().routing == wanted)
