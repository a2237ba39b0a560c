"""Cases of `immutable.protocols.Fleets`: launching, finding and retiring."""

from datetime import UTC, datetime, timedelta

import attrs

from immutable.model import (
    DeploymentId,
    FleetName,
)
from immutable.names import fleet_name
from immutable.testing.conformance.case import Part, Reach
from immutable.testing.conformance.suite import case, reopenable, with_groups
from immutable.testing.conformance.trial import Trial, alive, ids_of

_DOCUMENT = r'{"colour":"blau \u00fc","quote":"\"","n":1,"list":[]}'
_EXPIRES = datetime(2100, 1, 1, tzinfo=UTC)
_REPEAT = "Fleets.launch: repeat-safe: afterwards there are spec.size instances"


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
    view = t.sized(spec.name, spec.size)
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
    first = t.sized(spec.name, spec.size)
    for _ in range(2):
        t.backend.fleets.launch(spec, token=t.token())
    t.exactly(spec.name, ids_of(first))


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
    "instances say what they were launched from",
    "Instance: digest, image and document are read from the provider's own metadata",
    reach=Reach.OBJECTS,
    fit=with_groups,
)
def says_its_origin(t: Trial) -> None:
    """Compare digest, image and document of each instance with the spec."""
    spec = t.launch(t.spec(document=_DOCUMENT))
    view = t.sized(spec.name, spec.size)
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
    (first,) = t.sized(part.name, 1).instances
    whole = attrs.evolve(part, size=3)
    t.backend.fleets.launch(whole, token=t.token())
    t.observed(
        part.name,
        lambda v: alive(v) == whole.size and first.id in ids_of(v),
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
    t.sized(spec.name, whole.size)


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
    """Launch a fleet with the longest names and every tag that there is."""
    service = t.fresh_service(chars=20)
    deployment = DeploymentId("longest")
    name = fleet_name(service, t.release(t.usual, 999).number, deployment)
    plain = t.spec(1, service=service, number=999, name=name)
    tags = attrs.evolve(plain.tags, role="lab", expires_at=_EXPIRES)
    spec = t.launch(attrs.evolve(plain, tags=tags))
    view = t.sized(name, 1)
    wanted = set(tags.to_mapping().items())
    t.expect(wanted <= set(view.tags), f"the tags {sorted(wanted)}", view.tags)
    listed = t.backend.fleets.list(service=service, ledger=t.ledger)
    t.expect([v.name for v in listed] == [spec.name], f"{name} listed", listed)


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
    ids = ids_of(t.sized(spec.name, 1))
    other = t.reopened()
    t.seen(
        lambda: other.fleets.observe(spec.name),
        lambda view: ids_of(view) == ids,
        f"{ids} through another object",
    )
    other.fleets.launch(spec, token=t.token())
    t.exactly(spec.name, ids)
