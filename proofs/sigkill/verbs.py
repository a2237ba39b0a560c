"""What deployers are killed at."""

import enum
from collections.abc import Callable

import immutable
from immutable.model import Image, Outcome
from immutable.results import Deployment

WELL, SICK = "well", "sick"


class Verb(enum.StrEnum):
    """A call on the service, in a state of it from which it always does the same."""

    DEPLOY = "deploy"
    REJECT = "reject"
    """Deploy a release that the validator refuses."""
    ROLLBACK = "rollback"
    """To a fleet that is warm."""
    GROW = "grow"
    SHRINK = "shrink"
    HEAL = "heal"
    RECOVER = "recover"

    @property
    def right(self) -> Outcome:
        """Return how it ends when nobody is killed."""
        return Outcome.ROLLED_BACK if self is Verb.REJECT else Outcome.LIVE

    @property
    def moves(self) -> bool:
        """Return whether production is to be on another release afterwards."""
        return self in {Verb.DEPLOY, Verb.ROLLBACK}


def call(verb: Verb, service: immutable.Service, image: Image, mark: str) -> Deployment:
    """Make the call; a release that it makes carries the mark in its configuration."""
    calls: dict[Verb, Callable[[], Deployment]] = {
        Verb.DEPLOY: lambda: _deploy(service, image, mark, WELL),
        Verb.REJECT: lambda: _deploy(service, image, mark, SICK),
        Verb.ROLLBACK: lambda: immutable.rollback(service),
        Verb.GROW: lambda: immutable.scale(service, service.size + 1),
        Verb.SHRINK: lambda: immutable.scale(service, service.size),
        Verb.HEAL: lambda: immutable.heal(service),
        Verb.RECOVER: lambda: immutable.recover(service),
    }
    return calls[verb]()


def _deploy(
    service: immutable.Service, image: Image, mark: str, mood: str
) -> Deployment:
    return immutable.deploy(service, image, config={"mark": mark, "mood": mood})
