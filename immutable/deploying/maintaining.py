"""Between deployments: scale and heal the live fleet, retire fleets whose time is over."""

from datetime import datetime, timedelta

from immutable.deploying.facts import FleetFact, Reason, SessionsFact
from immutable.deploying.freezing import mend
from immutable.deploying.rules import join_all, wait_ready
from immutable.deploying.steps import (
    Decision,
    Detach,
    Fence,
    Finish,
    Join,
    Replace,
    Resize,
    Retire,
    Route,
    Wait,
)
from immutable.deploying.view import POLL, Scene, Whole
from immutable.ledger.goals import HealGoal, ScaleGoal, TidyGoal
from immutable.ledger.state import FleetEntry, FleetStatus, State
from immutable.model import FleetName, InstanceId, Outcome, Routing

_PATIENCE = timedelta(seconds=5)
_IN_USE = Reason(
    kind="RecoveryNeeded",
    message="what is to be retired still has traffic",
    hint="see status(): somebody else may have moved the switch",
)


def scale(scene: Scene, goal: ScaleGoal) -> Decision:
    """Return the next step towards the fleet's new size."""
    if waiting := shown(scene):
        return waiting
    shrinking = goal.size < goal.before
    step = _shrink(scene, goal) if shrinking else _grow(scene, goal)
    return step or Finish(outcome=Outcome.LIVE, live=scene.fleet)


def heal(scene: Scene, goal: HealGoal) -> Decision:
    """Return the next step towards a fleet without dead, unready or surplus instances."""
    return (
        shown(scene)
        or mend(scene)
        or _replace(scene, goal)
        or _complete(scene, goal)
        or Finish(outcome=Outcome.LIVE, live=scene.fleet)
    )


def shown(scene: Scene) -> Decision | None:
    """Wait until a reading is sure to show what was last done to the fleet."""
    changed = scene.entry.changed_at or scene.attempt.begun_at
    until = changed + scene.context.backend.staleness
    fact = FleetFact(fleet=scene.fleet)
    if scene.world.read_at(fact) >= until:
        return None
    pause = max(until - scene.now, POLL)
    return Wait(
        on=f"{scene.fleet} to be shown", facts=(fact,), pause=pause, until=until + pause
    )


def _replace(scene: Scene, goal: HealGoal) -> Decision | None:
    bad = (i for i in scene.instances() if i in scene.dead() or i.id in goal.unready)
    found = next((i.id for i in bad if i.id not in scene.attempt.replaced), None)
    if found is None:
        return None
    return Replace(spec=scene.spec(scene.size), instance=found)


def _complete(scene: Scene, goal: HealGoal) -> Decision | None:
    size, thawed = scene.size, scene.is_thawed
    # what scales itself comes to its size by itself, and that may be another one by then
    if len(scene.instances()) < size and not thawed:
        return Resize(spec=scene.spec(size))
    if len(scene.alive()) > size and not thawed:
        return let_go(scene, size, goal.drain)
    began = scene.attempt.launched_at or scene.attempt.begun_at
    # its provider is about to bind whom it launches; only who was left out is brought in
    mending = not thawed or bool(set(scene.members()) - scene.joined())
    joining = join_all(scene, goal.drain, even_bound=mending)
    return joining or wait_ready(scene, began + goal.ready_timeout)


def due(state: State, now: datetime) -> tuple[FleetName, ...]:
    """Return the fleets whose time is over: tombstones, and a standby past its date."""
    return tuple(entry.name for entry in state.fleets if _is_due(entry, now))


def settled(state: State, now: datetime, late: timedelta) -> datetime | None:
    """Return since when there are doubts, once all that was in flight has landed."""
    since = state.doubted_at
    return since if since is not None and late and now >= since + late else None


def tidy(whole: Whole, goal: TidyGoal, *, exhausted: bool) -> Decision:
    """Return the next step towards being rid of the goal's fleets."""
    attempt, view = whole.attempt, whole.world.switch
    left = tuple(name for name in goal.fleets if name not in attempt.retired)
    live = whole.state.live.name if whole.state.live else None
    if not left:
        return Finish(outcome=Outcome.LIVE, live=None if goal.closing else live)
    if not exhausted and _is_to_be_closed(whole, goal):
        return Route(fleet=left[0], routing=Routing(), expected=view().version)
    unused = [name for name in left if not view().routing.mentions(name)]
    if exhausted or not unused:
        return Finish(
            outcome=Outcome.NEEDS_RECOVERY,
            live=live,
            reason=attempt.trouble or whole.world.stop or _IN_USE,
            leftovers=tuple(f"fleet {name}" for name in left),
        )
    return part_with(whole, unused[0], drained_by=attempt.begun_at + goal.drain)


