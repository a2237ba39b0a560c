"""What deployers are killed at, and what production may be on afterwards."""

import enum
from collections.abc import Callable

import immutable
from immutable.results import Deployment
from proofs.aws.site import SIZE, Site


class Verb(enum.StrEnum):
    """A call on a service, in a state of it from which it always does the same."""

    FIRST = "first"
    """The first deployment of a service."""
    DEPLOY = "deploy"
    REJECT = "reject"
    """Deploy a release that the validator refuses."""
    ROLLBACK = "rollback"
    """To a fleet that is warm."""
    GROW = "grow"
    SHRINK = "shrink"
    HEAL = "heal"
    """After an instance was terminated behind the library's back."""
    DESTROY = "destroy"

    @property
    def is_fresh(self) -> bool:
        """Return whether it needs a service of its own, which then ends."""
        return self in {Verb.FIRST, Verb.DESTROY}

    @property
    def moves(self) -> bool:
        """Return whether production is on another release afterwards."""
        return self in {Verb.FIRST, Verb.DEPLOY, Verb.ROLLBACK, Verb.DESTROY}


def call(verb: Verb, site: Site, image: str) -> Deployment:
    """Make the call."""
    service = site.service()
    calls: dict[Verb, Callable[[], Deployment]] = {
        Verb.FIRST: lambda: immutable.deploy(service, image),
        Verb.DEPLOY: lambda: immutable.deploy(service, image),
        Verb.REJECT: lambda: immutable.deploy(service, image),
        Verb.ROLLBACK: lambda: immutable.rollback(service),
        Verb.GROW: lambda: immutable.scale(service, SIZE + 1),
        Verb.SHRINK: lambda: immutable.scale(service, SIZE),
        Verb.HEAL: lambda: immutable.heal(service),
        Verb.DESTROY: lambda: immutable.destroy(service),
    }
    return calls[verb]()
