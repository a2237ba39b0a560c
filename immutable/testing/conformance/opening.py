"""Cases of `immutable.protocols.Backend` itself: opening, declaring, and errors."""

import functools
import re
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import timedelta

import attrs

from immutable import registry
from immutable.capabilities import Need
from immutable.errors import ImmutableError, InvalidInput
from immutable.model import Digest, FleetName, HealthCheck, ImageId, digest_of
from immutable.protocols import PROTOCOL_VERSION
from immutable.testing.conformance.case import (
    APPLIES,
    Fit,
    Part,
    Reach,
    Terms,
    not_applicable,
)
from immutable.testing.conformance.suite import case, reopenable, with_groups
from immutable.testing.conformance.trial import Trial

_EFFECTS = frozenset(
    {"socket.connect", "socket.bind", "subprocess.Popen", "os.system", "os.mkdir"}
)
_watching: list[tuple[int, list[str]]] = []
_SCHEME = re.compile(r"[a-z][a-z0-9+.-]*")


def by_url(terms: Terms) -> Fit:
    """Apply where the backend is named by a URL."""
    if isinstance(terms.subject.backend, str):
        return APPLIES
    return not_applicable("the subject names no URL")


@case(
    Part.OPENING,
    "a backend says what it is",
    "Backend: its protocol_version, the scheme it answers to, and its capabilities",
    fit=with_groups,
)
def says_what_it_is(t: Trial) -> None:
    """Ask for version and name."""
    version, name = t.backend.protocol_version, t.backend.name
    t.expect(version == PROTOCOL_VERSION, f"protocol {PROTOCOL_VERSION}", version)
    t.expect(bool(_SCHEME.fullmatch(name)), "a URL scheme for a name", name)


@case(
    Part.OPENING,
    "capabilities do not change",
    "capabilities: return what this can do; the same at every call",
    reach=Reach.OBJECTS,
    fit=with_groups,
)
def declares_once(t: Trial) -> None:
    """Ask before and after there is a fleet, and ask other objects."""
    spec = t.launch(t.spec(1))
    t.attach(spec.name)
    declared = {t.can, t.backend.capabilities, t.reopened().capabilities}
    t.expect(len(declared) == 1, "one set of capabilities", declared)
    switches = {
        t.switches,
        t.switch.capabilities,
        t.open_switch(t.fresh_service()).capabilities,
    }
    t.expect(len(switches) == 1, "one set of the switch's capabilities", switches)


@case(
    Part.OPENING,
    "opening a backend touches nothing",
    "Backend: opening one does no I/O",
    fit=reopenable,
)
def opens_quietly(t: Trial) -> None:
    """Open it once more, and watch for connections, programs and directories."""
    service = t.fresh_service()
    address = t.opened.address(service)
    with _watched() as seen:
        t.reopened()
        t.opened.open_at(address, service)
    t.expect(not seen, "no connection, no program, no directory", seen)


@case(
    Part.OPENING,
    "an option that nobody reads is refused",
    "OpenBackend: parse the URL, raise InvalidInput, do no I/O",
    fit=by_url,
)
def refuses_strange_options(t: Trial) -> None:
    """Open the backend's URL with an option that it cannot know."""
    url = str(t.subject.backend)
    strange = f"{url}{'&' if '?' in url else '?'}no-such-option=1"
    t.refused(
        lambda: registry.open_backend(strange),
        InvalidInput,
        what="an unknown option",
    )


@case(
    Part.OPENING,
    "preflight looks and touches nothing",
    "Backend.preflight: return warnings, one line each. No effect",
    fit=with_groups,
)
def checks_first(t: Trial) -> None:
    """Ask whether two instances would fit."""
    need = Need(service=t.service, new_instances=t.subject.size, image=t.usual)
    warnings = t.backend.preflight(need)
    t.expect(
        tuple(line for w in warnings for line in w.splitlines()) == warnings,
        "a tuple of lines",
        warnings,
    )
    listed = t.backend.fleets.list(service=t.service, ledger=t.ledger)
    t.expect(listed == (), "no fleets", listed)


@case(
    Part.OPENING,
    "errors are of this library's tree",
    "Errors are those of immutable.errors, with the provider's as cause",
    reach=Reach.OBJECTS,
    fit=with_groups,
)
def translates_errors(t: Trial) -> None:
    """Ask for what cannot be: each call answers, or raises an `ImmutableError`."""
    for attempt in _impossible(t):
        try:
            attempt()
        except ImmutableError as exc:
            t.expect(bool(exc.message), "an error that says what happened", repr(exc))


def _impossible(t: Trial) -> tuple[Callable[[], object], ...]:
    nobody, nothing = FleetName(f"{t.service}-v1-ffffff"), t.instance_id("nothing")
    lost = attrs.evolve(
        t.usual, id=ImageId("no-such-image"), digest=Digest(digest_of("no such image"))
    )
    fleets, switch = t.backend.fleets, t.switch
    check = HealthCheck(port=t.subject.port, path=t.subject.health)
    return (
        lambda: t.backend.images.find(ImageId("../../etc/passwd\0")),
        lambda: t.backend.images.delete(ImageId("no-such-image")),
        lambda: t.backend.logs.read(nobody, tail_bytes=1),
        lambda: fleets.observe(FleetName("")),
        lambda: fleets.retire(nobody, token=t.token("retire")),
        lambda: fleets.resize(t.spec(1), remove=(nothing,), token=t.token("resize")),
        lambda: fleets.launch(t.spec(1, image=lost, number=2), token=t.token("lost")),
        lambda: switch.health(nobody),
        lambda: switch.sessions(nobody),
        lambda: switch.join(nobody, (), drain=timedelta()),
        lambda: switch.attach(nobody, health=check, owner=t.ledger, expected=t.strange),
    )


@contextmanager
def _watched() -> Iterator[list[str]]:
    """Yield a list of what this thread does to the world meanwhile."""
    seen: list[str] = []
    _hook()
    _watching.append((threading.get_ident(), seen))
    try:
        yield seen
    finally:
        _watching.remove((threading.get_ident(), seen))


@functools.cache
def _hook() -> None:
    """Hear of events, from the first watch to the end of the process."""
    sys.addaudithook(_notice)


def _notice(event: str, arguments: tuple[object, ...]) -> None:
    if not _watching or event not in _EFFECTS:
        return
    for thread, seen in _watching:
        if thread == threading.get_ident():
            seen.append(f"{event}{arguments[:2]}")
