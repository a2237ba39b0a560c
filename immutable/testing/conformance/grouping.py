"""Cases of `immutable.groups.Groups`: freezing and thawing."""

import attrs

from immutable.model import FleetName, FleetSpec, FleetView
from immutable.testing.conformance.case import (
    APPLIES,
    Fit,
    Part,
    Reach,
    Terms,
    not_applicable,
)
from immutable.testing.conformance.changing import killable
from immutable.testing.conformance.suite import case, declares, each, with_groups
from immutable.testing.conformance.trial import Trial, alive, ids_of

_native = each(with_groups, declares("backend", "scales_itself"))


def _scalable(terms: Terms) -> Fit:
    """Apply where the subject can say what scales a fleet."""
    if terms.subject.scale_by is None or terms.subject.scaling is None:
        return not_applicable("the subject cannot say what scales a fleet")
    return APPLIES


def _freeze(t: Trial, fleet: FleetName) -> None:
    t.groups.freeze(fleet, token=t.token(f"freeze {fleet}"))


def _thaw(t: Trial, fleet: FleetName, like: FleetName | None = None) -> None:
    t.groups.thaw(fleet, like=like, token=t.token(f"thaw {fleet}"))


def _held(t: Trial, fleet: FleetName, *, frozen: bool, size: int) -> FleetView:
    """Expect that a fleet is frozen, or is not, and keeps its desired size."""
    return t.observed(
        fleet,
        lambda view: (view.frozen, view.desired_size) == (frozen, size),
        f"frozen {frozen}, and a desired size of {size}",
    )


def _loose(t: Trial, size: int) -> FleetSpec:
    """Launch a fleet and let it go."""
    spec = t.launch(t.spec(size))
    _thaw(t, spec.name)
    _held(t, spec.name, frozen=False, size=size)
    return spec


@case(
    Part.FLEETS,
    "a launched fleet is frozen",
    "Fleets.launch: where the provider heals and scales by itself, it is frozen",
    reach=Reach.OBJECTS,
    fit=_native,
)
def launches_frozen(t: Trial) -> None:
    """Launch and look, then launch again."""
    spec = t.launch(t.spec(1))
    _held(t, spec.name, frozen=True, size=1)
    t.backend.fleets.launch(spec, token=t.token())
    _held(t, spec.name, frozen=True, size=1)


@case(
    Part.FLEETS,
    "freezing and thawing are shown, and repeat safely",
    "Groups: observe says whether it is frozen; again: the same, whatever happened",
    reach=Reach.OBJECTS,
    fit=_native,
)
def shows_it(t: Trial) -> None:
    """Thaw and freeze, each twice, and then under the same tokens once more."""
    spec = t.launch(t.spec(1))
    for _ in range(2):
        for _ in range(2):
            _thaw(t, spec.name)
        _held(t, spec.name, frozen=False, size=1)
        for _ in range(2):
            _freeze(t, spec.name)
        _held(t, spec.name, frozen=True, size=1)


@case(
    Part.FLEETS,
    "what is gone is neither frozen nor thawed",
    "Groups: a fleet that is gone is no error",
    reach=Reach.OBJECTS,
    fit=_native,
)
def lets_the_gone_be(t: Trial) -> None:
    """Freeze and thaw what was retired and what never was; follow what is gone."""
    spec = t.launch(t.spec(1))
    t.retire(spec.name)
    t.gone(spec.name)
    for name in (spec.name, FleetName(f"{spec.name[:-2]}zz")):
        _freeze(t, name)
        _thaw(t, name)
        t.gone(name)
    other = t.launch(t.spec(1, name=t.named("other")))
    _thaw(t, other.name, like=spec.name)
    _held(t, other.name, frozen=False, size=1)


@case(
    Part.FLEETS,
    "a neighbour is held as it was",
    "Groups.thaw: this fleet; like is as it was",
    reach=Reach.OBJECTS,
    fit=_native,
)
def lets_neighbours_be(t: Trial) -> None:
    """Thaw one of two by the other's rules, and look at both."""
    one, two = (t.launch(t.spec(1, name=t.named(word))) for word in ("one", "two"))
    _thaw(t, one.name, like=two.name)
    _held(t, one.name, frozen=False, size=1)
    _held(t, two.name, frozen=True, size=1)
    _thaw(t, two.name)
    _freeze(t, one.name)
    _held(t, one.name, frozen=True, size=1)
    _held(t, two.name, frozen=False, size=1)


