"""One instance of an image, off production and away from the switch, and then none."""

from collections.abc import Iterator
from contextlib import contextmanager
from datetime import timedelta

import attrs

from immutable.deploying import looking
from immutable.deploying.aside import Aside
from immutable.deploying.engine import Engine
from immutable.deploying.entering import load
from immutable.errors import ImmutableError, NotReady
from immutable.model import (
    DeploymentId,
    HealthCheck,
    Image,
    Instance,
    InstanceState,
    Release,
    ReleaseNumber,
)
from immutable.service import Service

ROLE = "proof"
"""What the tags of such an instance say that it is."""


@contextmanager
def booted(engine: Engine, image: Image, *, ttl: timedelta) -> Iterator[Instance]:
    """Launch one instance of an image, yield it when it runs, and destroy it.

    It runs as the provider says; what it serves is for those who asked to find out.

    Args:
        engine: of the service whose ports and tags it gets.
        image: what it is launched from.
        ttl: after this its tags say that it is over.

    Raises:
        NotReady: it does not run within the service's ``ready_timeout``.
        Refused: the image is revoked, or is being deleted.
        BackendError, LedgerError: something cannot be reached, or there is no room.
        Cancelled: the caller asked to stop; it is taken away.
    """
    engine, state = load(engine)
    ledger = engine.journal.found_identity()
    aside = Aside(
        engine=attrs.evolve(engine, ledger=ledger),
        ledger=ledger,
        release=_release(engine.service, image, ReleaseNumber(state.next_release)),
        role=ROLE,
        until=engine.host.now() + ttl,
        id=DeploymentId(engine.host.unique()[:16]),
    )
    aside.reserve()
    try:
        aside.admit()
        aside.launch()
        yield _running(aside)
    except BaseException as exc:
        _clear_after(exc, aside)
        raise
    aside.clear()


def _release(service: Service, image: Image, number: ReleaseNumber) -> Release:
    return Release(
        number=number,
        image=image,
        ports=service.ports,
        health=HealthCheck(port=service.port, path=service.health),
    )


def _clear_after(exc: BaseException, aside: Aside) -> None:
    """Take everything away; what cannot be is said beside the error, not instead of it."""
    try:
        aside.clear()
    except ImmutableError as left:
        exc.add_note(f"{aside.name} is left over, sweep() takes it away: {left}")


def _running(aside: Aside) -> Instance:
    def seen() -> Instance | None:
        view = looking.observe(aside.engine, aside.name)
        up = (i for i in (view.instances if view else ()) if i.address)
        return next((i for i in up if i.state is InstanceState.RUNNING), None)

    if (found := aside.wait(seen)) is not None:
        return found
    raise NotReady(
        f"{aside.name} does not run in time",
        hint="see logs(service), or ready_timeout=",
    )
