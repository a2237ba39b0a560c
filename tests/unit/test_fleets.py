"""Fleets made of single servers, on servers that are kept in a dictionary."""

import threading

import attrs
import pytest
from hypothesis import given
from hypothesis import strategies as st

from immutable.errors import Ambiguous, NotEnough, Unavailable
from immutable.fleets import MachineFleets, member_name
from immutable.machines import Machines, MachineSpec
from immutable.model import (
    DeploymentId,
    Digest,
    FleetName,
    FleetSpec,
    Image,
    ImageId,
    Instance,
    InstanceId,
    InstanceState,
    LedgerId,
    ReleaseNumber,
    ServiceName,
    Tags,
    Token,
    digest_of,
)
from immutable.protocols import Fleets

_Row = tuple[Instance, tuple[tuple[str, str], ...]]
FLEET = FleetName("shop-v1-abc")
ONE, TWO = Token("one"), Token("two")


@attrs.define
class MemoryMachines:
    """Servers in a dictionary, and faults that are named beforehand."""

    rows: dict[str, _Row] = attrs.field(factory=dict)
    refused: dict[str, Exception] = attrs.field(factory=dict)
    immortal: set[str] = attrs.field(factory=set)
    created: list[str] = attrs.field(factory=list)
    destroyed: list[str] = attrs.field(factory=list)
    _lock: threading.Lock = attrs.field(factory=threading.Lock)

    def create(self, spec: MachineSpec) -> Instance:
        """Keep a server, once."""
        if spec.name in self.refused:
            raise self.refused[spec.name]
        with self._lock:
            if spec.name not in self.rows:
                self.created.append(spec.name)
                self.rows[spec.name] = _row(spec)
            return self.rows[spec.name][0]

    def list(self) -> tuple[_Row, ...]:
        """Return what is kept."""
        return tuple(self.rows.values())

    def destroy(self, instance: InstanceId) -> None:
        """Forget a server."""
        if instance in self.refused:
            raise self.refused[instance]
        with self._lock:
            self.destroyed.append(instance)
            if instance not in self.immortal:
                self.rows.pop(instance, None)

    def kill(self, name: str) -> None:
        """Let a server die; something of it is left."""
        instance, tags = self.rows[name]
        gone = attrs.evolve(instance, state=InstanceState.GONE)
        self.rows[name] = (gone, tags)


def _row(spec: MachineSpec) -> _Row:
    tags = tuple(sorted(spec.fleet.tags.to_mapping().items()))
    instance = Instance(
        id=InstanceId(spec.name), fleet=spec.fleet.name, state=InstanceState.RUNNING
    )
    return instance, tags


def _spec(size: int, *, name: FleetName = FLEET, deployment: str = "d1") -> FleetSpec:
    return FleetSpec(
        name=name,
        image=Image(id=ImageId("img-1"), digest=digest_of("image"), backend="memory"),
        document="{}",
        size=size,
        port=8080,
        tags=Tags(
            service=ServiceName("shop"),
            ledger=LedgerId("ledger"),
            deployment=DeploymentId(deployment),
            release=ReleaseNumber(1),
            digest=Digest(digest_of("release")),
        ),
    )


@pytest.fixture
def machines() -> MemoryMachines:
    """Return a provider without servers."""
    return MemoryMachines()


@pytest.fixture
def fleets(machines: MemoryMachines) -> MachineFleets:
    """Return fleets upon it."""
    checked: Machines = machines
    return MachineFleets(machines=checked, max_parallel=4)


def _ids(fleets: MachineFleets) -> list[InstanceId]:
    view = fleets.observe(FLEET)
    return [] if view is None else [i.id for i in view.instances]


def test_is_what_the_core_asks_for(fleets: MachineFleets) -> None:
    """The class has the shape of the protocol."""
    checked: Fleets = fleets
    assert checked is fleets


def test_launch_creates_the_whole_fleet(fleets: MachineFleets) -> None:
    """A launch makes as many servers as the spec says, named after fleet and token."""
    fleets.launch(_spec(3), token=ONE)
    assert _ids(fleets) == sorted(member_name(FLEET, ONE, i) for i in range(3))


def test_retry_adopts_what_the_first_attempt_made(
    fleets: MachineFleets, machines: MemoryMachines
) -> None:
    """Under the same token a second launch creates nothing."""
    fleets.launch(_spec(3), token=ONE)
    fleets.launch(_spec(3), token=ONE)
    assert len(machines.created) == 3


