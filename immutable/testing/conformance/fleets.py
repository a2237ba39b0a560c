"""Cases of `immutable.protocols.Fleets`: launching, finding, changing, retiring."""

import attrs

from immutable.model import FleetName, FleetView, InstanceState
from immutable.testing.conformance.case import Part, Reach
from immutable.testing.conformance.suite import case, with_groups
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
    "only the removed instances go",
    "Fleets.resize: make the fleet spec.size instances, destroying those in remove first",
    reach=Reach.OBJECTS,
    fit=with_groups,
)
def resizes(t: Trial) -> None:
    """Grow by one, then shrink by exactly the chosen one."""
    spec = t.launch(t.spec(2))
    grown = attrs.evolve(spec, size=3)
    t.backend.fleets.resize(grown, remove=(), token=t.token("grow"))
    view = t.observed(spec.name, lambda v: alive(v) == grown.size, "3 instances")
    victim = view.instances[1].id
    staying = {i.id for i in view.instances} - {victim}
    t.backend.fleets.resize(spec, remove=(victim,), token=t.token("shrink"))
    t.observed(
        spec.name,
        lambda v: {i.id for i in v.instances} == staying,
        f"exactly {sorted(staying)}",
    )
