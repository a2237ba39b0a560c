"""Cases of `immutable.protocols.Fleets`: launching, finding and retiring."""

from datetime import timedelta

import attrs

from immutable.model import (
    DeploymentId,
    FleetName,
    FleetView,
    InstanceId,
    InstanceState,
    LedgerId,
    ServiceName,
)
from immutable.names import fleet_name
from immutable.testing.conformance.case import Part, Reach, not_applicable
from immutable.testing.conformance.suite import case, reopenable, with_groups
from immutable.testing.conformance.trial import Trial

_REPEAT = "Fleets.launch: repeat-safe: afterwards there are spec.size instances"


def alive(view: FleetView | None) -> int:
    """Return how many instances of a fleet are not known to be dead."""
    instances = view.instances if view else ()
    return sum(i.state is not InstanceState.GONE for i in instances)


@case(
    Part.FLEETS,
    "launching makes all instances",
    "Fleets.launch: create the fleet with spec.size instances",
    reach=Reach.OBJECTS,
    fit=with_groups,
)
def launches(t: Trial) -> None:
    """Launch and count."""
    spec = t.launch(t.spec())
    view = t.observed(
        spec.name, lambda v: alive(v) == spec.size, f"{spec.size} instances"
    )
    ids = [i.id for i in view.instances]
    t.expect(ids == sorted(set(ids)), "each id once, in order", ids)
    t.expect(
        all(i.fleet == spec.name for i in view.instances),
        "instances of this fleet",
        view,
    )


@case(
    Part.FLEETS,
    "the same token launches once",
    _REPEAT,
    reach=Reach.OBJECTS,
    fit=with_groups,
)
def launches_once(t: Trial) -> None:
    """Launch three times under one token: nothing more, and nothing new."""
    spec = t.launch(t.spec())
    full = f"{spec.size} instances"
    first = t.observed(spec.name, lambda v: alive(v) == spec.size, full)
    for _ in range(2):
        t.backend.fleets.launch(spec, token=t.token())
    ids = {i.id for i in first.instances}
    t.observed(
        spec.name,
        lambda v: {i.id for i in v.instances} == ids,
        f"the same {len(ids)} instances",
    )


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
    "a retired fleet is gone",
    "Fleets.retire: returns when nothing of it is left; one already gone is no error",
    reach=Reach.OBJECTS,
    fit=with_groups,
)
def retires(t: Trial) -> None:
    """Retire twice, and look."""
    spec = t.launch(t.spec())
    t.retire(spec.name)
    t.gone(spec.name)
    t.retire(spec.name)
    t.retire(FleetName(f"{spec.name[:-2]}zz"))
    listed = t.backend.fleets.list(service=t.service, ledger=t.ledger)
    t.expect(listed == (), "an empty list", listed)


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
    "instances say what they were launched from",
    "Instance: digest, image and document are read from the provider's own metadata",
    reach=Reach.OBJECTS,
    fit=with_groups,
)
def says_its_origin(t: Trial) -> None:
    """Compare digest, image and document of each instance with the spec."""
    spec = t.launch(t.spec(document='{"colour": "blau ü", "n": 1}'))
    view = t.observed(
        spec.name, lambda v: alive(v) == spec.size, f"{spec.size} instances"
    )
    for instance in view.instances:
        t.expect(
            instance.digest == spec.tags.digest[:16],
            f"digest {spec.tags.digest[:16]}",
            instance.digest,
        )
        t.expect(
            instance.image == spec.image.id, f"image {spec.image.id}", instance.image
        )
        t.expect(
            instance.document == spec.document,
            f"document {spec.document}",
            instance.document,
        )


@case(
    Part.FLEETS,
    "a launch that was begun is completed",
    "Fleets.launch: again: what is missing is created; never more than spec.size",
    reach=Reach.OBJECTS,
    fit=with_groups,
)
def completes(t: Trial) -> None:
    """Launch one instance, then the whole fleet under the same token."""
    part = t.launch(t.spec(1))
    (first,) = t.observed(part.name, lambda v: alive(v) == 1, "1 instance").instances
    whole = attrs.evolve(part, size=3)
    t.backend.fleets.launch(whole, token=t.token())
    t.observed(
        part.name,
        lambda v: alive(v) == whole.size and first.id in {i.id for i in v.instances},
        f"3 instances, {first.id} among them",
    )