def test_retry_completes_a_launch_that_was_cut_short(
    fleets: MachineFleets, machines: MemoryMachines
) -> None:
    """What an attempt did not get to make has the name it would have had."""
    fleets.launch(_spec(1), token=ONE)
    fleets.launch(_spec(3), token=ONE)
    assert _ids(fleets) == sorted(member_name(FLEET, ONE, i) for i in range(3))
    assert len(machines.created) == 3


def test_servers_that_are_gone_do_not_count(
    fleets: MachineFleets, machines: MemoryMachines
) -> None:
    """A launch beside a dead server makes a living one, with a name of its own."""
    fleets.launch(_spec(2), token=ONE)
    machines.kill(member_name(FLEET, ONE, 0))
    fleets.launch(_spec(2), token=ONE)
    states = [i.state for i, _ in machines.list()]
    assert states.count(InstanceState.RUNNING) == 2
    assert member_name(FLEET, ONE, 2) in machines.rows


def test_servers_that_are_unknown_count(
    fleets: MachineFleets, machines: MemoryMachines
) -> None:
    """Nothing is created for a server that may well be alive."""
    fleets.launch(_spec(1), token=ONE)
    name = member_name(FLEET, ONE, 0)
    instance, tags = machines.rows[name]
    unknown = attrs.evolve(instance, state=InstanceState.UNKNOWN)
    machines.rows[name] = (unknown, tags)
    fleets.launch(_spec(1), token=TWO)
    assert list(machines.rows) == [name]


def test_one_failure_does_not_stop_the_others(
    fleets: MachineFleets, machines: MemoryMachines
) -> None:
    """All other servers are created; the error is the first one, with a count."""
    cause = NotEnough("no memory", retryable=False)
    machines.refused[member_name(FLEET, ONE, 1)] = cause
    with pytest.raises(NotEnough) as caught:
        fleets.launch(_spec(3), token=ONE)
    assert caught.value is cause
    assert caught.value.__notes__ == ["1 of 3 servers failed"]
    assert len(_ids(fleets)) == 2


def test_a_lone_failure_has_no_note(
    fleets: MachineFleets, machines: MemoryMachines
) -> None:
    """Where one server was asked for, its error says everything."""
    machines.refused[member_name(FLEET, ONE, 0)] = NotEnough("no memory")
    with pytest.raises(NotEnough) as caught:
        fleets.launch(_spec(1), token=ONE)
    assert not hasattr(caught.value, "__notes__")


def test_replacement_has_a_fresh_name(
    fleets: MachineFleets, machines: MemoryMachines
) -> None:
    """The replaced server is destroyed, and nothing gets its name again."""
    fleets.launch(_spec(2), token=ONE)
    old = InstanceId(member_name(FLEET, ONE, 0))
    fleets.replace(_spec(2), instance=old, token=TWO)
    assert machines.destroyed == [old]
    assert member_name(FLEET, TWO, 0) in _ids(fleets)
    assert len(_ids(fleets)) == 2


def test_replace_repeats_safely(
    fleets: MachineFleets, machines: MemoryMachines
) -> None:
    """A retry after the replacement was made destroys and creates nothing."""
    fleets.launch(_spec(2), token=ONE)
    old = InstanceId(member_name(FLEET, ONE, 0))
    fleets.replace(_spec(2), instance=old, token=TWO)
    fleets.replace(_spec(2), instance=old, token=TWO)
    assert len(machines.created) == 3
    assert machines.destroyed == [old]


def test_replace_clears_what_is_left_of_the_dead(
    fleets: MachineFleets, machines: MemoryMachines
) -> None:
    """Dead servers beside the replaced one go too, and the fleet is whole again."""
    fleets.launch(_spec(3), token=ONE)
    names = [InstanceId(member_name(FLEET, ONE, i)) for i in range(3)]
    machines.kill(names[0])
    machines.kill(names[1])
    fleets.replace(_spec(3), instance=names[0], token=TWO)
    assert set(machines.destroyed) == {names[0], names[1]}
    assert len(_ids(fleets)) == 3


def test_only_members_of_the_fleet_are_destroyed(
    fleets: MachineFleets, machines: MemoryMachines
) -> None:
    """An id out of another fleet is no reason to destroy that server."""
    other = FleetName("shop-v2-def")
    fleets.launch(_spec(1), token=ONE)
    fleets.launch(_spec(1, name=other), token=ONE)
    stranger = InstanceId(member_name(other, ONE, 0))
    fleets.replace(_spec(1), instance=stranger, token=TWO)
    fleets.resize(_spec(1), remove=(stranger,), token=TWO)
    assert machines.destroyed == []


