"""From a goal to a result: begin in the ledger, run the loop, retire what is due, report."""

from datetime import datetime, timedelta
from typing import cast

import attrs

from immutable.deploying import admitting, finding, looking, maintaining
from immutable.deploying.engine import Engine
from immutable.deploying.facts import Seen
from immutable.deploying.loop import Ending, Loop
from immutable.deploying.opening import with_names
from immutable.errors import (
    Ambiguous,
    BackendError,
    Contention,
    ImmutableError,
    LedgerError,
    SequenceTaken,
)
from immutable.events import Ended, Started
from immutable.ledger.goals import AdoptGoal, DeployGoal, Goal, HealGoal, TidyGoal
from immutable.ledger.records import Begun, TookOver
from immutable.ledger.state import State
from immutable.model import DeploymentId, Outcome, Release, SwitchView
from immutable.results import Deployment

_ID_CHARS = 16


def new_deployment(engine: Engine) -> DeploymentId:
    """Return an id that nobody else has."""
    return DeploymentId(engine.host.unique()[:_ID_CHARS])


def run(
    engine: Engine,
    goal: Goal,
    deployment: DeploymentId,
    *,
    timeout: timedelta | None = None,
    warnings: tuple[str, ...] = (),
) -> Deployment:
    """Begin a deployment and drive it to its end; afterwards retire what is due.

    Raises:
        Contention: another deployer began first; nothing was changed.
    """
    began = engine.host.now()
    engine = attrs.evolve(engine, ledger=engine.journal.found_identity())
    try:
        _begin(engine, goal, deployment)
    except Ambiguous as exc:
        return _perhaps_begun(engine, goal, deployment, exc, began=began)
    loop = Loop(engine, deadline=began + timeout if timeout else None)
    ending = loop.run()
    result = report(
        engine, goal, deployment, ending, loop, began=began, warnings=warnings
    )
    return with_leftovers(result, tidy(engine, switch=loop.switch))


def take_over(engine: Engine, *, leaving: bool = False) -> Deployment:
    """Finish the deployment whose deployer died: wholly back, or wholly forward.

    Args:
        engine: the open parts.
        leaving: when asked to stop, leave it open for the next instead of going back.
    """
    began, open_ = engine.host.now(), engine.journal.state.attempt
    if open_ is None:
        raise AssertionError("there is nothing to take over")
    try:
        attempt = engine.journal.append(TookOver()).attempt or open_
    except Ambiguous as exc:
        return _perhaps_begun(engine, open_.goal, open_.id, exc, began=began)
    if isinstance(attempt.goal, DeployGoal):
        engine = with_names(engine, attempt.goal.validators)
    engine.tell(_started(engine, attempt.goal, attempt.id, verb="recover"))
    loop = Loop(engine, leaving=leaving)
    ending = loop.run()
    return report(engine, attempt.goal, attempt.id, ending, loop, began=began)


def tidy(
    engine: Engine, *, searching: bool = False, switch: Seen | None = None
) -> Ending | None:
    """Retire the fleets whose time is over, and what nobody answers for once it can be seen.

    Args:
        engine: the open parts.
        searching: look for what nobody answers for now, too; it is looked for again
            when everything that was in flight has landed.
        switch: how a deployment that has just ended knew it.

    Returns:
        None when there is nothing to do, or it is not our turn.
    """
    state = engine.journal.state
    if state.attempt is not None or engine.ledger is None:
        return None
    settles = maintaining.settled(state, engine.host.now(), engine.context.late)
    if (searching or settles) and not _mend(engine):
        # who could not look has settled nothing
        settles = None
    state = engine.journal.state
    try:
        goal = _tidy_goal(engine, state, settles, searching=searching, switch=switch)
        if goal is None or state.attempt is not None:
            return None
        _begin(engine, goal, new_deployment(engine))
    except (Contention, BackendError, LedgerError):
        # what is due now is due at the next call, too
        return None
    return Loop(engine, switch=switch).run()


def _mend(engine: Engine) -> bool:
    """Let a known fleet have exactly its servers as members again, where it has not.

    A server that was asked for by a dead deployer may come late, and so may an old list
    of members: both are seen by whoever looks for what was in flight.

    Returns:
        Whether it could look.
    """
    try:
        fleet = finding.torn(engine, engine.journal.state)
        if fleet is None:
            return True
        service = engine.service
        goal = HealGoal(
            fleet=fleet,
            unready=(),
            ready_timeout=service.ready_timeout,
            drain=service.drain,
        )
        _begin(engine, goal, new_deployment(engine))
    except (Contention, BackendError, LedgerError):
        return False
    Loop(engine).run()
    return True


