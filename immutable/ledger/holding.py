"""Which fleets are kept from healing and scaling by themselves, as the records say."""

from datetime import datetime

from immutable.deploying.steps import Freeze, Thaw
from immutable.ledger.entries import evolve_fleets, with_attempt
from immutable.ledger.evolving import evolved
from immutable.ledger.state import Attempt, State
from immutable.model import FleetName


def asked(state: State, attempt: Attempt, step: Freeze | Thaw) -> State:
    """Note what is asked for before it is: from here on it may take effect."""
    fleet, frozen = step.fleet, isinstance(step, Freeze)
    state = evolve_fleets(state, (fleet,), frozen=frozen)
    if frozen:
        attempt = evolved(
            attempt,
            froze=(*_without(attempt.froze, fleet), fleet),
            thawing=_without(attempt.thawing, fleet),
            thawed=_without(attempt.thawed, fleet),
        )
    else:
        thawing = (*_without(attempt.thawing, fleet), fleet)
        attempt = evolved(attempt, thawing=thawing)
    return with_attempt(state, attempt)


def answered(state: State, step: Freeze | Thaw, at: datetime) -> State:
    """Note when it was, whatever became of the call: it is looked for again, later."""
    if isinstance(step, Thaw):
        state = evolve_fleets(state, (step.fleet,), thawed_at=at)
    return evolved(state, doubted_at=at)


def thawed(attempt: Attempt, fleet: FleetName) -> Attempt:
    """Return the attempt, which need not let go of a fleet any more."""
    froze = _without(attempt.froze, fleet)
    return evolved(attempt, froze=froze, thawed=(*attempt.thawed, fleet))


def forget(state: State) -> State:
    """Return the state when all has landed: who holds back what serves is a person now."""
    names = (state.live.name,) if state.live else ()
    return evolve_fleets(state, names, frozen=None)


def _without(names: tuple[FleetName, ...], fleet: FleetName) -> tuple[FleetName, ...]:
    return tuple(name for name in names if name != fleet)
