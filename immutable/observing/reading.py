"""How a service stands, what happened to it, and what its instances said."""

from collections.abc import Iterable, Iterator

import attrs

from immutable.deploying import admitting, finding, looking
from immutable.deploying.engine import Engine
from immutable.deploying.entering import is_leased, load
from immutable.errors import UnknownRelease
from immutable.ledger.goals import DeployGoal, TidyGoal
from immutable.ledger.records import Begun, Finished, Record
from immutable.ledger.state import State
from immutable.model import FleetName, InstanceLog, Routing, SwitchView
from immutable.results import FleetStatusLine, HistoryLine, Status

TAIL_BYTES = 1 << 20


def status(engine: Engine) -> Status:
    """Return how the service stands.

    Raises:
        LedgerError, BackendError: the ledger or the switch cannot be read.
    """
    engine, state = load(engine)
    state = finding.sized(engine, state)
    view = looking.read_switch(engine)
    leased = is_leased(state, engine.host)
    deploying = admitting.verb_of(state.attempt.goal) if state.attempt else None
    latest = state.latest
    return Status(
        service=engine.service.name,
        release=state.live.release if state.live else None,
        routing=view.routing,
        fleets=_lines(state, view.routing),
        deploying=deploying,
        interrupted=state.attempt is not None and not leased,
        latest=latest.outcome if latest else None,
        latest_error=latest.reason.message if latest and latest.reason else "",
        drift=_drift(engine, state, view),
    )


def history(engine: Engine) -> tuple[HistoryLine, ...]:
    """Return every deployment that the ledger knows of, oldest first; retirements aside.

    Raises:
        LedgerError: the ledger cannot be read.
    """
    return tuple(_deployments(engine.journal.history()))


def logs(
    engine: Engine, *, release: int | None, instance: str | None, tail_bytes: int
) -> tuple[InstanceLog, ...]:
    """Return what instances said, those that are gone included, in order of fleet and id.

    Raises:
        UnknownRelease: the ledger knows of no fleet of this release.
    """
    fleets = _fleets_of(engine, release)
    found = (
        log
        for fleet in fleets
        for log in engine.backend.logs.read(fleet, tail_bytes=tail_bytes)
    )
    return tuple(log for log in found if instance is None or log.instance == instance)


def _lines(state: State, routing: Routing) -> tuple[FleetStatusLine, ...]:
    return tuple(
        FleetStatusLine(
            name=entry.name,
            release=entry.release.number,
            role=entry.status,
            size=entry.size,
            weight=routing.weight_of(entry.name),
            retire_at=entry.retire_at,
        )
        for entry in state.fleets
    )


def _drift(engine: Engine, state: State, view: SwitchView) -> str | None:
    # while a deployment runs the switch is ahead of the ledger's last ending
    return None if state.attempt else admitting.drift(state, view, engine.ledger)


def _deployments(records: Iterable[Record]) -> Iterator[HistoryLine]:
    line: HistoryLine | None = None
    for record in records:
        if isinstance(record.entry, Begun):
            line = _line(record, record.entry)
        elif isinstance(record.entry, Finished) and line is not None:
            yield _closed(line, record, record.entry)
            line = None
    if line is not None:
        yield line


def _line(record: Record, begun: Begun) -> HistoryLine | None:
    goal = begun.goal
    if isinstance(goal, TidyGoal) and not goal.closing:
        return None
    return HistoryLine(
        deployment=begun.deployment,
        verb=admitting.verb_of(goal),
        release=goal.release.number if isinstance(goal, DeployGoal) else None,
        fleet=None if isinstance(goal, TidyGoal) else goal.fleet,
        began_at=record.at,
        ended_at=None,
        outcome=None,
    )


def _closed(line: HistoryLine, record: Record, ended: Finished) -> HistoryLine:
    error = ended.reason.message if ended.reason else ""
    return attrs.evolve(line, ended_at=record.at, outcome=ended.outcome, error=error)


def _fleets_of(engine: Engine, release: int | None) -> tuple[FleetName, ...]:
    lines = [line for line in history(engine) if line.fleet is not None]
    chosen = [line for line in lines if release is None or line.release == release]
    if release is not None and not chosen:
        known = sorted({line.release for line in lines if line.release is not None})
        raise UnknownRelease(
            f"the ledger knows no release {release!r}",
            hint=f"it knows {', '.join(f'v{number}' for number in known) or 'none'}",
        )
    return tuple(dict.fromkeys(line.fleet for line in chosen if line.fleet is not None))
