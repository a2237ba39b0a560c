"""Beyond one deployment: watch a service, adopt a switch, restore a lost ledger."""

from datetime import timedelta

from immutable import host
from immutable.deploying import admitting, finding, looking, operations, running
from immutable.deploying.engine import Engine
from immutable.deploying.entering import is_leased, load
from immutable.errors import BackendError, Contention, LedgerError, Refused
from immutable.host import Stop
from immutable.ledger.goals import AdoptGoal
from immutable.ledger.records import Finished, Restored
from immutable.ledger.state import FleetEntry, State
from immutable.model import (
    WHOLE,
    FleetName,
    FleetView,
    LedgerId,
    Outcome,
    SwitchView,
)
from immutable.results import Deployment


def tend(engine: Engine, *, healing: bool) -> None:
    """Do once what a watcher does: finish what a dead deployer left, retire, heal.

    What cannot be done now is told as an event, and left to the next round.
    """
    began = engine.host.now()
    try:
        engine, state = load(engine)
        if state.attempt is not None:
            if is_leased(state, engine.host):
                return
            running.take_over(engine, leaving=True)
        running.tidy(engine, searching=state.attempt is not None)
        state = engine.journal.state
        if healing and state.attempt is None and state.live is not None:
            operations.heal(engine, timeout=None)
    except (Refused, BackendError, LedgerError) as exc:
        running.refused(engine, "watch", exc, began=began)


def keep_tending(
    engine: Engine, *, every: timedelta, healing: bool, asked: Stop
) -> None:
    """Tend a service until asked to stop."""
    while not asked.is_set():
        tend(engine, healing=healing)
        host.rest(engine.host, every, asked)


def adopt(engine: Engine, fleet: str | None) -> Deployment:
    """Accept what the switch does, and make it obey this ledger."""
    began = engine.host.now()
    try:
        engine, state = load(engine)
        admitting.check_free(state, leased=is_leased(state, engine.host))
        state = _finished(engine, state, ending=fleet is not None)
        # one reading may be older than what is to be accepted
        engine.host.sleep(engine.switch.capabilities.staleness, engine.stop)
        view = looking.read_switch(engine)
        chosen = _chosen(view, fleet)
        agrees = not admitting.drift(state, view, engine.ledger)
        held = state.live is not None and bool(state.live.frozen)
        if agrees and not held and chosen == (state.live.name if state.live else None):
            return running.nothing_to_do(engine, "adopt", began=began)
        goal = _adopt_goal(engine, state, view, chosen)
        return running.run(engine, goal, running.new_deployment(engine))
    except (Refused, BackendError, LedgerError) as exc:
        return running.refused(engine, "adopt", exc, began=began)


def _finished(engine: Engine, state: State, *, ending: bool) -> State:
    """Finish what a dead deployer left, and return the state without an attempt.

    Where it cannot be finished, somebody who says which fleet is to serve ends it.
    """
    if state.attempt is not None:
        running.take_over(engine)
    state = engine.journal.state
    if state.attempt is None:
        return state
    if not ending:
        raise Contention(
            "an earlier deployment cannot be finished",
            hint="say which fleet is to serve: adopt(service, fleet=…)",
        )
    reason = state.latest.reason if state.latest else None
    live = state.live.name if state.live else None
    ended = Finished(outcome=Outcome.NEEDS_RECOVERY, live=live, reason=reason)
    return engine.journal.append(ended)


def restore(engine: Engine) -> Deployment:
    """Write a lost ledger anew, from tags and the switch. Nothing else is changed."""
    began = engine.host.now()
    try:
        engine, state = load(engine)
        return _restored(engine, *_lost(engine, state))
    except (Refused, BackendError, LedgerError) as exc:
        return running.refused(engine, "restore_ledger", exc, began=began)


