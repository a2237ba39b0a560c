"""Cases of `immutable.protocols.Switch`: routing, owner and versions."""

import functools
from collections.abc import Callable

from immutable.errors import Conflict, ImmutableError, Unsupported
from immutable.model import Routing, SwitchView
from immutable.testing.conformance.case import (
    APPLIES,
    Fit,
    Part,
    Reach,
    Terms,
    not_applicable,
)
from immutable.testing.conformance.suite import case, declares, lacks
from immutable.testing.conformance.trial import Trial
from immutable.workers import Returned

_STALE = (
    "Switch.write: Conflict: the version is no longer expected; nothing was changed"
)
_WRITERS = 4


def comparing(terms: Terms) -> Fit:
    """Apply where a stale routing is refused."""
    if terms.switch and terms.switch.fencing == "blind":
        return not_applicable("a blind switch refuses no stale writer")
    return APPLIES


def comparing_places(terms: Terms) -> Fit:
    """Apply where a stale attach or detach is refused."""
    if terms.switch and terms.switch.fencing == "compare-and-set":
        return APPLIES
    return not_applicable("places are not compared here")


def refused_whole(
    t: Trial, act: Callable[[], object], kind: type[ImmutableError], *, what: str
) -> None:
    """Expect that a call is refused, and that nothing is changed."""
    before = t.switch.read()
    t.refused(act, kind, what=what)
    after = t.switch.read()
    t.expect(after == before, f"{what} changed nothing: {before}", after)


@case(
    Part.SWITCH,
    "a new switch is empty and nobody's",
    "Switch.read: a switch that has never been set up reads as empty, unowned",
)
def begins_empty(t: Trial) -> None:
    """Read a switch that was never written, after a preflight."""
    warnings = t.switch.preflight()
    t.expect(isinstance(warnings, tuple), "a tuple of lines", warnings)
    view = t.switch.read()
    t.expect(view.routing == Routing(), "no routing", view.routing)
    t.expect(view.attachments == (), "no places", view.attachments)
    t.expect(view.owner is None, "no owner", view.owner)


@case(
    Part.SWITCH,
    "clients are told where to connect",
    "Switch.endpoints: where clients connect: production first, then the preview route",
)
def has_endpoints(t: Trial) -> None:
    """Ask twice; the two routes differ."""
    production, preview = t.switch.endpoints()
    again = t.switch.endpoints()
    t.expect(again == (production, preview), "the same at every call", again)
    if t.switches.preview:
        t.expect(production != preview, "two different routes", production)


@case(
    Part.SWITCH,
    "what is written is what is read",
    "Switch.write: set the whole routing in one atomic step and return the new version",
)
def reads_what_is_written(t: Trial) -> None:
    """Write, and read routing, version and owner; write none, and read none."""
    fleet = t.placed("blue")
    for routing in (Routing(weights={fleet: 100}), Routing()):
        version = t.write(routing)
        view = t.switch_seen(_serving(routing), f"the routing {routing}")
        t.expect(view.version == version, f"version {version}", view.version)
        t.expect(view.owner == t.ledger, f"owner {t.ledger}", view.owner)


def _serving(routing: Routing) -> Callable[[SwitchView], bool]:
    return lambda view: view.routing == routing


@case(
    Part.SWITCH,
    "every write moves the version",
    "Switch: it keeps a version that moves with every write that fencing compares",
    fit=comparing,
)
def moves_the_version(t: Trial) -> None:
    """Write the same routing again and again: the routing stays, the version does not."""
    versions = [t.switch.read().version]
    for _ in range(3):
        versions.append(t.write(Routing()))
        t.expect(len(set(versions)) == len(versions), "a new version", versions)


@case(
    Part.SWITCH,
    "writing the same again changes nothing",
    "Absolute values: no operation toggles or increments",
)
def sets_absolutely(t: Trial) -> None:
    """Write a routing twice, and read it once each."""
    fleet = t.placed("blue")
    routing = Routing(weights={fleet: 100})
    for _ in range(2):
        t.write(routing)
        t.switch_seen(_serving(routing), f"the routing {routing}")


@case(
    Part.SWITCH,
    "a stale write is refused",
    _STALE,
    fit=comparing,
)
def refuses_stale_writes(t: Trial) -> None:
    """Write with a version that was read before another write."""
    fleet = t.placed("blue")
    old = t.switch.read().version
    t.write(Routing(weights={fleet: 100}))
    t.switch_seen(lambda v: bool(v.routing.weights), "the routing")
    owner = t.fresh_ledger()
    refused_whole(
        t,
        lambda: t.switch.write(Routing(), owner=owner, expected=old),
        Conflict,
        what="a write that expects an old version",
    )


