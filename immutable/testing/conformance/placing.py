"""Cases of `immutable.protocols.Switch`: places, members and their health."""

from datetime import timedelta

from immutable.errors import Conflict
from immutable.model import (
    FleetName,
    Health,
    Member,
    Routing,
)
from immutable.testing.conformance.case import (
    APPLIES,
    Fit,
    Part,
    Reach,
    Terms,
    not_applicable,
)
from immutable.testing.conformance.changing import killable
from immutable.testing.conformance.suite import case, declares, lacks
from immutable.testing.conformance.switches import comparing_places, refused_whole
from immutable.testing.conformance.trial import Trial

_NO_DRAIN = timedelta()
_WATCH = timedelta(seconds=1)


def _members(t: Trial, fleet: FleetName) -> list[Member]:
    return sorted(t.place(fleet).members, key=lambda m: m.instance)


@case(
    Part.SWITCH,
    "a fleet gets its place without traffic",
    "Switch.attach: give a fleet its place, without traffic, and return the version",
)
def attaches(t: Trial) -> None:
    """Attach two fleets, and read their places."""
    blue, green = t.named("blue"), t.named("green")
    places = [t.attach(blue).place, t.attach(green).place]
    t.expect(len(set(places)) == len(places), "two different places", places)
    view = t.switch_seen(lambda v: len(v.attachments) == len(places), "both places")
    t.expect(view.routing == Routing(), "no traffic", view.routing)
    t.expect(view.owner == t.ledger, f"owner {t.ledger}", view.owner)


@case(
    Part.SWITCH,
    "a fleet that has a place keeps it",
    "Switch.attach: again: one that has a place keeps it, with its members",
    reach=Reach.READY,
)
def keeps_places(t: Trial) -> None:
    """Attach twice, the second time with members."""
    fleet = t.stand("blue")
    before = t.place(fleet)
    t.expect(bool(before.members), "members", before)
    t.attach(fleet)
    t.switch_seen(
        lambda v: [a for a in v.attachments if a.fleet == fleet] == [before],
        f"one place, as it was: {before}",
    )


@case(
    Part.SWITCH,
    "a stale attach or detach is refused",
    "Switch.attach: Conflict: the version is no longer expected; nothing was changed",
    fit=comparing_places,
)
def refuses_stale_places(t: Trial) -> None:
    """Attach and detach with a version that was read before another attach."""
    old = t.switch.read().version
    blue, green = t.named("blue"), t.named("green")
    t.attach(blue)
    refused_whole(
        t,
        lambda: t.switch.attach(green, health=t.check, owner=t.ledger, expected=old),
        Conflict,
        what="an attach that expects an old version",
    )
    refused_whole(
        t,
        lambda: t.switch.detach(blue, owner=t.ledger, expected=old),
        Conflict,
        what="a detach that expects an old version",
    )


@case(
    Part.SWITCH,
    "a place is taken away",
    "Switch.detach: take away the fleet's place and return the version; "
    "none there is no error",
)
def detaches(t: Trial) -> None:
    """Detach one of two, twice, and a fleet that never was."""
    blue, green = t.named("blue"), t.named("green")
    t.attach(blue)
    t.attach(green)
    for fleet in (blue, blue, t.named("never")):
        t.moved(
            lambda v, fleet=fleet: t.switch.detach(fleet, owner=t.ledger, expected=v)  # type: ignore[misc]  # mypy infers no default
        )
        t.switch_seen(
            lambda v: [a.fleet for a in v.attachments] == [green],
            f"only the place of {green}",
        )


@case(
    Part.SWITCH,
    "what has traffic keeps its place",
    "Switch.detach: Conflict: the fleet has weight or is previewed; nothing was changed",
)
def keeps_what_serves(t: Trial) -> None:
    """Detach a fleet with weight, and one that is previewed."""
    fleet = t.placed("blue")
    routings = [Routing(weights={fleet: 100})]
    routings += [Routing(preview=fleet)] if t.switches.preview else []
    for routing in routings:
        t.write(routing)
        t.switch_seen(
            lambda v, wanted=routing: v.routing == wanted,  # type: ignore[misc]  # mypy infers no default
            f"{routing}",
        )
        refused_whole(
            t,
            lambda: t.moved(
                lambda v: t.switch.detach(fleet, owner=t.ledger, expected=v)
            ),
            Conflict,
            what="detaching a fleet that requests can reach",
        )


