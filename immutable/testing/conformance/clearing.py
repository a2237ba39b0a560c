"""After a case: what was noticed on the way, and that nothing is left."""

import functools

from immutable.model import Routing, ServiceName
from immutable.testing.conformance.broken import Broken, shorten
from immutable.testing.conformance.trial import Trial

_TRANSLATE = "Errors are those of immutable.errors, with the provider's as cause"
_LEFT = "Fleets.retire: then nothing of it is left, and observe returns None"


def inventory(t: Trial, service: ServiceName) -> frozenset[str]:
    """Return the names of everything that exists for a service."""
    if t.subject.inventory is not None:
        return t.subject.inventory(service)
    places = t.open_switch(service).read().attachments
    found = {f"place of {place.fleet}" for place in places}
    if t.terms.backend is not None:
        for ledger in t.services[service]:
            listed = t.backend.fleets.list(service=service, ledger=ledger)
            found |= {i.id for view in listed for i in view.instances}
            found |= {f"fleet {view.name}" for view in listed}
    return frozenset(found)


def finish(t: Trial) -> None:
    """Clear up after a case that passed.

    Raises:
        Broken: something is left, or an error on the way was not translated.
    """
    _complain(t)
    for service in tuple(t.services):
        _clear(t, service)
    for service in tuple(t.services):
        expect_empty(t, service)
    _complain(t)


def give_up(t: Trial) -> None:
    """Clear up after a case that failed, as far as it goes."""
    for service in tuple(t.services):
        try:
            _clear(t, service)
        except Exception as exc:  # noqa: BLE001 - the case's own failure is what matters
            t.notes.append(("left", shorten(str(exc))))


def close(t: Trial) -> None:
    """Let the subject clear away what is not the backend's to clear."""
    for service in tuple(t.services):
        release(t, service)


def release(t: Trial, service: ServiceName) -> None:
    """Be done with a service of which nothing is left."""
    del t.services[service]
    if t.subject.close is not None:
        t.subject.close(service)


def expect_empty(t: Trial, service: ServiceName) -> None:
    """Expect that nothing exists for a service any more.

    Raises:
        Broken: naming what is left.
    """
    try:
        t.seen(lambda: inventory(t, service), lambda found: not found, "nothing left")
    except Broken as exc:
        raise Broken(t.name, _LEFT, expected=exc.expected, seen=exc.seen) from None


def _clear(t: Trial, service: ServiceName) -> None:
    switch = t.open_switch(service)
    view = switch.read()
    owner = view.owner or t.ledger
    if view.routing != Routing():
        t.moved(lambda v: switch.write(Routing(), owner=owner, expected=v), switch)
    for place in view.attachments:
        detach = functools.partial(switch.detach, place.fleet, owner=owner)
        t.moved(lambda v, detach=detach: detach(expected=v), switch)  # type: ignore[misc]  # mypy infers no default
    _clear_machines(t, service)
    if t.terms.backend is None:
        return
    for ledger in t.services[service]:
        for fleet in t.backend.fleets.list(service=service, ledger=ledger):
            t.backend.fleets.retire(fleet.name, token=t.token("clear"))


def _clear_machines(t: Trial, service: ServiceName) -> None:
    if t.subject.machines is None:
        return
    for instance, tags in t.machines.list():
        if ("immutable-service", service) in tags:
            t.machines.destroy(instance.id)


def complaint(t: Trial) -> Broken | None:
    """Return what is to be said of errors that were not translated."""
    if not t.untranslated:
        return None
    call, error = t.untranslated[0]
    expected = f"{call} raises errors of immutable.errors only"
    return Broken(t.name, _TRANSLATE, expected=expected, seen=repr(error))


def _complain(t: Trial) -> None:
    if found := complaint(t):
        raise found from t.untranslated[0][1]