@case(
    Part.SWITCH,
    "of writers at once one wins",
    _STALE,
    fit=comparing,
)
def lets_one_writer_win(t: Trial) -> None:
    """Let several write at once who have read the same version."""
    fleet = t.placed("blue")
    version = t.write(Routing())
    t.switch_seen(lambda v: v.version == version, f"version {version}")
    owners = [t.fresh_ledger() for _ in range(_WRITERS)]
    routing = Routing(weights={fleet: 100})
    answers = t.together(
        [
            functools.partial(
                t.open_switch().write, routing, owner=owner, expected=version
            )
            for owner in owners
        ]
    )
    won = [o for o, a in zip(owners, answers, strict=True) if isinstance(a, Returned)]
    t.expect(len(won) == 1, "exactly one writer to succeed", f"{len(won)} succeeded")
    t.switch_seen(lambda v: v.owner == won[0], f"owner {won[0]}, who won")


@case(
    Part.SWITCH,
    "a fleet without a place gets no traffic",
    "Switch.write: Conflict: a fleet has no place; nothing was changed",
)
def refuses_strangers(t: Trial) -> None:
    """Route to a fleet that was never attached."""
    routing = Routing(weights={t.named("stranger"): 100})
    refused_whole(t, lambda: t.write(routing), Conflict, what="routing to a stranger")


@case(
    Part.SWITCH,
    "weights are kept",
    "SwitchCapabilities.weighted: weights other than 0 and 100 are honoured",
    fit=declares("switch", "weighted"),
)
def keeps_weights(t: Trial) -> None:
    """Split between two fleets, and read the split."""
    routing = _split(t)
    t.write(routing)
    t.switch_seen(_serving(routing), f"the routing {routing}")


@case(
    Part.SWITCH,
    "weights that are not declared are refused",
    "Switch.write: Unsupported: weights that the capabilities do not declare; "
    "nothing was changed",
    fit=lacks("switch", "weighted"),
)
def refuses_weights(t: Trial) -> None:
    """Split between two fleets."""
    routing = _split(t)
    refused_whole(
        t, lambda: t.write(routing), Unsupported, what="a split of the traffic"
    )


def _split(t: Trial) -> Routing:
    blue, green = t.placed("blue"), t.placed("green")
    return Routing(weights={blue: 75, green: 25})


@case(
    Part.SWITCH,
    "a fleet is previewed without traffic",
    "SwitchCapabilities.preview: a fleet without weight can be reached on the preview route",
    reach=Reach.READY,
    fit=declares("switch", "preview"),
)
def previews(t: Trial) -> None:
    """Preview a fleet, visit it where the subject can, and end the preview."""
    fleet = t.stand("blue")
    t.ready(fleet, t.subject.size)
    routing = Routing(preview=fleet)
    t.write(routing)
    t.switch_seen(_serving(routing), f"the routing {routing}")
    if t.subject.visit is not None:
        visit, preview = t.subject.visit, t.switch.endpoints()[1]
        t.eventually(lambda: visit(preview), bool, "an answer on the preview route")
    t.write(Routing())
    t.switch_seen(_serving(Routing()), "no preview any more")


@case(
    Part.SWITCH,
    "a preview that is not declared is refused",
    "Switch.write: Unsupported: a preview that the capabilities do not declare; "
    "nothing was changed",
    fit=lacks("switch", "preview"),
)
def refuses_previews(t: Trial) -> None:
    """Preview a fleet."""
    routing = Routing(preview=t.placed("blue"))
    refused_whole(t, lambda: t.write(routing), Unsupported, what="a preview")


@case(
    Part.SWITCH,
    "what was written survives",
    "Switch.write: it is served, and would survive a restart of the switch",
    reach=Reach.READY,
)
def survives_reopening(t: Trial) -> None:
    """Open the switch anew and compare."""
    fleet = t.stand("blue")
    routing = Routing(weights={fleet: 100})
    t.write(routing)
    before = t.switch_seen(_serving(routing), f"the routing {routing}")
    other = t.open_switch()
    t.seen(
        other.read, lambda v: v == before, f"the same through another object: {before}"
    )


@case(
    Part.SWITCH,
    "switches of two services are two",
    "Switch: one switch serves one service",
)
def keeps_services_apart(t: Trial) -> None:
    """Write one service's switch and read another's."""
    fleet = t.placed("blue")
    t.write(Routing(weights={fleet: 100}))
    view = t.open_switch(t.fresh_service()).read()
    t.expect(not view.routing.weights and not view.attachments, "an empty switch", view)


@case(
    Part.SWITCH,
    "clients are served by the fleet that has the traffic",
    "SwitchCapabilities.settle: how long after a write older routings may be served",
    reach=Reach.DEPLOYS,
    fit=lambda terms: (
        not_applicable("the subject cannot visit")
        if terms.subject.visit is None or terms.subject.another is None
        else APPLIES
    ),
)
def serves(t: Trial) -> None:
    """Move the traffic between two fleets of different images, and visit."""
    visit = t.subject.visit
    if visit is None:
        return
    said = []
    for number, image in enumerate((t.good, t.another), 1):
        spec = t.spec(1, number=number, image=image)
        t.bring_in(spec, t.token(spec.name))
        t.ready(spec.name, 1)
        t.write(Routing(weights={spec.name: 100}))
        t.pause(t.switches.settle)
        said += [visit(t.production), visit(t.production)]
    good, again, other, still = said
    t.expect(good == again and other == still, "each fleet alone is served", said)
    t.expect(good != other, "another image serves something else", said)
