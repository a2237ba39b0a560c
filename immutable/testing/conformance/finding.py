"""Cases of `immutable.protocols.Fleets`: what is seen of fleets."""

from immutable.model import (
    FleetName,
    LedgerId,
    ServiceName,
)
from immutable.testing.conformance.case import Part, Reach, not_applicable
from immutable.testing.conformance.suite import case, with_groups
from immutable.testing.conformance.trial import Trial, alive, ids_of


@case(
    Part.FLEETS,
    "an unknown fleet is observed as None",
    "Fleets.observe: None when nothing of it exists",
    fit=with_groups,
)
def unknown_is_none(t: Trial) -> None:
    """Observe a fleet that never was."""
    seen = t.backend.fleets.observe(t.spec().name)
    t.expect(seen is None, "None", seen)


@case(
    Part.FLEETS,
    "tags are exact, and found without the ledger",
    "Tags: everything that is created carries the given tags, readable without the ledger",
    reach=Reach.OBJECTS,
    fit=with_groups,
)
def carries_tags(t: Trial) -> None:
    """List by service and ledger, and compare the tags."""
    spec = t.launch(t.spec())
    wanted = set(spec.tags.to_mapping().items())
    listed = t.seen(
        lambda: t.backend.fleets.list(service=t.service, ledger=t.ledger),
        lambda views: [v.name for v in views] == [spec.name],
        f"one fleet, {spec.name}",
    )
    t.expect(
        wanted <= set(listed[0].tags), f"the tags {sorted(wanted)}", listed[0].tags
    )
    observed = t.observed(spec.name, lambda _: True, "the fleet")
    t.expect(wanted <= set(observed.tags), "the same tags when observed", observed.tags)


@case(
    Part.FLEETS,
    "no two fleets share an instance",
    "Fleets.observe: return the fleet as it is; ids are its own",
    reach=Reach.OBJECTS,
    fit=with_groups,
)
def keeps_apart(t: Trial) -> None:
    """Launch two fleets and compare what is seen of each."""
    one = t.launch(t.spec(2))
    two = t.launch(t.spec(1, number=2), t.token("two"))
    shared = ids_of(t.sized(one.name, 2)) & ids_of(t.sized(two.name, 1))
    t.expect(not shared, "no instance in both", shared)


@case(
    Part.FLEETS,
    "only fleets with both tags are listed",
    "Fleets.list: return every fleet with these two tags and no other, by name",
    reach=Reach.OBJECTS,
    fit=with_groups,
)
def lists_its_own(t: Trial) -> None:
    """List beside fleets of another service and of another ledger."""
    names = sorted(t.launch(t.spec(1, number=n), t.token(str(n))).name for n in (1, 2))
    other = t.launch(t.spec(1, service=t.fresh_service()), t.token("neighbour"))
    strange = t.launch(t.spec(1, number=3, ledger=t.fresh_ledger()), t.token("ledger"))
    _listed(t, t.service, t.ledger, names)
    _listed(t, other.tags.service, t.ledger, [other.name])
    _listed(t, t.service, strange.tags.ledger, [strange.name])
    _listed(t, other.tags.service, strange.tags.ledger, [])


def _listed(
    t: Trial, service: ServiceName, ledger: LedgerId, wanted: list[FleetName]
) -> None:
    t.seen(
        lambda: [v.name for v in t.backend.fleets.list(service=service, ledger=ledger)],
        lambda found: found == wanted,
        f"{wanted} for service {service} and ledger {ledger}",
    )


@case(
    Part.FLEETS,
    "a neighbour is left alone",
    "Only what carries this service's and this ledger's tags is ever touched",
    reach=Reach.OBJECTS,
    fit=with_groups,
)
def leaves_neighbours_alone(t: Trial) -> None:
    """Retire a fleet beside another release's and another service's."""
    spec = t.launch(t.spec(1))
    near = t.launch(t.spec(1, number=2), t.token("near"))
    far = t.launch(t.spec(1, service=t.fresh_service()), t.token("far"))
    before = [ids_of(t.sized(fleet.name, 1)) for fleet in (near, far)]
    t.retire(spec.name)
    after = [ids_of(t.sized(fleet.name, 1)) for fleet in (near, far)]
    t.expect(before == after, f"both as they were: {before}", after)


@case(
    Part.FLEETS,
    "what has changed is seen in time",
    "Capabilities.staleness: how old a reading may be",
    reach=Reach.OBJECTS,
    fit=with_groups,
)
def keeps_up(t: Trial) -> None:
    """Wait as long as readings may be old, then read once."""
    spec = t.launch(t.spec(1))
    t.pause(t.can.staleness)
    view = t.backend.fleets.observe(spec.name)
    t.expect(alive(view) == 1, "the fleet that was launched", view)
    listed = t.backend.fleets.list(service=t.service, ledger=t.ledger)
    t.expect([v.name for v in listed] == [spec.name], "the fleet, listed", listed)
    t.retire(spec.name)
    t.pause(t.can.staleness)
    view = t.backend.fleets.observe(spec.name)
    t.expect(view is None, "None, once it is retired", view)


@case(
    Part.FLEETS,
    "big fleets are seen whole",
    "Fleets.observe: every instance, each once; costs provider calls by pages",
    reach=Reach.OBJECTS,
    fit=lambda terms: (
        with_groups(terms)
        if terms.subject.pages
        else not_applicable("the subject says that there are no pages")
    ),
)
def sees_every_page(t: Trial) -> None:
    """Launch more than one page of instances, and count."""
    spec = t.launch(t.spec(t.subject.pages))
    view = t.observed(
        spec.name, lambda v: alive(v) >= spec.size, f"{spec.size} instances"
    )
    ids = [i.id for i in view.instances]
    t.expect(
        len(ids) == len(set(ids)) == spec.size, f"{spec.size} different ids", len(ids)
    )
    (listed,) = t.backend.fleets.list(service=t.service, ledger=t.ledger)
    t.expect(
        len(listed.instances) == spec.size, f"{spec.size} listed", len(listed.instances)
    )
