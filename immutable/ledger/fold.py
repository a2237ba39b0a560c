"""From one state to the next: pure, total, and deaf to records after an ending."""

from datetime import datetime, timedelta

from immutable.deploying.steps import (
    Attach,
    Detach,
    Effect,
    Fence,
    Freeze,
    Join,
    Launch,
    Replace,
    Resize,
    Retire,
    Route,
    Thaw,
)
from immutable.ledger import holding
from immutable.ledger.entries import (
    evolve_fleets,
    mark,
    remember,
    with_attempt,
    without,
)
from immutable.ledger.evolving import evolved
from immutable.ledger.goals import AdoptGoal, DeployGoal, TidyGoal
from immutable.ledger.lately import Lately
from immutable.ledger.records import (
    Aborting,
    Begun,
    Finished,
    Intended,
    Paused,
    Record,
    Renewed,
    Restored,
    Result,
    Settled,
    Snapshot,
    TookOver,
)
from immutable.ledger.state import (
    Attempt,
    Ending,
    FleetEntry,
    FleetStatus,
    Pending,
    State,
)
from immutable.model import FleetName, Outcome

CLOCKS_APART = timedelta(minutes=10)
"""By so much, at most, the clocks of two deployers may differ."""
PERMANENT = frozenset(
    "Unsupported NotEnough PermissionDenied Taken BuildFailed UnknownImage".split()  # noqa: SIM905 - a line is read at once
)
_known = Lately[tuple[int, int], tuple[State, Record, State]](256)
"""By the identities of a state and a record: as long as they are here, nobody else's."""


def fold(state: State, record: Record) -> State:
    """Return the state after one more record.

    Whoever reads a ledger folds the same records over and over: what comes of these very
    objects is kept for a while.
    """
    key = id(state), id(record)
    known = _known.get(key)
    if known is None:
        known = _known.keep(key, (state, record, _folded(state, record)))
    return known[2]


def _folded(state: State, record: Record) -> State:
    entry = record.entry
    if isinstance(entry, Snapshot):
        state = entry.state
    elif state.attempt is not None:
        state = _during(state, state.attempt, record)
    elif isinstance(entry, Begun):
        state = _begun(_redated(state, record), entry, record)
    elif isinstance(entry, Restored):
        state = _restored(state, entry)
    snapshot = record.sequence if isinstance(entry, Snapshot) else state.snapshot
    owner = record.by if record.lease_until is not None else state.owner
    lease = None if state.attempt is None else record.lease_until
    return evolved(
        state,
        sequence=record.sequence,
        snapshot=snapshot,
        owner=owner,
        lease_until=lease,
    )


def _during(state: State, attempt: Attempt, record: Record) -> State:
    match record.entry:
        case Intended() as entry:
            return _intended(state, attempt, entry, record.at)
        case Settled() as entry:
            return _settled(state, attempt, entry, record.at)
        case TookOver():
            return _taken_over(_redated(state, record), attempt, record.at)
        case Aborting() as entry:
            return _aborting(state, attempt, entry, record.at)
        case Finished() as entry:
            return _finished(state, attempt, entry, record.at)
        case Paused() as entry:
            return _paused(state, attempt, entry, record.at)
        case Renewed() | Begun() | Restored() | Snapshot():
            return state


def _redated(state: State, record: Record) -> State:
    """Count from the clock of whoever goes on: clocks are not believed to the minute."""
    shifted, at = state.shifted_at, record.at
    if shifted is None or record.by == state.owner or abs(at - shifted) > CLOCKS_APART:
        return state
    return evolved(state, shifted_at=at)


def _taken_over(state: State, attempt: Attempt, at: datetime) -> State:
    attempt = evolved(
        _unfenced(attempt, attempt.pending, at),
        resumed_at=at,
        written=None,
        changed=None,
        unplaced=(),
        failures=0,
        permanent=False,
        steps_before=attempt.steps,
        aborting_at=at if attempt.aborting else None,
    )
    return evolved(with_attempt(state, attempt), doubted_at=at)


def _unfenced(attempt: Attempt, doubtful: Pending | None, at: datetime) -> Attempt:
    """Hold every write to be in flight, and a routing to be suspect until it is fenced."""
    suspect = attempt.suspect
    if doubtful is not None and isinstance(doubtful.step, Route):
        suspect = doubtful
    return evolved(attempt, unfenced_at=at, suspect=suspect, pending=None)


def _paused(state: State, attempt: Attempt, entry: Paused, at: datetime) -> State:
    ending = Ending(
        id=attempt.id,
        outcome=Outcome.NEEDS_RECOVERY,
        at=at,
        reason=entry.reason,
        leftovers=entry.leftovers,
    )
    return evolved(state, latest=ending)


