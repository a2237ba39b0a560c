"""One instance of an image, off production and away from the switch, and then none.

It carries its service's tags, and a lease that names it is written before it exists, so
that `sweep` finds what a killed process leaves.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from datetime import timedelta

import attrs

from immutable.capabilities import Need
from immutable.deploying import looking
from immutable.deploying.clearing import end_lease, lease
from immutable.deploying.engine import Engine
from immutable.deploying.entering import load
from immutable.deploying.rules import POLL
from immutable.deploying.view import spec_of
from immutable.errors import Cancelled, ImmutableError, NotReady
from immutable.ledger.state import FleetEntry, FleetStatus
from immutable.model import (
    DeploymentId,
    FleetName,
    FleetSpec,
    HealthCheck,
    Image,
    Instance,
    InstanceState,
    Release,
    ReleaseNumber,
)
from immutable.names import fleet_name, token_of

ROLE = "proof"
"""What the tags of such an instance say that it is."""
_SLOW = timedelta(minutes=10)


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
    engine = attrs.evolve(engine, ledger=engine.journal.found_identity())
    id_ = DeploymentId(engine.host.unique()[:16])
    spec = _spec(engine, image, ReleaseNumber(state.next_release), id_, ttl)
    name = engine.service.name
    lease(engine, spec.name, image.id, engine.host.now() + ttl)
    try:
        engine.guard.admit(image, service=name, deployment=id_)
        need = Need(service=name, new_instances=1, image=image)
        looking.ask(engine, lambda: engine.backend.preflight(need))
        _launch(engine, spec, id_)
        yield _running(engine, spec.name)
    except BaseException as exc:
        _clear_after(exc, engine, spec.name, id_)
        raise
    _clear(engine, spec.name, id_)


def _clear_after(
    exc: BaseException, engine: Engine, fleet: FleetName, id_: DeploymentId
) -> None:
    """Take everything away; what cannot be is said beside the error, not instead of it."""
    try:
        _clear(engine, fleet, id_)
    except ImmutableError as left:
        exc.add_note(f"{fleet} is left over, sweep() takes it away: {left}")


def _spec(
    engine: Engine,
    image: Image,
    number: ReleaseNumber,
    id_: DeploymentId,
    ttl: timedelta,
) -> FleetSpec:
    service = engine.service
    release = Release(
        number=number,
        image=image,
        ports=service.ports,
        health=HealthCheck(port=service.port, path=service.health),
    )
    entry = FleetEntry(
        name=fleet_name(service.name, number, id_),
        release=release,
        deployment=id_,
        size=1,
        status=FleetStatus.NEW,
    )
    spec = spec_of(entry, engine.context, size=1, place=None)
    until = engine.host.now() + ttl
    return attrs.evolve(spec, tags=attrs.evolve(spec.tags, role=ROLE, expires_at=until))


def _launch(engine: Engine, spec: FleetSpec, id_: DeploymentId) -> None:
    token = token_of(spec.tags.ledger, id_, "launch", spec.name)
    launch = engine.backend.fleets.launch
    looking.ask(engine, lambda: launch(spec, token=token), limit=_SLOW)


def _clear(engine: Engine, fleet: FleetName, id_: DeploymentId) -> None:
    token = token_of(engine.journal.found_identity(), id_, "retire", fleet)
    retire = engine.backend.fleets.retire
    looking.ask(engine, lambda: retire(fleet, token=token), limit=_SLOW)
    end_lease(engine, fleet)


def _running(engine: Engine, fleet: FleetName) -> Instance:
    until = engine.host.now() + engine.service.ready_timeout
    while engine.host.now() < until:
        seen = looking.observe(engine, fleet)
        for instance in seen.instances if seen else ():
            if instance.state is InstanceState.RUNNING and instance.address:
                return instance
        if engine.stop.is_set():
            raise Cancelled("asked to stop; the instance is taken away")
        engine.host.sleep(POLL, engine.stop)
    raise NotReady(
        f"{fleet} does not run in time", hint="see logs(service), or ready_timeout="
    )