def _tidy_goal(
    engine: Engine,
    state: State,
    settles: datetime | None,
    *,
    searching: bool,
    switch: Seen | None,
) -> TidyGoal | None:
    fleets = maintaining.due(state, engine.host.now())
    if not (fleets or settles or searching):
        return None
    if settles or searching or switch is None:
        view = looking.read_switch(engine)
    else:
        view = cast("SwitchView", switch.value)
    # somebody else's routing keeps what it names, however long that takes
    fleets = tuple(name for name in fleets if not view.routing.mentions(name))
    if settles or searching:
        found = finding.orphans(engine, state, view)
        fleets += tuple(name for name in found if name not in state.strays)
    if not fleets and settles is None:
        return None
    return TidyGoal(fleets=fleets, drain=engine.service.drain, settles=settles)


def with_leftovers(result: Deployment, tidied: Ending | None) -> Deployment:
    """Return the result with what could not be retired; the outcome stays what it was."""
    if tidied is None or tidied.outcome is Outcome.LIVE:
        return result
    said = tuple(f"not yet retired: {left}" for left in tidied.leftovers)
    return attrs.evolve(result, warnings=(*result.warnings, *said))


def report(
    engine: Engine,
    goal: Goal,
    deployment: DeploymentId,
    ending: Ending,
    loop: Loop,
    *,
    began: datetime,
    warnings: tuple[str, ...] = (),
) -> Deployment:
    """Return the result of a deployment that has ended."""
    return Deployment(
        service=engine.service.name,
        verb=admitting.verb_of(goal),
        outcome=ending.outcome,
        id=deployment,
        release=goal.release if isinstance(goal, DeployGoal) else _live_release(engine),
        error=ending.error,
        leftovers=ending.leftovers,
        evidence=ending.evidence,
        warnings=warnings,
        steps=tuple(loop.teller.reports),
        calls=loop.calls,
        began_at=began,
        took=engine.host.now() - began,
    )


def nothing_to_do(engine: Engine, verb: str, *, began: datetime) -> Deployment:
    """Return the result of a call that found everything as it was asked to be."""
    return Deployment(
        service=engine.service.name,
        verb=verb,
        outcome=Outcome.LIVE,
        release=_live_release(engine),
        began_at=began,
        took=engine.host.now() - began,
    )


def refused(
    engine: Engine, verb: str, error: ImmutableError, *, began: datetime
) -> Deployment:
    """Return the result of a call that touched nothing."""
    now = engine.host.now()
    engine.tell(Ended(at=now, outcome=Outcome.REFUSED, message=str(error)))
    return Deployment(
        service=engine.service.name,
        verb=verb,
        outcome=Outcome.REFUSED,
        error=error,
        began_at=began,
        took=now - began,
    )


def _perhaps_begun(
    engine: Engine,
    goal: Goal,
    deployment: DeploymentId,
    error: Ambiguous,
    *,
    began: datetime,
) -> Deployment:
    """Return the result of a call that cannot know whether the ledger has its beginning."""
    now = engine.host.now()
    engine.tell(Ended(at=now, outcome=Outcome.NEEDS_RECOVERY, message=error.message))
    return Deployment(
        service=engine.service.name,
        verb=admitting.verb_of(goal),
        outcome=Outcome.NEEDS_RECOVERY,
        id=deployment,
        error=error,
        began_at=began,
        took=now - began,
    )


def _begin(engine: Engine, goal: Goal, deployment: DeploymentId) -> None:
    try:
        engine.journal.append(Begun(deployment=deployment, goal=goal))
    except SequenceTaken as exc:
        raise Contention(
            "another deployer began first", hint="wait for it to end; status() shows it"
        ) from exc
    engine.tell(_started(engine, goal, deployment, verb=admitting.verb_of(goal)))


def _started(
    engine: Engine, goal: Goal, deployment: DeploymentId, *, verb: str
) -> Started:
    return Started(
        at=engine.host.now(),
        service=engine.service.name,
        deployment=deployment,
        verb=verb,
        fleet=None if isinstance(goal, TidyGoal) else goal.fleet,
        release=goal.release if isinstance(goal, DeployGoal | AdoptGoal) else None,
    )


def _live_release(engine: Engine) -> Release | None:
    live = engine.journal.state.live
    return live.release if live else None