@case(
    Part.FLEETS,
    "launches at once make one fleet",
    "Fleets.launch: again: never more than spec.size; safe to call from several threads",
    reach=Reach.OBJECTS,
    fit=with_groups,
)
def launches_at_once(t: Trial) -> None:
    """Launch twice at the same time under one token; then once more."""
    spec = t.launch(t.spec(1))
    whole = attrs.evolve(spec, size=2)
    t.together([lambda: t.backend.fleets.launch(whole, token=t.token())] * 2)
    t.backend.fleets.launch(whole, token=t.token())
    t.observed(spec.name, lambda v: alive(v) == whole.size, "2 instances")


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
    first = t.observed(one.name, lambda v: alive(v) == one.size, "2 instances")
    second = t.observed(two.name, lambda v: alive(v) == 1, "1 instance")
    shared = {i.id for i in first.instances} & {i.id for i in second.instances}
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
    before = [_ids(t, near.name), _ids(t, far.name)]
    t.retire(spec.name)
    after = [_ids(t, near.name), _ids(t, far.name)]
    t.expect(before == after, f"both as they were: {before}", after)


def _ids(t: Trial, fleet: FleetName) -> set[InstanceId]:
    view = t.observed(fleet, lambda v: alive(v) == 1, f"1 instance of {fleet}")
    return {instance.id for instance in view.instances}


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
    "what was retired does not come back",
    "Capabilities.late: how long after a call it may still take effect",
    reach=Reach.OBJECTS,
    fit=with_groups,
)
def stays_gone(t: Trial) -> None:
    """Retire while the launch is fresh, and look again later."""
    spec = t.launch(t.spec(1))
    t.retire(spec.name)
    t.pause(t.can.staleness + min(t.can.late, timedelta(seconds=2)))
    for _ in range(3):
        view = t.backend.fleets.observe(spec.name)
        t.expect(view is None, "None for ever", view)
        t.pause(timedelta(milliseconds=100))


@case(
    Part.FLEETS,
    "the longest legal names are accepted",
    "Names: services have up to 20 characters and fleets up to 31, of [a-z0-9-]",
    reach=Reach.OBJECTS,
    fit=with_groups,
)
def takes_long_names(t: Trial) -> None:
    """Launch a fleet whose names are as long as names get."""
    service = t.fresh_service(chars=20)
    deployment = DeploymentId("longest")
    name = fleet_name(service, t.release(t.usual, 999).number, deployment)
    spec = t.launch(t.spec(1, service=service, number=999, name=name))
    view = t.observed(name, lambda v: alive(v) == 1, f"1 instance of {name}")
    tags = dict(view.tags)
    t.expect(tags.get("immutable-service") == service, f"the tag {service}", view.tags)
    listed = t.backend.fleets.list(service=service, ledger=t.ledger)
    t.expect([v.name for v in listed] == [spec.name], f"{name} listed", listed)


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


@case(
    Part.FLEETS,
    "another process sees the same",
    "Everything that is created can be found without what created it",
    reach=Reach.OBJECTS,
    fit=reopenable,
)
def survives_reopening(t: Trial) -> None:
    """Open the backend anew and look for what the first one launched."""
    spec = t.launch(t.spec(1))
    view = t.observed(spec.name, lambda v: alive(v) == 1, "1 instance")
    ids = {i.id for i in view.instances}
    other = t.reopened()
    t.seen(
        lambda: other.fleets.observe(spec.name),
        lambda v: v is not None and {i.id for i in v.instances} == ids,
        f"{ids} through another object",
    )
    other.fleets.launch(spec, token=t.token())
    t.observed(
        spec.name, lambda v: {i.id for i in v.instances} == ids, f"still only {ids}"
    )