def _is_to_be_closed(whole: Whole, goal: TidyGoal) -> bool:
    """Return whether production is open still, and as it was when this was decided.

    Once it has been closed, whoever opens it again is somebody else.
    """
    if not goal.closing or whole.attempt.routed is not None:
        return False
    found = whole.world.switch().routing
    return found != Routing() and found.weights == goal.before.weights


def part_with(whole: Whole, fleet: FleetName, *, drained_by: datetime) -> Decision:
    """Return the next step of a retirement: drain, then the place, then the fleet."""
    view = whole.world.switch()
    if view.attachment_of(fleet) is None:
        return _destroy(whole, fleet)
    return (
        _settle(whole)
        or _drain(whole, fleet, drained_by)
        or Detach(fleet=fleet, expected=view.version)
    )


def _destroy(whole: Whole, fleet: FleetName) -> Decision:
    """Destroy what has no place, proven by the provider or by a write of our own.

    Where places are not compared, a reading without one proves nothing; taking away what
    is not there does no harm.
    """
    if whole.context.backend.guards_deletion or fleet in whole.attempt.unplaced:
        return Retire(fleet=fleet)
    view = whole.world.switch()
    if whole.context.switch.fencing != "compare-and-set":
        # an old reading may show no place where there still is one
        return _settle(whole) or Detach(fleet=fleet, expected=view.version)
    return Fence(
        fleet=fleet, routing=view.routing, expected=view.version, unplaced=True
    )


def _settle(whole: Whole) -> Decision | None:
    """Wait while older routings may still be served somewhere."""
    shifted = whole.state.shifted_at
    until = shifted + whole.context.switch.settle if shifted else whole.world.now
    if whole.world.now >= until:
        return None
    pause = min(_PATIENCE, until - whole.world.now)
    # nothing is asked meanwhile: who has traffic again the switch itself does not detach
    return Wait(on="the shift to settle", facts=(), pause=pause, until=until)


def _drain(whole: Whole, fleet: FleetName, drained_by: datetime) -> Decision | None:
    sessions = whole.world.sessions(fleet)
    if not sessions or whole.world.now >= drained_by:
        return None
    return Wait(
        on=f"{sessions} sessions to end",
        facts=(SessionsFact(fleet=fleet),),
        pause=whole.context.poll,
        until=drained_by,
    )


def _grow(scene: Scene, goal: ScaleGoal) -> Decision | None:
    if not _has_been_given(scene, goal.size) and (
        scene.entry.size != goal.size or len(scene.instances()) < goal.size
    ):
        return Resize(spec=scene.spec(goal.size))
    began = scene.attempt.launched_at or scene.attempt.begun_at
    return join_all(scene, goal.drain) or wait_ready(scene, began + goal.ready_timeout)


def _shrink(scene: Scene, goal: ScaleGoal) -> Decision | None:
    return let_go(scene, goal.size, goal.drain) or _come_down(scene, goal)


def _come_down(scene: Scene, goal: ScaleGoal) -> Decision | None:
    """Wait for a provider that parts with instances by itself, but not for ever."""
    until = (scene.attempt.changed_at or scene.now) + goal.ready_timeout
    left = len(scene.alive()) - scene.size
    if not scene.is_thawed or left <= 0 or scene.now >= until:
        return None
    fact = FleetFact(fleet=scene.fleet)
    return Wait(
        on=f"{left} instances to go",
        facts=(fact,),
        pause=scene.context.poll,
        until=until,
    )


def let_go(
    scene: Scene,
    size: int,
    drain: timedelta,
    *,
    preferred: tuple[InstanceId, ...] = (),
) -> Decision | None:
    """Part with the instances beyond a size: first from traffic, then from the fleet."""
    if scene.is_thawed and scene.context.backend.launch_binds:
        # whom to part with, and how, is its provider's choice: it binds meanwhile
        given = _has_been_given(scene, size)
        return None if given else Resize(spec=scene.spec(size))
    members = sorted(scene.members(), key=lambda m: m.instance not in preferred)
    kept = frozenset(member.instance for member in members[:size])
    surplus = tuple(i.id for i in scene.instances() if i.id not in kept)
    staying = tuple(m for m in scene.members() if m.instance in kept)
    if not surplus and scene.entry.size == size:
        return join_all(scene, drain)
    if scene.joined() - set(staying):
        return Join(fleet=scene.fleet, members=staying, drain=drain)
    return Resize(spec=scene.spec(size), remove=surplus)


def _has_been_given(scene: Scene, size: int) -> bool:
    """Return whether a size was set that is the provider's to change from then on."""
    changed = scene.attempt.changed
    done = changed.step if changed and scene.is_thawed else None
    return isinstance(done, Resize) and (done.fleet, done.spec.size) == (
        scene.fleet,
        size,
    )


def _is_due(entry: FleetEntry, now: datetime) -> bool:
    if entry.status is FleetStatus.RETIRING:
        return True
    overdue = entry.retire_at is not None and now >= entry.retire_at
    return entry.status is FleetStatus.STANDBY and overdue
