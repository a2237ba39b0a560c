"""Between deployments: scale and heal the live fleet, retire fleets whose time is over."""

from datetime import datetime

from immutable.deploying.facts import SessionsFact, World
from immutable.deploying.rules import POLL, join_all, wait_ready
from immutable.deploying.steps import (
    Decision,
    Detach,
    Finish,
    Join,
    Replace,
    Resize,
    Retire,
    Route,
    Wait,
)
from immutable.deploying.view import Scene
from immutable.ledger.goals import HealGoal, ScaleGoal, TidyGoal
from immutable.ledger.state import Attempt, FleetEntry, FleetStatus, State
from immutable.model import FleetName, InstanceState, Outcome, Routing


def scale(scene: Scene, goal: ScaleGoal) -> Decision:
    """Return the next step towards the fleet's new size."""
    shrinking = goal.size < goal.before
    step = _let_go(scene, goal) if shrinking else _grow(scene, goal)
    return step or Finish(outcome=Outcome.LIVE, live=scene.fleet)


def heal(scene: Scene, goal: HealGoal) -> Decision:
    """Return the next step towards a fleet without dead or unready instances."""
    for instance in scene.instances():
        if instance.state is InstanceState.GONE or instance.id in goal.unready:
            return Replace(spec=scene.spec(scene.entry.size), instance=instance.id)
    if len(scene.instances()) < scene.entry.size:
        return Resize(spec=scene.spec(scene.entry.size))
    began = scene.attempt.launched_at or scene.attempt.begun_at
    step = join_all(scene, goal.drain) or wait_ready(scene, began + goal.ready_timeout)
    return step or Finish(outcome=Outcome.LIVE, live=scene.fleet)


def due(state: State, now: datetime) -> tuple[FleetName, ...]:
    """Return the fleets whose time is over: tombstones, and a standby past its date."""
    return tuple(entry.name for entry in state.fleets if _is_due(entry, now))


def tidy(
    state: State, attempt: Attempt, goal: TidyGoal, world: World, *, exhausted: bool
) -> Decision:
    """Return the next step towards being rid of the goal's fleets."""
    left = tuple(name for name in goal.fleets if name not in attempt.retired)
    live = state.live.name if state.live else None
    if not left:
        return Finish(outcome=Outcome.LIVE, live=live)
    if goal.closing and world.switch().routing != Routing() and not exhausted:
        version = world.switch().version
        return Route(fleet=left[0], routing=Routing(), expected=version)
    unused = [name for name in left if not world.switch().routing.mentions(name)]
    if exhausted or not unused:
        leftovers = tuple(f"fleet {name}" for name in left)
        return Finish(
            outcome=Outcome.NEEDS_RECOVERY,
            live=live,
            reason=attempt.trouble,
            leftovers=leftovers,
        )
    return part_with(unused[0], world, drained_by=attempt.begun_at + goal.drain)


def part_with(fleet: FleetName, world: World, *, drained_by: datetime) -> Decision:
    """Return the next step of a retirement: drain, then the place, then the fleet."""
    view = world.switch()
    if view.attachment_of(fleet) is None:
        return Retire(fleet=fleet)
    sessions = world.sessions(fleet)
    if sessions and world.now < drained_by:
        facts = (SessionsFact(fleet=fleet),)
        return Wait(
            on=f"{sessions} sessions to end", facts=facts, pause=POLL, until=drained_by
        )
    return Detach(fleet=fleet, expected=view.version)


def _grow(scene: Scene, goal: ScaleGoal) -> Decision | None:
    if scene.entry.size != goal.size or len(scene.instances()) < goal.size:
        return Resize(spec=scene.spec(goal.size))
    began = scene.attempt.launched_at or scene.attempt.begun_at
    return join_all(scene, goal.drain) or wait_ready(scene, began + goal.ready_timeout)


def _let_go(scene: Scene, goal: ScaleGoal) -> Decision | None:
    members = scene.members()
    kept = frozenset(member.instance for member in members[: goal.size])
    surplus = tuple(i.id for i in scene.instances() if i.id not in kept)
    staying = tuple(member for member in members if member.instance in kept)
    if not surplus and scene.entry.size == goal.size:
        return join_all(scene, goal.drain)
    if scene.joined() - set(staying):
        return Join(fleet=scene.fleet, members=staying, drain=goal.drain)
    return Resize(spec=scene.spec(goal.size), remove=surplus)


def _is_due(entry: FleetEntry, now: datetime) -> bool:
    if entry.status is FleetStatus.RETIRING:
        return True
    overdue = entry.retire_at is not None and now >= entry.retire_at
    return entry.status is FleetStatus.STANDBY and overdue
