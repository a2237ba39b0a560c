import attrs
import pytest

from immutable.errors import Conflict
from immutable.model import FleetName, HealthCheck, LedgerId, Member, Routing, Version
from immutable.testing import Script, Simulation
from immutable.testing.provider import Provider
from immutable.testing.registers import (
    KINDS,
    Register,
    attached,
    check,
    detached,
    joined,
    written,
)

OLD, NEW = FleetName("shop-v1-aaaaaa"), FleetName("shop-v2-bbbbbb")
ME = LedgerId("me")
HEALTH = HealthCheck(port=80)


def serving(kind: str) -> Register:
    """Return a register with two places, the first of which has all traffic."""
    register = Register(kind=kind)
    for fleet in (OLD, NEW):
        register = attached(register, fleet, HEALTH, ME, at(register))
    return written(register, all_to(OLD), ME, at(register))


def at(register: Register) -> Version:
    """Return the version to expect."""
    return Version(str(register.version))


def all_to(fleet: FleetName) -> Routing:
    """Return a routing of everything to one fleet."""
    return Routing(weights={fleet: 100})


@pytest.mark.parametrize("kind", KINDS)
def test_a_write_moves_traffic_and_the_version(kind):
    """Every kind takes a write that expects what there is."""
    before = serving(kind)
    after = written(before, all_to(NEW), ME, at(before))
    assert after.routing == all_to(NEW)
    assert after.owner == ME
    assert after.version == before.version + 1


@pytest.mark.parametrize("kind", ["compare-and-set", "slot"])
def test_of_two_writes_at_one_version_one_is_refused(kind):
    """The second writer loses, wherever writes are compared when they land."""
    before = serving(kind)
    after = written(before, all_to(NEW), ME, at(before))
    with pytest.raises(Conflict):
        written(after, Routing(), ME, at(before))


def test_a_blind_switch_takes_a_late_write():
    """A blind switch compares when sending, and never when landing."""
    before = serving("blind")
    after = written(before, all_to(NEW), ME, at(before))
    with pytest.raises(Conflict):
        check(after, at(before), sending=True)
    assert written(after, Routing(), ME, at(before)).routing == Routing()


@pytest.mark.parametrize("kind", KINDS)
def test_only_what_has_a_place_gets_traffic(kind):
    """A routing that names a stranger, even for preview, is refused."""
    register = serving(kind)
    for routing in (
        all_to(FleetName("shop-v3-cccccc")),
        Routing(weights={OLD: 100}, preview=FleetName("shop-v3-cccccc")),
    ):
        with pytest.raises(Conflict):
            written(register, routing, ME, at(register))


@pytest.mark.parametrize("kind", KINDS)
def test_what_is_in_use_keeps_its_place(kind):
    """A fleet with traffic or on the preview route is not detached."""
    register = serving(kind)
    with pytest.raises(Conflict):
        detached(register, OLD, ME, at(register))
    shown = written(
        register, Routing(weights={OLD: 100}, preview=NEW), ME, at(register)
    )
    with pytest.raises(Conflict):
        detached(shown, NEW, ME, at(shown))


@pytest.mark.parametrize("kind", KINDS)
def test_a_place_can_be_taken_away_and_again(kind):
    """Detaching twice is detaching once."""
    register = serving(kind)
    once = detached(register, NEW, ME, at(register))
    twice = detached(once, NEW, ME, at(once))
    assert [place.fleet for place in twice.places] == [OLD]


def test_attach_and_detach_are_compared_where_the_version_is():
    """Places move the version of a compare-and-set switch, and of no other."""
    register = serving("compare-and-set")
    stale = Version("1")
    with pytest.raises(Conflict):
        attached(register, NEW, HEALTH, ME, stale)
    with pytest.raises(Conflict):
        detached(register, NEW, ME, stale)
    slots = serving("slot")
    assert attached(slots, NEW, HEALTH, ME, stale).version == slots.version
    assert detached(slots, NEW, ME, stale).version == slots.version


def test_a_late_slot_lands_below_and_moves_nothing():
    """A slot that was trimmed can be made again by a late write; it serves nothing."""
    register = serving("slot")
    old = at(register)
    for fleet in (NEW, OLD, NEW, OLD, NEW):
        register = written(register, all_to(fleet), ME, at(register))
    assert len(register.slots) == 3
    late = written(register, all_to(OLD), ME, old)
    assert late.routing == all_to(NEW)
    assert late.version == register.version
    assert late.slots[0] == (int(old) + 1, all_to(OLD))


def test_detaching_removes_the_older_slots_that_name_the_fleet():
    """What an older slot names could not be deleted: those slots go first."""
    register = serving("slot")
    register = written(register, all_to(NEW), ME, at(register))
    after = detached(register, OLD, ME, at(register))
    assert [routing for _, routing in after.slots] == [all_to(NEW)]
    assert after.version == register.version


def test_joining_replaces_the_members_and_keeps_their_age():
    """Members that stay are probed since they joined; a stranger's join is refused."""
    first, second = (
        Member(instance=name, address=f"at-{name}", port=80) for name in ("a", "b")
    )
    register = joined(serving("slot"), NEW, (first,), 10)
    register = joined(register, NEW, (first, second), 20)
    place = register.place_of(NEW)
    assert place is not None
    assert [j.since_us for j in place.joined] == [10, 20]
    with pytest.raises(Conflict):
        joined(register, FleetName("shop-v3-cccccc"), (), 30)


def test_a_stale_slot_writer_is_told_of_the_conflict():
    """A write whose slot lands below the highest is answered with a conflict."""
    sim = Simulation(1, switch="slot")
    switch = sim.service("shop").switch
    sim.gate.sent = lambda _: None
    sim.cloud.watch = sim.cloud.watch.__class__(sim.judge, sim.cloud)
    for expected in ("0", "1", "2", "3"):
        switch.write(Routing(), owner=ME, expected=Version(expected))
    with pytest.raises(Conflict, match="below"):
        switch.write(Routing(), owner=ME, expected=Version("0"))
    assert switch.read().version == "4"


@pytest.mark.parametrize("kind", KINDS)
def test_late_writes_land_as_their_kind_takes_them(kind):
    """A write that was given up lands later: only a blind switch lets it through."""
    provider = Provider(switch=kind, late="60s")
    sim = Simulation(1, provider=provider, faults=[Script("late", "switch.write")])
    switch = sim.service("shop").switch
    sim.gate.sent = lambda _: None
    sim.cloud.watch = sim.cloud.watch.__class__(sim.judge, sim.cloud)
    past = sim.cloud.switch("shop")
    past.put(0, attrs.evolve(serving(kind), version=7, slots=((7, all_to(OLD)),)))
    with pytest.raises(Exception, match="late"):
        switch.write(all_to(NEW), owner=ME, expected=Version("7"))
    switch.write(all_to(OLD), owner=ME, expected=Version("7"))
    sim.wait("60s")
    expected = NEW if kind == "blind" else OLD
    assert past.now.routing == all_to(expected)
