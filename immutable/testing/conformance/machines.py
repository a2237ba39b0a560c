"""Cases of `immutable.machines.Machines`: single servers, with names for idempotency."""

import attrs

from immutable.errors import Taken
from immutable.fleets import member_name
from immutable.machines import MachineSpec
from immutable.model import Instance, InstanceId, InstanceState
from immutable.testing.conformance.case import (
    APPLIES,
    Fit,
    Part,
    Reach,
    Terms,
    not_applicable,
)
from immutable.testing.conformance.changing import killable
from immutable.testing.conformance.suite import case, each
from immutable.testing.conformance.trial import Trial

Rows = tuple[tuple[Instance, tuple[tuple[str, str], ...]], ...]


def single_servers(terms: Terms) -> Fit:
    """Apply where the subject gives single servers."""
    if terms.subject.machines is None:
        return not_applicable("the subject gives no Machines")
    return APPLIES


def _spec(t: Trial, index: int = 0) -> MachineSpec:
    fleet = t.spec(1)
    return MachineSpec(name=member_name(fleet.name, t.token(), index), fleet=fleet)


def _own(t: Trial, rows: Rows) -> Rows:
    """Return the rows of this case's service."""
    return tuple(r for r in rows if ("immutable-service", t.service) in r[1])


def _listed(t: Trial, wanted: list[str]) -> Rows:
    return t.seen(
        lambda: _own(t, t.machines.list()),
        lambda rows: sorted(i.id for i, _ in rows) == sorted(wanted),
        f"{wanted} listed",
    )


@case(
    Part.MACHINES,
    "a server is created once",
    "Machines.create: again: a server of this name with the same tags is returned",
    reach=Reach.OBJECTS,
    fit=single_servers,
)
def creates_once(t: Trial) -> None:
    """Create the same server three times."""
    spec = _spec(t)
    first = t.machines.create(spec)
    t.expect(first.id == spec.name, f"the id {spec.name}", first.id)
    t.expect(first.fleet == spec.fleet.name, "its fleet", first)
    for _ in range(2):
        again = t.machines.create(spec)
        t.expect(again.id == first.id, f"{first.id} as it is", again)
    _listed(t, [spec.name])


@case(
    Part.MACHINES,
    "a server is listed with its tags and origin",
    "Machines.list: every server that carries immutable-… tags, each with its tags",
    reach=Reach.OBJECTS,
    fit=single_servers,
)
def lists_tags(t: Trial) -> None:
    """Create two servers and compare what is listed."""
    specs = [_spec(t, 0), _spec(t, 1)]
    for spec in specs:
        t.machines.create(spec)
    for instance, tags in _listed(t, [spec.name for spec in specs]):
        wanted = set(specs[0].fleet.tags.to_mapping().items())
        t.expect(wanted <= set(tags), f"the tags {sorted(wanted)}", tags)
        origin = (instance.digest, instance.image, instance.document)
        fleet = specs[0].fleet
        given = (fleet.tags.digest[:16], fleet.image.id, fleet.document)
        t.expect(origin == given, f"launched from {given}", origin)


@case(
    Part.MACHINES,
    "a name is never used for anything else",
    "Machines.create: Taken: the name is in use by something that is not ours",
    reach=Reach.OBJECTS,
    fit=single_servers,
)
def refuses_taken_names(t: Trial) -> None:
    """Create a server, then another ledger's of the same name."""
    spec = _spec(t)
    t.machines.create(spec)
    before = _listed(t, [spec.name])
    tags = attrs.evolve(spec.fleet.tags, ledger=t.fresh_ledger())
    other = attrs.evolve(spec, fleet=attrs.evolve(spec.fleet, tags=tags))
    t.refused(lambda: t.machines.create(other), Taken, what="a name that is in use")
    after = _listed(t, [spec.name])
    t.expect(after[0][1] == before[0][1], f"the tags as they were {before}", after)


@case(
    Part.MACHINES,
    "destroying is repeat-safe, and exact",
    "Machines.destroy: destroy a server and its disks. One already gone is no error",
    reach=Reach.OBJECTS,
    fit=single_servers,
)
def destroys(t: Trial) -> None:
    """Destroy one of two, twice, and one that never was."""
    one, two = _spec(t, 0), _spec(t, 1)
    for spec in (one, two):
        t.machines.create(spec)
    for name in (one.name, one.name, f"{one.name[:-2]}zz"):
        t.machines.destroy(InstanceId(name))
        _listed(t, [two.name])


@case(
    Part.MACHINES,
    "a server that died is listed as gone",
    "Machines.list: servers that died are listed as GONE as long as anything is left",
    reach=Reach.OBJECTS,
    fit=each(single_servers, killable),
)
def lists_the_dead(t: Trial) -> None:
    """Let a server die; it is GONE, or nothing of it is left; then destroy it."""
    spec = _spec(t)
    t.machines.create(spec)
    t.eventually(
        lambda: _own(t, t.machines.list()),
        lambda rows: [i.state for i, _ in rows] == [InstanceState.RUNNING],
        f"{spec.name} running",
    )
    t.kill(InstanceId(spec.name))
    t.eventually(
        lambda: _own(t, t.machines.list()),
        lambda rows: all(i.state is InstanceState.GONE for i, _ in rows),
        f"{spec.name} GONE",
    )
    t.machines.destroy(InstanceId(spec.name))
    _listed(t, [])
