"""Which facts an effect makes stale: those are read again when somebody asks."""

from immutable.deploying.facts import (
    Fact,
    FleetFact,
    HealthFact,
    SessionsFact,
    SwitchFact,
    VerdictsFact,
)
from immutable.deploying.steps import Effect, Launch, Replace, Resize, Retire


def spoilt_by(effect: Effect) -> tuple[Fact, ...]:
    """Return the facts that an applied effect makes stale."""
    fleet = effect.fleet
    of_fleet: tuple[Fact, ...] = (
        HealthFact(fleet=fleet),
        SessionsFact(fleet=fleet),
        VerdictsFact(fleet=fleet, live=False),
        VerdictsFact(fleet=fleet, live=True),
    )
    if isinstance(effect, Launch | Resize | Replace | Retire):
        return (FleetFact(fleet=fleet), *of_fleet)
    return (SwitchFact(), *of_fleet)