def test_resize_destroys_exactly_what_is_named(
    fleets: MachineFleets, machines: MemoryMachines
) -> None:
    """Scaling in takes the chosen servers and no others."""
    fleets.launch(_spec(3), token=ONE)
    chosen = InstanceId(member_name(FLEET, ONE, 1))
    fleets.resize(_spec(2), remove=(chosen,), token=TWO)
    assert machines.destroyed == [chosen]
    assert len(machines.created) == 3


def test_resize_completes_to_the_size(fleets: MachineFleets) -> None:
    """Scaling out keeps what is there and adds the rest."""
    fleets.launch(_spec(2), token=ONE)
    fleets.resize(_spec(3), remove=(), token=TWO)
    assert member_name(FLEET, TWO, 0) in _ids(fleets)
    assert len(_ids(fleets)) == 3


def test_retire_leaves_nothing(fleets: MachineFleets, machines: MemoryMachines) -> None:
    """All servers go, also the dead ones; a second time is no error."""
    fleets.launch(_spec(3), token=ONE)
    machines.kill(member_name(FLEET, ONE, 0))
    fleets.retire(FLEET, token=TWO)
    fleets.retire(FLEET, token=TWO)
    assert machines.rows == {}
    assert fleets.observe(FLEET) is None


def test_retire_reads_back(fleets: MachineFleets, machines: MemoryMachines) -> None:
    """A provider that says yes and does nothing is not believed."""
    fleets.launch(_spec(2), token=ONE)
    machines.immortal.add(member_name(FLEET, ONE, 1))
    with pytest.raises(Ambiguous, match=member_name(FLEET, ONE, 1)):
        fleets.retire(FLEET, token=TWO)


def test_retire_tries_all_before_it_fails(
    fleets: MachineFleets, machines: MemoryMachines
) -> None:
    """One server that cannot be destroyed does not save the others."""
    fleets.launch(_spec(3), token=ONE)
    stuck = member_name(FLEET, ONE, 1)
    machines.refused[stuck] = Unavailable("nobody answers", retryable=True)
    with pytest.raises(Unavailable):
        fleets.retire(FLEET, token=TWO)
    assert list(machines.rows) == [stuck]


def test_list_finds_fleets_by_their_tags(fleets: MachineFleets) -> None:
    """Fleets come by name, and only those of the service and the ledger."""
    other = FleetName("shop-v2-def")
    fleets.launch(_spec(1, name=other), token=ONE)
    fleets.launch(_spec(2), token=ONE)
    shop, ledger = ServiceName("shop"), LedgerId("ledger")
    found = fleets.list(service=shop, ledger=ledger)
    assert [view.name for view in found] == [FLEET, other]
    assert fleets.list(service=shop, ledger=LedgerId("another")) == ()
    assert fleets.list(service=ServiceName("bakery"), ledger=ledger) == ()


def test_tags_of_a_fleet_are_those_that_all_members_share(
    fleets: MachineFleets,
) -> None:
    """A member made by a later deployment does not speak for the whole fleet."""
    fleets.launch(_spec(1), token=ONE)
    fleets.resize(_spec(2, deployment="d2"), remove=(), token=TWO)
    view = fleets.observe(FLEET)
    assert view is not None
    assert dict(view.tags)["immutable-service"] == "shop"
    assert "immutable-deployment" not in dict(view.tags)
    assert view.desired_size is None


def test_an_absent_fleet_reads_as_none(fleets: MachineFleets) -> None:
    """Nothing of it exists, and that is what is said."""
    assert fleets.observe(FLEET) is None


@given(
    size=st.integers(1, 5),
    dead=st.sets(st.integers(0, 4)),
    token=st.sampled_from([ONE, TWO]),
)
def test_launch_always_ends_at_the_size(
    size: int, dead: set[int], token: Token
) -> None:
    """Whichever servers died, and under whichever token: afterwards it is whole."""
    machines = MemoryMachines()
    fleets = MachineFleets(machines=machines)
    fleets.launch(_spec(size), token=ONE)
    for index in dead & set(range(size)):
        machines.kill(member_name(FLEET, ONE, index))
    fleets.launch(_spec(size), token=token)
    alive = [i for i, _ in machines.list() if i.state is InstanceState.RUNNING]
    assert len(alive) == size
