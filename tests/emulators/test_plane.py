"""The data plane by itself: behaviours, pools, tables, machines, traffic."""

import pytest

from emulators.plane.addresses import Addresses
from emulators.plane.balancer import Listener
from emulators.plane.behaviour import Behaviour
from emulators.plane.machines import Machine
from emulators.plane.pools import Check, Pool
from emulators.plane.routing import Action, Rule, Share, Table
from emulators.plane.runner import Runner
from emulators.plane.traffic import Report, Sample, Traffic
from emulators.plane.wire import Response


@pytest.fixture
def runner():
    """Give a thread for the data plane."""
    with Runner() as running:
        yield running


@pytest.fixture
def addresses():
    """Give a block of addresses."""
    with Addresses() as own:
        yield own


@pytest.fixture
def made(runner):
    """Give what closes at the end what a test has made."""
    everything = []
    yield everything
    for each in everything:
        runner.run(each.halt() if isinstance(each, Machine) else each.close())


@pytest.fixture
def machine_of(addresses, made):
    """Give what makes a machine from a behaviour's words."""

    def make(words=""):
        name = addresses.spare()
        behaviour = Behaviour.parse(words)
        machine = Machine(id=name, image="image", address=name, behaviour=behaviour)
        made.append(machine)
        return machine

    return make


@pytest.fixture
def listener(runner, addresses, made):
    """Give a listener that listens."""
    listener = Listener(address=addresses.spare(), port=8000)
    made.append(listener)
    runner.run(listener.open())
    return listener


def test_a_behaviour_is_read_as_it_is_spelled():
    """What an image carries in words comes back whole."""
    behaviour = Behaviour(
        release="v2",
        ports=(8080, 9090),
        boot=1.0,
        slow=2.0,
        crash=3.0,
        halt=4.0,
        delay=0.5,
        fail=("/a b", "/c"),
        stillborn=True,
        sick=True,
        deaf=True,
        prints=("hello, world",),
    )
    assert Behaviour.parse(behaviour.spell()) == behaviour
    assert Behaviour.parse(Behaviour().spell()) == Behaviour()


def test_a_behaviour_that_nobody_knows_is_refused():
    """A word that is misspelled would test nothing."""
    with pytest.raises(ValueError, match="no behaviour"):
        Behaviour.parse("sik")


def test_blocks_of_addresses_are_nobody_else_s():
    """Several emulators run beside each other."""
    with Addresses() as one, Addresses() as two:
        assert one.network != two.network
        assert one.within(one.spare())
        assert not two.within(one.spare())


def test_an_application_that_crashes_answers_no_more(runner, machine_of):
    """After its time, connections are refused, and the console says so."""
    machine = machine_of("crash=0.2")
    runner.run(machine.boot())
    with Traffic(url=f"http://{machine.address}:8080/", clients=1) as traffic:
        traffic.wait_for(300)
    assert traffic.report.statuses[0]
    assert machine.console[-1] == "the application crashed"


def test_a_pool_asks_its_healthy_members_only(machine_of):
    """As long as there is one; among all if there is none."""
    pool = _pool(machine_of(), machine_of())
    first, second = pool.members.values()
    first.state = "healthy"
    assert {pool.pick() for _ in range(4)} == {first}
    first.state = "unhealthy"
    assert {pool.pick() for _ in range(4)} == {first, second}
    pool.deregister(first.id)
    assert {pool.pick() for _ in range(4)} == {second}
    pool.deregister(second.id)
    assert pool.pick() is None


def test_a_state_changes_after_as_many_probes_as_asked_for():
    """One good probe makes a new member healthy; later, thresholds count."""
    pool = _pool()
    pool.register("one", 8080)
    (member,) = pool.members.values()
    seen = []
    for reason in ("", "failed", "", "failed", "failed", "", "", ""):
        pool._note(member, reason)
        seen.append(member.state)
    good, bad = ["healthy"] * 4, ["unhealthy"] * 3
    assert seen == [*good, *bad, "healthy"]


def test_a_listener_that_has_no_table_says_so(listener):
    """What nobody has set up yet answers nothing good."""
    with Traffic(url=listener.url, clients=1) as traffic:
        traffic.wait_for(2)
    assert set(traffic.report.statuses) == {404}


def test_requests_under_way_are_answered_while_their_target_drains(
    runner, machine_of, listener
):
    """A target that leaves gets nothing new, and ends what it has."""
    machine = machine_of("release=old delay=0.5")
    runner.run(machine.boot())
    pool = _pool(machine)
    listener.publish(_table(pool))
    with Traffic(url=listener.url, clients=4) as traffic:
        traffic.wait_for(1)
        pool.deregister(machine.id)
        traffic.wait_for(8)
    answered = [s.status for s in traffic.report.samples]
    assert set(answered[:4]) == {200}
    assert traffic.report.statuses[503]


def test_a_target_that_dies_under_a_request_is_a_bad_gateway(
    runner, machine_of, listener
):
    """The client is told, and does not wait for ever."""
    machine = machine_of("delay=30")
    runner.run(machine.boot())
    listener.publish(_table(_pool(machine)))
    with Traffic(url=listener.url, clients=1) as traffic:
        while not machine._connections:
            pass
        runner.run(machine.halt())
        traffic.wait_for(1)
    assert set(traffic.report.statuses) == {502}


def test_a_change_reaches_each_node_at_its_own_time(runner, addresses):
    """The first node at once, the last after the spread."""
    old, new = (
        Table(rules=(Rule(action=Action(fixed=Response(status=status))),))
        for status in (200, 204)
    )
    listener = Listener(address="127.0.0.1", port=0, nodes=2, spread_s=60)
    listener.publish(old)
    listener.publish(new)
    assert listener.seen_by(0) == new
    assert listener.seen_by(1) == old
    listener.spread_s = 0.0
    assert listener.seen_by(1) == new


def test_a_report_tells_the_cut_over_and_what_was_lost():
    """From samples that are known: when the new was first, and the old last."""
    report = Report(
        samples=tuple(
            Sample(started=float(n), ended=n + 0.5, status=status, release=release)
            for n, (status, release) in enumerate(
                [(200, "a"), (200, "b"), (200, "a"), (503, ""), (0, ""), (200, "b")]
            )
        )
    )
    assert report.cut_over("a", "b") == (1.5, 2.5)
    assert len(report.lost) == 2
    assert report.releases == {"a": 2, "b": 2}
    assert report.since(3.0).statuses == {503: 1, 0: 1, 200: 1}
    assert report.cut_over("a", "c") is None


def _pool(*machines):
    known = {machine.id: machine for machine in machines}
    pool = Pool(
        name="pool",
        check=Check(healthy=3, unhealthy=2),
        resolve=lambda target, port: known[target].where(port),
    )
    for machine in machines:
        pool.register(machine.id, 8080)
    return pool


def _table(pool):
    return Table(rules=(Rule(action=Action(shares=(Share(pool=pool),))),))