def _begun(state: State, entry: Begun, record: Record) -> State:
    attempt = Attempt(
        id=entry.deployment,
        goal=entry.goal,
        sequence=record.sequence,
        begun_at=record.at,
    )
    state = with_attempt(state, attempt)
    match entry.goal:
        case DeployGoal(reused=False) as goal:
            return _new_fleet(state, goal, attempt)
        case TidyGoal(fleets=fleets) as goal:
            # what is still served is no tombstone before production is closed
            served = {fleet for fleet, _ in goal.before.weights} if goal.closing else {}
            closed = (name for name in fleets if name not in served)
            return mark(state, FleetStatus.RETIRING, *closed)
        case AdoptGoal() as goal:
            return _acquainted(state, goal, attempt)
        case _:
            return state


def _new_fleet(state: State, goal: DeployGoal | AdoptGoal, attempt: Attempt) -> State:
    if goal.fleet is None or goal.release is None:
        return state
    entry = FleetEntry(
        name=goal.fleet,
        release=goal.release,
        deployment=attempt.id,
        size=goal.size,
        status=FleetStatus.NEW,
    )
    following = max(state.next_release, goal.release.number + 1)
    return evolved(state, fleets=(*state.fleets, entry), next_release=following)


def _acquainted(state: State, goal: AdoptGoal, attempt: Attempt) -> State:
    known = goal.fleet is not None and state.fleet(goal.fleet) is not None
    return state if known else _new_fleet(state, goal, attempt)


def _restored(state: State, entry: Restored) -> State:
    live = entry.live
    state = evolved(
        state,
        fleets=(live,) if live else (),
        next_release=entry.next_release,
        strays=entry.strays,
    )
    return remember(state, live.release) if live else state


def _intended(state: State, attempt: Attempt, entry: Intended, at: datetime) -> State:
    step = entry.step
    attempt = evolved(
        attempt, steps=entry.number, pending=Pending(number=entry.number, step=step)
    )
    if isinstance(step, Launch | Resize | Replace):
        attempt = evolved(attempt, launched_at=attempt.launched_at or at)
        state = evolve_fleets(state, (step.fleet,), size=step.spec.size)
    if isinstance(step, Freeze | Thaw):
        return holding.asked(state, attempt, step)
    return with_attempt(state, attempt)


def _settled(state: State, attempt: Attempt, entry: Settled, at: datetime) -> State:
    suspect, pending = attempt.suspect, attempt.pending
    if suspect is not None and suspect.number == entry.number:
        attempt, settled = evolved(attempt, suspect=None), suspect
    elif pending is not None and pending.number == entry.number:
        attempt, settled = evolved(attempt, pending=None), pending
    else:
        return state
    state = _changed(state, settled.step, at)
    match entry.result:
        case Result.APPLIED:
            return _applied(state, attempt, settled, at)
        case Result.UNKNOWN:
            return _doubted(state, _failed(attempt, entry, at), settled, at)
        case Result.NOT_APPLIED:
            return with_attempt(state, _failed(attempt, entry, at))


def _failed(attempt: Attempt, entry: Settled, at: datetime) -> Attempt:
    trouble = entry.reason
    if trouble is None:
        return attempt
    return evolved(
        attempt,
        failures=attempt.failures + 1,
        failed_at=at,
        trouble=trouble,
        permanent=trouble.kind in PERMANENT,
    )


def _doubted(state: State, attempt: Attempt, settled: Pending, at: datetime) -> State:
    if isinstance(settled.step, Route | Fence):
        attempt = _unfenced(attempt, settled, at)
    return evolved(with_attempt(state, attempt), doubted_at=at)


def _changed(state: State, step: Effect, at: datetime) -> State:
    """Note when a fleet's instances changed, whatever became of the call.

    Networks deliver twice what was acknowledged once: it is looked for again, later.
    """
    if isinstance(step, Freeze | Thaw):
        return holding.answered(state, step, at)
    if not isinstance(step, Launch | Resize | Replace):
        return state
    return evolved(evolve_fleets(state, (step.fleet,), changed_at=at), doubted_at=at)


