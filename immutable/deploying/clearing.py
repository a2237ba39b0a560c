"""What trials leave at the switch, and taking it away: also after their process has died."""

import functools
from collections.abc import Callable
from datetime import datetime

from immutable.deploying import looking, operations, running
from immutable.deploying.engine import Engine
from immutable.deploying.entering import load
from immutable.deploying.view import POLL
from immutable.errors import (
    Ambiguous,
    BackendError,
    Conflict,
    Contention,
    LedgerError,
    Refused,
)
from immutable.images.catalogue.guard import check_kept
from immutable.images.catalogue.records import Leased, LeaseEnded
from immutable.images.catalogue.state import Catalogue
from immutable.model import FleetName, ImageId, Outcome, Routing, SwitchView
from immutable.results import Deployment

_TRIES = 5


def sweep(engine: Engine) -> Deployment:
    """Take trials off the preview route, then retire what the ledger does not answer for.

    Whoever is still at one finds it gone, and learns nothing from it.
    """
    began = engine.host.now()
    try:
        if not end_trials(engine):
            # a deployment is open: this finishes it, if its deployer has died
            finished = operations.sweep(engine)
            if finished.outcome is not Outcome.LIVE:
                return finished
            end_trials(engine)
    except (Refused, BackendError, LedgerError) as exc:
        return running.refused(engine, "sweep", exc, began=began)
    return operations.sweep(engine)


def end_trials(engine: Engine) -> bool:
    """Take every trial off the preview route, so that a sweep finds its fleet.

    Returns:
        False where a deployment is open: whoever ends that writes the routing as a whole.

    Raises:
        Contention: somebody else keeps moving the switch.
        BackendError, LedgerError: something cannot be reached.
    """
    trials = _trials(engine)
    if not trials:
        return True
    engine, state = load(engine)
    if state.attempt is not None:
        return False
    for fleet in trials:
        unpreview(engine, fleet)
        end_lease(engine, fleet)
    return True


def lease(engine: Engine, fleet: FleetName, image: ImageId, until: datetime) -> None:
    """Write that a trial needs an image, before anything of it exists.

    Raises:
        Refused: the image is being deleted.
        LedgerError: the ledger cannot be written.
    """

    def decide(now: Catalogue) -> Leased:
        check_kept(now, image)
        return Leased(image=image, holder=_holder(engine, fleet), until=until)

    if engine.guard.shelf is not None:
        engine.guard.shelf.change(decide)


def end_lease(engine: Engine, fleet: FleetName) -> None:
    """Write that nothing is left of a trial, or that a sweep finds the rest."""
    holder = _holder(engine, fleet)

    def decide(now: Catalogue) -> LeaseEnded | None:
        held = next((lease for lease in now.leases if lease.holder == holder), None)
        return LeaseEnded(image=held.image, holder=holder) if held else None

    if engine.guard.shelf is not None:
        engine.guard.shelf.change(decide)


def settle(
    engine: Engine,
    is_so: Callable[[SwitchView], object],
    write: Callable[[SwitchView], None],
) -> None:
    """Write to the switch until it is so; others may write meanwhile.

    Raises:
        Contention: they never stop.
        BackendError: the switch cannot be read or written.
    """
    for _ in range(_TRIES):
        view = looking.read_switch(engine)
        if is_so(view):
            return
        try:
            looking.ask(engine, functools.partial(write, view))
        except (Conflict, Ambiguous):
            engine.host.sleep(POLL, engine.stop)
        else:
            # a reading may be older than what was just written
            engine.host.sleep(engine.switch.capabilities.staleness, engine.stop)
    if not is_so(looking.read_switch(engine)):
        raise Contention(
            "somebody else keeps moving the switch", hint="wait for it to end"
        )


def unpreview(engine: Engine, fleet: FleetName) -> None:
    """Take a fleet off the preview route, if it is there; traffic stays as it is."""
    ledger = engine.ledger

    def write(view: SwitchView) -> None:
        if ledger is not None:
            routing = Routing(weights=view.routing.weights)
            engine.switch.write(routing, owner=ledger, expected=view.version)

    settle(engine, lambda view: view.routing.preview != fleet, write)


def _trials(engine: Engine) -> tuple[FleetName, ...]:
    """Return this service's trials: others' may be in the same ledger, on other switches."""
    prefix, leases = _holder(engine, FleetName("")), engine.guard.load().leases
    return tuple(
        FleetName(lease.holder.removeprefix(prefix))
        for lease in leases
        if lease.holder.startswith(prefix)
    )


def _holder(engine: Engine, fleet: FleetName) -> str:
    return f"trial of {engine.service.name}: {fleet}"
