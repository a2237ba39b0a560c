"""Reading one fact of the world. Nothing here changes anything."""

import functools
from collections.abc import Callable
from datetime import timedelta
from typing import TypeVar

from immutable.deploying.engine import Engine
from immutable.deploying.facts import (
    EvidenceFact,
    Fact,
    FleetFact,
    HealthFact,
    SessionsFact,
    SwitchFact,
    Value,
    VerdictsFact,
)
from immutable.durations import spell
from immutable.errors import InvalidInput, Unavailable
from immutable.judging import Target, Verdict
from immutable.ledger.state import State
from immutable.model import FleetName, FleetView, SwitchView
from immutable.retrying import retrying
from immutable.validators.run import run_validators
from immutable.workers import Raised, Returned

_T = TypeVar("_T")
PATIENCE = timedelta(seconds=60)
"""How long a reading may take."""
EVIDENCE_BYTES = 16_384
"""So much of the end of each log is kept as evidence of a failure."""


def look(engine: Engine, state: State, fact: Fact) -> Value:
    """Return what the world says, repeating the reading where the backend allows it."""
    limit = PATIENCE
    if isinstance(fact, VerdictsFact):
        limit += engine.service.validator_timeout
    return ask(engine, functools.partial(_look, engine, state, fact), limit=limit)


def ask(engine: Engine, call: Callable[[], _T], *, limit: timedelta = PATIENCE) -> _T:
    """Return what a reading returns: bounded, and repeated where the backend allows it."""
    return retrying(
        lambda: _bounded(engine, call, limit), host=engine.host, stop=engine.stop
    )


def read_switch(engine: Engine) -> SwitchView:
    """Return how the switch routes now."""
    return ask(engine, engine.switch.read)


def observe(engine: Engine, fleet: FleetName) -> FleetView | None:
    """Return a fleet as it is now, or None when nothing of it exists."""
    return ask(engine, functools.partial(engine.backend.fleets.observe, fleet))


def _bounded(engine: Engine, call: Callable[[], _T], limit: timedelta) -> _T:
    match engine.host.run([call], within=limit)[0]:
        case Returned(value):
            return value
        case Raised(error):
            raise error
        case None:
            raise Unavailable(f"no answer within {spell(limit)}", operation="read")


def _look(engine: Engine, state: State, fact: Fact) -> Value:
    match fact:
        case SwitchFact():
            return engine.switch.read()
        case FleetFact(fleet=fleet):
            return engine.backend.fleets.observe(fleet)
        case HealthFact(fleet=fleet):
            return engine.switch.health(fleet)
        case SessionsFact(fleet=fleet):
            return engine.switch.sessions(fleet)
        case VerdictsFact(fleet=fleet, live=live):
            return _judge(engine, state, fleet, live=live)
        case EvidenceFact(fleet=fleet):
            return engine.backend.logs.read(fleet, tail_bytes=EVIDENCE_BYTES)


def _judge(
    engine: Engine, state: State, fleet: FleetName, *, live: bool
) -> tuple[Verdict, ...]:
    target = _target(engine, state, fleet, live=live)
    judges = (engine.judge,) if live and engine.judge is not None else ()
    return run_validators(
        (*engine.validators, *judges),
        target,
        timeout=engine.service.validator_timeout,
        here=engine.host,
    )


def _target(engine: Engine, state: State, fleet: FleetName, *, live: bool) -> Target:
    entry = state.fleet(fleet)
    if entry is None:
        raise InvalidInput(f"the ledger knows no fleet {fleet}")
    production, preview = engine.switch.endpoints()
    view = engine.backend.fleets.observe(fleet)
    return Target(
        endpoint=production if live else preview,
        release=entry.release,
        fleet=fleet,
        instances=view.instances if view else (),
        live=live,
        port=entry.release.health.port,
    )
