"""Before anything begins: nobody else at work, nothing unfinished, no drift, and room."""

import attrs

from immutable.capabilities import Need
from immutable.deploying import admitting, looking
from immutable.deploying.engine import Engine
from immutable.deploying.running import take_over
from immutable.errors import Contention, Unsupported
from immutable.host import Host
from immutable.ledger.goals import DeployGoal
from immutable.ledger.state import State
from immutable.model import WHOLE, SwitchView


def enter(engine: Engine) -> tuple[Engine, State, SwitchView]:
    """Load the ledger, finish what a dead deployer left, and compare with the switch.

    Returns:
        The engine with the ledger's identity, the state, and the switch as it was read.

    Raises:
        Contention: another deployer is at work.
        Drift: the switch is not what the ledger says.
        LedgerError, BackendError: one of them cannot be read.
    """
    engine, state = load(engine)
    admitting.check_free(state, leased=is_leased(state, engine.host))
    if state.attempt is not None:
        finished = take_over(engine)
        state = engine.journal.state
        if state.attempt is not None:
            raise Contention(
                f"an earlier {finished.verb} could not be finished: {finished.error}",
                hint="recover() tries again; adopt(service, fleet=…) ends it",
            )
    view = looking.read_switch(engine)
    if admitting.drift(state, view, engine.ledger):
        # one reading may be older than what this ledger wrote last
        engine.host.sleep(engine.switch.capabilities.staleness, engine.stop)
        view = looking.read_switch(engine)
    admitting.check_drift(state, view, engine.ledger)
    return engine, state, view


def load(engine: Engine) -> tuple[Engine, State]:
    """Read the ledger; changes nothing.

    Raises:
        LedgerError: it cannot be read or trusted.
    """
    state = engine.journal.load()
    return attrs.evolve(engine, ledger=engine.journal.identity()), state


def is_leased(state: State, host: Host) -> bool:
    """Return whether a deployer may be at work: its lease holds and it is not known dead."""
    return state.leased(host.now()) and not host.is_dead(state.owner)


def preflight(engine: Engine, state: State, goal: DeployGoal) -> tuple[str, ...]:
    """Check that the goal can be reached, before any effect; return warnings.

    Raises:
        Unsupported: the switch lacks what the goal needs.
        BackendError: the backend says why it cannot be.
    """
    _check_capabilities(engine, goal)
    warnings = looking.ask(engine, engine.switch.preflight)
    need = Need(
        service=engine.service.name,
        new_instances=admitting.new_instances(state, goal),
        image=goal.release.image,
    )
    return (
        *_doubts(engine),
        *warnings,
        *looking.ask(engine, lambda: engine.backend.preflight(need)),
    )


def _check_capabilities(engine: Engine, goal: DeployGoal) -> None:
    partial = any(stage.weight != WHOLE for stage in goal.stages)
    if partial and not engine.switch.capabilities.weighted:
        raise Unsupported(
            "this switch moves all traffic or none (capability: weighted)",
            hint="use BlueGreen",
        )
    if len(goal.release.ports) > 1:
        raise Unsupported(
            f"ports {goal.release.ports}: a switch routes one port",
            hint="give the port that serves",
        )


def _doubts(engine: Engine) -> tuple[str, ...]:
    doubts = []
    if engine.validators and not engine.switch.capabilities.preview:
        doubts.append(
            "this switch has no preview route: validators first run on live traffic"
        )
    local = engine.service.ledger is None or str(engine.service.ledger).startswith(
        "sqlite:"
    )
    if engine.backend.capabilities.reachable_elsewhere and local:
        doubts.append("the ledger is on this machine: only it can recover a deployment")
    return tuple(doubts)
