"""Reading one fact of the world. Nothing here changes anything."""

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
from immutable.deploying.retrying import retrying
from immutable.errors import InvalidInput
from immutable.ledger.state import State
from immutable.model import FleetName, Target, Verdict
from immutable.validators.run import run_validators

EVIDENCE_BYTES = 16_384
"""So much of the end of each log is kept as evidence of a failure."""


def look(engine: Engine, state: State, fact: Fact) -> Value:
    """Return what the world says, repeating the reading where the backend allows it."""
    return retrying(
        lambda: _look(engine, state, fact), host=engine.host, stop=engine.stop
    )


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
    timeout = engine.service.validator_timeout
    return run_validators((*engine.validators, *judges), target, timeout=timeout)


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