@case(
    Part.FLEETS,
    "a frozen fleet is left alone",
    "Groups.freeze: the provider neither replaces nor rebalances instances",
    reach=Reach.OBJECTS,
    fit=each(_native, killable),
)
def leaves_the_frozen_alone(t: Trial) -> None:
    """Let an instance die: nobody takes its place."""
    spec = t.launch(t.spec(2))
    before = t.sized(spec.name, 2)
    t.kill(before.instances[0].id)
    t.sized(spec.name, 1)
    t.pause(t.subject.fails_after)
    view = t.sized(spec.name, 1)
    t.expect(ids_of(view) <= ids_of(before), f"none but {ids_of(before)}", ids_of(view))
    _held(t, spec.name, frozen=True, size=2)


@case(
    Part.FLEETS,
    "a frozen fleet can be changed",
    "Groups: a frozen fleet takes resize and replace as any other, and stays frozen",
    reach=Reach.OBJECTS,
    fit=_native,
)
def changes_the_frozen(t: Trial) -> None:
    """Grow it, replace one and shrink it."""
    spec = t.launch(t.spec(1))
    (first,) = t.sized(spec.name, 1).instances
    grown = attrs.evolve(spec, size=3)
    t.backend.fleets.resize(grown, remove=(), token=t.token("up"))
    _held(t, spec.name, frozen=True, size=3)
    t.sized(spec.name, 3)
    token = t.token("replace")
    t.backend.fleets.replace(grown, instance=first.id, token=token)
    view = t.observed(
        spec.name,
        lambda v: alive(v) == grown.size and first.id not in ids_of(v),
        f"3 instances, {first.id} not among them",
    )
    leaving = tuple(i.id for i in view.instances[1:])
    t.backend.fleets.resize(spec, remove=leaving, token=t.token("down"))
    t.sized(spec.name, 1)
    _held(t, spec.name, frozen=True, size=1)


@case(
    Part.FLEETS,
    "replacing leaves the size to the provider",
    "Groups: on a fleet that is not frozen, replace leaves the desired size as it is",
    reach=Reach.OBJECTS,
    fit=_native,
)
def replaces_in_the_loose(t: Trial) -> None:
    """Replace one of two with a spec that says one."""
    spec = _loose(t, 2)
    first = t.sized(spec.name, 2).instances[0]
    smaller = attrs.evolve(spec, size=1)
    token = t.token("replace")
    t.backend.fleets.replace(smaller, instance=first.id, token=token)
    t.eventually(
        lambda: t.backend.fleets.observe(spec.name),
        lambda v: alive(v) == spec.size and first.id not in ids_of(v),
        f"2 instances, {first.id} not among them",
    )
    _held(t, spec.name, frozen=False, size=2)


@case(
    Part.FLEETS,
    "the provider brings a fleet to the size that is set",
    "Groups: on a fleet that is not frozen, resize sets the desired size",
    reach=Reach.OBJECTS,
    fit=_native,
)
def resizes_the_loose(t: Trial) -> None:
    """Set a larger size, then a smaller one without saying who leaves."""
    spec = _loose(t, 2)
    for size in (3, 1):
        sized, token = attrs.evolve(spec, size=size), t.token(f"to {size}")
        t.backend.fleets.resize(sized, remove=(), token=token)
        _held(t, spec.name, frozen=False, size=size)
        t.eventually(
            lambda: t.backend.fleets.observe(spec.name),
            lambda view, wanted=size: alive(view) == wanted,  # type: ignore[misc]  # a default binds
            f"{size} instances",
        )


@case(
    Part.FLEETS,
    "the rules that scale a fleet live on",
    "Groups.thaw: it has the policies, schedules and bounds of like, and no others",
    reach=Reach.OBJECTS,
    fit=each(_native, _scalable),
)
def carries_the_rules_over(t: Trial) -> None:
    """Thaw one by the rules of another, twice."""
    old, new = (t.launch(t.spec(1, name=t.named(word))) for word in ("old", "new"))
    t.scale_by(old.name)
    rules = t.scaling(old.name)
    for _ in range(2):
        _thaw(t, new.name, like=old.name)
        t.seen(lambda: t.scaling(new.name), lambda r: r == rules, f"{rules}")
        t.seen(lambda: t.scaling(old.name), lambda r: r == rules, f"{rules}, still")


@case(
    Part.FLEETS,
    "no bound keeps a thawed fleet from its size",
    "Groups.thaw: neither bound keeps the fleet from its present size",
    reach=Reach.OBJECTS,
    fit=_native,
)
def keeps_its_size(t: Trial) -> None:
    """Thaw a large fleet by the rules of a small one, and the other way round."""
    small = t.launch(t.spec(1, name=t.named("small")))
    large = t.launch(t.spec(3, name=t.named("large")))
    ids = ids_of(t.sized(large.name, 3))
    _thaw(t, large.name, like=small.name)
    _thaw(t, small.name, like=large.name)
    t.pause(t.subject.fails_after)
    _held(t, large.name, frozen=False, size=3)
    _held(t, small.name, frozen=False, size=1)
    t.exactly(large.name, ids)
    t.sized(small.name, 1)