def _applied(state: State, attempt: Attempt, settled: Pending, at: datetime) -> State:
    attempt = evolved(attempt, failures=0, permanent=False)
    if isinstance(settled.step, Attach | Join | Route | Fence | Detach):
        attempt = evolved(attempt, written=settled, written_at=at)
    else:
        attempt = evolved(attempt, changed=settled, changed_at=at)
    match settled.step:
        case Route() as step:
            return _routed(state, attempt, step, at)
        case Replace(instance=instance):
            replaced = (*attempt.replaced, instance)
            attempt = evolved(attempt, replaced=replaced, launched_at=at)
        case Launch() | Resize():
            attempt = evolved(attempt, launched_at=at)
        case Fence(fleet=fleet, unplaced=unplaced):
            attempt = _fenced(attempt, (fleet,) if unplaced else (), at)
        case Attach(fleet=fleet):
            left = tuple(name for name in attempt.unplaced if name != fleet)
            attempt = evolved(attempt, unplaced=left)
        case Detach(fleet=fleet):
            attempt = evolved(attempt, unplaced=(*attempt.unplaced, fleet))
        case Thaw(fleet=fleet):
            attempt = holding.thawed(attempt, fleet)
        case Retire(fleet=fleet):
            attempt = evolved(attempt, retired=(*attempt.retired, fleet))
            state = evolved(without(state, fleet), doubted_at=at)
        case _:
            pass
    return with_attempt(state, attempt)


def _fenced(attempt: Attempt, proven: tuple[FleetName, ...], at: datetime) -> Attempt:
    """Let going back begin when there are no doubts any more: waiting was none of it."""
    doubted = attempt.unfenced_at is not None and attempt.aborting is not None
    return evolved(
        attempt,
        unfenced_at=None,
        unplaced=(*attempt.unplaced, *proven),
        aborting_at=at if doubted else attempt.aborting_at,
    )


def _routed(state: State, attempt: Attempt, step: Route, at: datetime) -> State:
    attempt = evolved(attempt, routed=step.routing)
    if step.stage is None:
        attempt = evolved(attempt, checked_at=at)
    else:
        attempt = evolved(attempt, stage=step.stage, staged_at=at)
    if isinstance(attempt.goal, TidyGoal):
        state = mark(state, FleetStatus.RETIRING, *attempt.goal.fleets)
    return evolved(with_attempt(state, attempt), shifted_at=at)


def _aborting(state: State, attempt: Attempt, entry: Aborting, at: datetime) -> State:
    goal = attempt.goal
    if isinstance(goal, DeployGoal) and not goal.reused:
        state = mark(state, FleetStatus.RETIRING, goal.fleet)
    return with_attempt(
        state,
        evolved(
            attempt, aborting=entry.reason, aborting_at=at, failures=0, permanent=False
        ),
    )


def _finished(state: State, attempt: Attempt, entry: Finished, at: datetime) -> State:
    ending = Ending(
        id=attempt.id,
        outcome=entry.outcome,
        at=at,
        reason=entry.reason,
        leftovers=entry.leftovers,
    )
    state = evolved(state, attempt=None, latest=ending)
    match attempt.goal:
        case DeployGoal() as goal:
            return _cut_over(state, goal, entry, at) if entry.live else state
        case AdoptGoal() as goal:
            return _adopted(state, goal, entry, at)
        case TidyGoal() as goal:
            return _tidied(state, goal, entry)
        case _:
            return state


def _cut_over(
    state: State, goal: DeployGoal | AdoptGoal, entry: Finished, at: datetime
) -> State:
    live, before = entry.live, state.live
    if before is not None and before.name == live:
        return state
    if state.standby is not None and state.standby.name != live:
        state = mark(state, FleetStatus.RETIRING, state.standby.name)
    if before is not None:
        state = evolve_fleets(
            state,
            (before.name,),
            status=FleetStatus.STANDBY,
            retire_at=at + goal.keep_warm,
        )
    if live is None or goal.release is None:
        return state
    state = mark(state, FleetStatus.LIVE, live)
    return remember(state, goal.release) if entry.outcome is Outcome.LIVE else state


def _adopted(state: State, goal: AdoptGoal, entry: Finished, at: datetime) -> State:
    if entry.outcome is Outcome.LIVE:
        return _cut_over(state, goal, entry, at)
    entries = tuple(f for f in state.fleets if f.status is not FleetStatus.NEW)
    return evolved(state, fleets=entries)


def _tidied(state: State, goal: TidyGoal, entry: Finished) -> State:
    strays = tuple(name for name in state.strays if name not in goal.fleets)
    settled = entry.outcome is Outcome.LIVE and goal.settles is not None
    # retiring doubts anew, so compare with what was doubted when this began
    doubted = state.doubted_at
    if settled and doubted is not None and doubted == goal.settles:
        doubted = None
        state = holding.forget(state)
    return evolved(state, strays=strays, doubted_at=doubted)
