"""From one state to the next: pure, total, and deaf to records after an ending."""

from datetime import datetime

import attrs

from immutable.deploying.steps import Fence, Launch, Replace, Resize, Retire, Route
from immutable.ledger.goals import DeployGoal, TidyGoal
from immutable.ledger.records import (
    Aborting,
    Begun,
    Finished,
    Intended,
    Paused,
    Record,
    Renewed,
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
from immutable.model import FleetName, Outcome, Release

RELEASES_KEPT = 50
"""So many releases that were live stay in the state; older ones are in history."""
PERMANENT = frozenset(
    {
        "Unsupported",
        "NotEnough",
        "PermissionDenied",
        "Taken",
        "BuildFailed",
        "UnknownImage",
    }
)


def fold(state: State, record: Record) -> State:
    """Return the state after one more record."""
    entry = record.entry
    if isinstance(entry, Snapshot):
        state = entry.state
    elif isinstance(entry, Begun):
        state = _begun(state, entry, record)
    elif state.attempt is not None:
        state = _during(state, state.attempt, record)
    snapshot = record.sequence if isinstance(entry, Snapshot) else state.snapshot
    owner = record.by if record.lease_until is not None else state.owner
    lease = None if state.attempt is None else record.lease_until
    return attrs.evolve(
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
            return _taken_over(state, attempt, record.at)
        case Aborting() as entry:
            return _aborting(state, attempt, entry, record.at)
        case Finished() as entry:
            return _finished(state, attempt, entry, record.at)
        case Paused() as entry:
            return _paused(state, attempt, entry, record.at)
        case Renewed() | Begun() | Snapshot():
            return state


def _taken_over(state: State, attempt: Attempt, at: datetime) -> State:
    doubtful = attempt.pending
    if doubtful is None or isinstance(doubtful.step, Fence):
        doubtful = attempt.suspect
    attempt = attrs.evolve(
        attempt,
        taken_over=True,
        fenced=False,
        suspect=doubtful,
        pending=None,
        failures=0,
        permanent=False,
        steps_before=attempt.steps,
        aborting_at=at if attempt.aborting else None,
    )
    return _with(state, attempt)


def _paused(state: State, attempt: Attempt, entry: Paused, at: datetime) -> State:
    ending = Ending(
        id=attempt.id,
        outcome=Outcome.NEEDS_RECOVERY,
        at=at,
        reason=entry.reason,
        leftovers=entry.leftovers,
    )
    return attrs.evolve(state, latest=ending)


def _begun(state: State, entry: Begun, record: Record) -> State:
    attempt = Attempt(
        id=entry.deployment,
        goal=entry.goal,
        sequence=record.sequence,
        begun_at=record.at,
    )
    state = _with(state, attempt)
    match entry.goal:
        case DeployGoal(reused=False) as goal:
            return _new_fleet(state, goal, attempt)
        case TidyGoal(fleets=fleets):
            return _mark(state, FleetStatus.RETIRING, *fleets)
        case _:
            return state


def _new_fleet(state: State, goal: DeployGoal, attempt: Attempt) -> State:
    entry = FleetEntry(
        name=goal.fleet,
        release=goal.release,
        deployment=attempt.id,
        size=goal.size,
        status=FleetStatus.NEW,
    )
    following = max(state.next_release, goal.release.number + 1)
    return attrs.evolve(state, fleets=(*state.fleets, entry), next_release=following)


def _intended(state: State, attempt: Attempt, entry: Intended, at: datetime) -> State:
    step = entry.step
    attempt = attrs.evolve(
        attempt, steps=entry.number, pending=Pending(number=entry.number, step=step)
    )
    if isinstance(step, Launch | Resize | Replace):
        attempt = attrs.evolve(attempt, launched_at=attempt.launched_at or at)
        state = _resized(state, step.fleet, step.spec.size)
    return _with(state, attempt)


def _settled(state: State, attempt: Attempt, entry: Settled, at: datetime) -> State:
    suspect = attempt.suspect
    if suspect is not None and suspect.number == entry.number:
        attempt, pending = attrs.evolve(attempt, suspect=None), suspect
    elif attempt.pending is not None and attempt.pending.number == entry.number:
        pending = attempt.pending
    else:
        return state
    if entry.result is Result.APPLIED:
        return _applied(state, attempt, pending, at)
    trouble = entry.reason
    return _with(
        state,
        attrs.evolve(
            attempt,
            pending=pending if entry.result is Result.UNKNOWN else None,
            failures=attempt.failures + (trouble is not None),
            trouble=trouble or attempt.trouble,
            permanent=trouble is not None and trouble.kind in PERMANENT,
        ),
    )


def _applied(state: State, attempt: Attempt, pending: Pending, at: datetime) -> State:
    attempt = attrs.evolve(attempt, pending=None, failures=0, permanent=False)
    match pending.step:
        case Route(stage=None, routing=routing):
            attempt = attrs.evolve(attempt, routed=routing, checked_at=at)
        case Route(stage=int(stage), routing=routing):
            attempt = attrs.evolve(attempt, routed=routing, stage=stage, staged_at=at)
        case Replace():
            attempt = attrs.evolve(
                attempt, replaced=attempt.replaced + 1, launched_at=at
            )
        case Launch() | Resize():
            attempt = attrs.evolve(attempt, launched_at=at)
        case Fence():
            attempt = attrs.evolve(attempt, fenced=True)
        case Retire(fleet=fleet):
            attempt = attrs.evolve(attempt, retired=(*attempt.retired, fleet))
            state = _without(state, fleet)
        case _:
            pass
    return _with(state, attempt)


def _aborting(state: State, attempt: Attempt, entry: Aborting, at: datetime) -> State:
    goal = attempt.goal
    if isinstance(goal, DeployGoal) and not goal.reused:
        state = _mark(state, FleetStatus.RETIRING, goal.fleet)
    return _with(
        state,
        attrs.evolve(
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
    state = attrs.evolve(state, attempt=None, latest=ending)
    if not isinstance(attempt.goal, DeployGoal):
        return state
    return _cut_over(state, attempt.goal, entry, at)


def _cut_over(state: State, goal: DeployGoal, entry: Finished, at: datetime) -> State:
    live = entry.live
    before = state.live
    if live is None or (before is not None and before.name == live):
        return state
    if state.standby is not None and state.standby.name != live:
        state = _mark(state, FleetStatus.RETIRING, state.standby.name)
    if before is not None:
        state = _mark(
            state, FleetStatus.STANDBY, before.name, retire_at=at + goal.keep_warm
        )
    state = _mark(state, FleetStatus.LIVE, live)
    return _remember(state, goal.release) if entry.outcome is Outcome.LIVE else state


def _remember(state: State, release: Release) -> State:
    others = tuple(r for r in state.releases if r.number != release.number)
    known = sorted((*others, release), key=lambda r: r.number)
    return attrs.evolve(state, releases=tuple(known[-RELEASES_KEPT:]))


def _with(state: State, attempt: Attempt) -> State:
    return attrs.evolve(state, attempt=attempt)


def _without(state: State, fleet: FleetName) -> State:
    return attrs.evolve(state, fleets=tuple(f for f in state.fleets if f.name != fleet))


def _mark(
    state: State,
    status: FleetStatus,
    *names: FleetName,
    retire_at: datetime | None = None,
) -> State:
    fleets = tuple(
        attrs.evolve(f, status=status, retire_at=retire_at) if f.name in names else f
        for f in state.fleets
    )
    return attrs.evolve(state, fleets=fleets)


def _resized(state: State, fleet: FleetName, size: int) -> State:
    fleets = tuple(
        attrs.evolve(f, size=size) if f.name == fleet else f for f in state.fleets
    )
    return attrs.evolve(state, fleets=fleets)