def _lost(engine: Engine, state: State) -> tuple[SwitchView, LedgerId]:
    """Return the switch and the ledger that it obeys, which is to be lost."""
    if state.sequence:
        raise Refused(
            f"the ledger has {state.sequence} records: it is not lost",
            hint="adopt() accepts what the switch does",
        )
    view = looking.read_switch(engine)
    if view.owner is None:
        raise Refused("the switch obeys no ledger: there is nothing to restore")
    if engine.ledger not in {None, view.owner}:
        raise Refused(f"the ledger is {engine.ledger}, the switch obeys {view.owner}")
    return view, view.owner


def _restored(engine: Engine, view: SwitchView, ledger: LedgerId) -> Deployment:
    began = engine.host.now()
    fleets = finding.tagged(engine, ledger)
    numbers = [int(dict(fleet.tags).get("immutable-release", 0)) for fleet in fleets]
    live = _serving(engine, view, fleets)
    strays = tuple(f.name for f in fleets if live is None or f.name != live.name)
    if engine.ledger is None:
        engine.journal.restore_identity(ledger)
    following = max(numbers, default=0) + 1
    engine.journal.append(Restored(live=live, next_release=following, strays=strays))
    return Deployment(
        service=engine.service.name,
        verb="restore_ledger",
        outcome=Outcome.LIVE,
        release=live.release if live else None,
        leftovers=tuple(f"fleet {name}" for name in strays),
        warnings=_advice(view, live, strays),
        began_at=began,
        took=engine.host.now() - began,
    )


def _serving(
    engine: Engine, view: SwitchView, fleets: tuple[FleetView, ...]
) -> FleetEntry | None:
    """Return the fleet that serves; where two share the traffic, that of the old release."""
    served = {name for name, _ in view.routing.weights}
    entries = [finding.entry_of(engine, f) for f in fleets if f.name in served]
    if len(entries) != len(served):
        known = {entry.name for entry in entries}
        raise Refused(
            f"traffic goes to {', '.join(sorted(served - known))}, which cannot be found",
            hint="check the backend's address",
        )
    return min(entries, key=lambda entry: entry.release.number, default=None)


def _advice(
    view: SwitchView, live: FleetEntry | None, strays: tuple[FleetName, ...]
) -> tuple[str, ...]:
    split = len(view.routing.weights) > 1
    held = live is not None and live.frozen is not None
    return (
        *(("what serves is frozen: heal(service) lets it go",) if held else ()),
        *(
            ("traffic is split: adopt(service, fleet=…) makes it whole",)
            if split
            else ()
        ),
        *(("history and the image of a rollback are lost",)),
        *(("sweep(service) retires what is left over",) if strays else ()),
    )


def _chosen(view: SwitchView, fleet: str | None) -> FleetName | None:
    served = [name for name, _ in view.routing.weights]
    if fleet is not None:
        if view.attachment_of(FleetName(fleet)) is None:
            known = ", ".join(a.fleet for a in view.attachments) or "none"
            raise Refused(f"the switch has no fleet {fleet!r}", hint=f"it has: {known}")
        return FleetName(fleet)
    if len(served) > 1:
        raise Refused(
            f"traffic is split between {' and '.join(served)}",
            hint="say which is to serve: adopt(service, fleet=…)",
        )
    return served[0] if served else None


def _adopt_goal(
    engine: Engine, state: State, view: SwitchView, fleet: FleetName | None
) -> AdoptGoal:
    entry = state.fleet(fleet) if fleet else None
    if fleet and entry is None:
        found = looking.observe(engine, fleet)
        if found is None:
            raise Refused(f"fleet {fleet} serves, but {engine.backend.name} lacks it")
        entry = finding.entry_of(engine, found)
    if entry is not None and view.routing.weight_of(entry.name) != WHOLE:
        admitting.check_no_tombstone(entry)
    return AdoptGoal(
        fleet=fleet,
        release=entry.release if entry else None,
        size=entry.size if entry else 0,
        keep_warm=engine.service.strategy.keep_warm,
        ready_timeout=engine.service.ready_timeout,
    )
