"""Cases of `immutable.protocols.Fleets`: resizing and replacing."""

import attrs

from immutable.model import FleetSpec, FleetView, InstanceId, InstanceState
from immutable.testing.conformance.case import (
    APPLIES,
    Fit,
    Part,
    Reach,
    Terms,
    not_applicable,
)
from immutable.testing.conformance.suite import case, with_groups
from immutable.testing.conformance.trial import Trial, alive, ids_of


def killable(terms: Terms) -> Fit:
    """Apply where the subject can let instances die."""
    if terms.subject.kill is None:
        return not_applicable("the subject cannot let instances die")
    return APPLIES


def _ids(t: Trial, spec: FleetSpec, size: int) -> list[InstanceId]:
    return [instance.id for instance in t.sized(spec.name, size).instances]


def _runs(view: FleetView | None) -> bool:
    instances = view.instances if view else ()
    return all(instance.state is InstanceState.RUNNING for instance in instances)


@case(
    Part.FLEETS,
    "only the removed instances go",
    "Fleets.resize: destroy exactly the instances in remove, then bring it to its size",
    reach=Reach.OBJECTS,
    fit=with_groups,
)
def removes_exactly(t: Trial) -> None:
    """Grow by one, then shrink by one in the middle."""
    spec = t.launch(t.spec(2))
    before = set(_ids(t, spec, 2))
    t.backend.fleets.resize(attrs.evolve(spec, size=3), remove=(), token=t.token("up"))
    ids = _ids(t, spec, 3)
    t.expect(before < set(ids), f"{sorted(before)} and another", ids)
    t.backend.fleets.resize(spec, remove=(ids[1],), token=t.token("down"))
    t.exactly(spec.name, set(ids) - {ids[1]})


@case(
    Part.FLEETS,
    "a smaller size alone destroys nothing",
    "Fleets.resize: no other instance is destroyed, whatever spec.size says",
    reach=Reach.OBJECTS,
    fit=with_groups,
)
def destroys_nothing_unasked(t: Trial) -> None:
    """Ask for a smaller size without saying who leaves."""
    spec = t.launch(t.spec(3))
    ids = set(_ids(t, spec, 3))
    smaller = attrs.evolve(spec, size=1)
    t.backend.fleets.resize(smaller, remove=(), token=t.token("down"))
    t.exactly(spec.name, ids)


@case(
    Part.FLEETS,
    "the same token resizes once",
    "Fleets.resize: again: ids that are gone are no error; nothing is created twice",
    reach=Reach.OBJECTS,
    fit=with_groups,
)
def resizes_once(t: Trial) -> None:
    """Exchange an instance for two others, three times under one token."""
    spec = t.launch(t.spec(2))
    leaving, staying = _ids(t, spec, 2)
    grown, token = attrs.evolve(spec, size=3), t.token("exchange")
    t.backend.fleets.resize(grown, remove=(leaving,), token=token)
    ids = set(_ids(t, spec, 3))
    t.expect(staying in ids, f"{staying} among them", ids)
    t.expect(leaving not in ids, f"{leaving} gone", ids)
    for _ in range(2):
        t.backend.fleets.resize(grown, remove=(leaving,), token=token)
    t.exactly(spec.name, ids)


@case(
    Part.FLEETS,
    "a replaced instance gives way to a new one",
    "Fleets.replace: the new instance has an id that no other ever had",
    reach=Reach.OBJECTS,
    fit=with_groups,
)
def replaces(t: Trial) -> None:
    """Replace one of two; the other stays."""
    spec = t.launch(t.spec(2))
    leaving, staying = _ids(t, spec, 2)
    t.backend.fleets.replace(spec, instance=leaving, token=t.token("replace"))
    view = t.observed(
        spec.name,
        lambda v: alive(v) == spec.size and leaving not in ids_of(v),
        f"2 instances without {leaving}",
    )
    ids = ids_of(view)
    t.expect(staying in ids, f"{staying} untouched", ids)
    t.expect(
        all(i.digest == spec.tags.digest[:16] for i in view.instances),
        "all of the release's digest",
        view,
    )


@case(
    Part.FLEETS,
    "the same token replaces once",
    "Fleets.replace: again: the same token replaces once",
    reach=Reach.OBJECTS,
    fit=with_groups,
)
def replaces_once(t: Trial) -> None:
    """Replace twice under one token."""
    spec = t.launch(t.spec(2))
    leaving, _ = _ids(t, spec, 2)
    t.backend.fleets.replace(spec, instance=leaving, token=t.token("replace"))
    view = t.observed(spec.name, lambda v: leaving not in ids_of(v), "it is gone")
    t.backend.fleets.replace(spec, instance=leaving, token=t.token("replace"))
    t.exactly(spec.name, ids_of(view))


@case(
    Part.FLEETS,
    "a dead instance is seen as gone, and replaced",
    "Fleets.observe: dead ones as GONE for as long as anything of them is left",
    reach=Reach.OBJECTS,
    fit=killable,
)
def replaces_the_dead(t: Trial) -> None:
    """Let an instance die; it does not count; replacing brings the size back."""
    spec = t.launch(t.spec(2))
    dying, staying = _ids(t, spec, 2)
    t.eventually(lambda: t.backend.fleets.observe(spec.name), _runs, "all running")
    t.kill(dying)
    t.eventually(
        lambda: t.backend.fleets.observe(spec.name),
        lambda v: alive(v) == 1,
        f"{dying} GONE or left out",
    )
    t.backend.fleets.replace(spec, instance=dying, token=t.token("replace"))
    ids = ids_of(t.sized(spec.name, spec.size))
    t.expect(dying not in ids, f"nothing left of {dying}", ids)
    t.expect(staying in ids, f"{staying} untouched", ids)