@case(
    Part.SWITCH,
    "members are exactly those that joined",
    "Switch.join: make the attachment's members exactly these",
    reach=Reach.READY,
)
def joins_exactly(t: Trial) -> None:
    """Join two, the same two again, one of them, both, and none."""
    fleet = t.stand("blue", 2)
    both = tuple(_members(t, fleet))
    for members in (both, both[1:], both, ()):
        t.join(fleet, members)
        probed = sorted(p.instance for p in t.switch.health(fleet))
        wanted = [m.instance for m in members]
        t.expect(probed == wanted, f"a probe for each of {wanted}", probed)


@case(
    Part.SWITCH,
    "members that stay are not disturbed",
    "Switch.join: those that stay are not disturbed",
    reach=Reach.READY,
)
def leaves_members_alone(t: Trial) -> None:
    """Let one of two ready members leave: the other is ready all along."""
    fleet = t.stand("blue", 2)
    both = _members(t, fleet)
    t.ready(fleet, len(both))
    t.switch.join(fleet, (both[0],), drain=_NO_DRAIN)
    probes = [p for p in t.switch.health(fleet) if p.instance == both[0].instance]
    t.expect(
        [p.health for p in probes] == [Health.READY],
        f"{both[0].instance} ready",
        probes,
    )


@case(
    Part.SWITCH,
    "nobody joins without a place",
    "Switch.join: Conflict: the fleet has no place here (any more)",
)
def refuses_homeless_members(t: Trial) -> None:
    """Join members to a fleet that has no place, and read its health."""
    fleet = t.named("never")
    member = Member(
        instance=t.instance_id("never"), address="127.0.0.1", port=t.subject.port
    )
    t.refused(
        lambda: t.switch.join(fleet, (member,), drain=_NO_DRAIN),
        Conflict,
        what="joining a fleet without a place",
    )
    seen = t.switch.health(fleet)
    t.expect(seen == (), "no probes for a fleet without a place", seen)


@case(
    Part.SWITCH,
    "members become ready",
    "Switch.health: one probe for each member, by the switch's own latest passed check",
    reach=Reach.READY,
)
def becomes_ready(t: Trial) -> None:
    """Wait for every member's probe to pass; until then there is one for each."""
    fleet = t.stand("blue", 2)
    ids = [m.instance for m in _members(t, fleet)]
    probed = sorted(p.instance for p in t.switch.health(fleet))
    t.expect(probed == ids, f"one probe for each of {ids}", probed)
    t.ready(fleet, len(ids))


def sick(terms: Terms) -> Fit:
    """Apply where some instance never answers."""
    if terms.subject.broken is None or terms.backend is None:
        return not_applicable("the subject names no broken image")
    return APPLIES


@case(
    Part.SWITCH,
    "what does not answer is never ready",
    "Switch.join: members count as ready only after a probe passed",
    reach=Reach.READY,
    fit=sick,
)
def is_never_ready(t: Trial) -> None:
    """Join an instance that does not answer, and watch."""
    spec = t.spec(1, image=t.broken_image)
    t.bring_in(spec)
    until = t.here.now() + _WATCH
    while t.here.now() < until:
        probes = t.switch.health(spec.name)
        ready = [p for p in probes if p.health is Health.READY]
        t.expect(not ready, "UNKNOWN or UNREADY", ready)
        t.pause(_WATCH / 20)


@case(
    Part.SWITCH,
    "a member that dies is not ready any more",
    "Switch.health: by the switch's own latest check, not by an earlier one",
    reach=Reach.READY,
    fit=killable,
)
def notices_death(t: Trial) -> None:
    """Let one of two ready members die."""
    fleet = t.stand("blue", 2)
    dying, staying = _members(t, fleet)
    t.ready(fleet, 2)
    t.kill(dying.instance)
    t.eventually(
        lambda: t.switch.health(fleet),
        lambda probes: (
            [p.instance for p in probes if p.health is Health.READY]
            == [staying.instance]
        ),
        f"{dying.instance} not ready any more, {staying.instance} ready",
    )


@case(
    Part.SWITCH,
    "sessions are counted",
    "SwitchCapabilities.counts_sessions: Switch.sessions returns a number, not None",
    fit=declares("switch", "counts_sessions"),
)
def counts_sessions(t: Trial) -> None:
    """Ask for a fleet that nobody uses."""
    fleet = t.placed("blue")
    seen = t.switch.sessions(fleet)
    t.expect(seen == 0, "0 sessions of a fleet that nobody uses", seen)


@case(
    Part.SWITCH,
    "sessions that are not counted are unknown",
    "Switch.sessions: None: unknown",
    fit=lacks("switch", "counts_sessions"),
)
def counts_nothing(t: Trial) -> None:
    """Ask where nothing is counted."""
    fleet = t.placed("blue")
    seen = t.switch.sessions(fleet)
    t.expect(seen is None, "None", seen)
