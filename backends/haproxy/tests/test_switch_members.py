import threading
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta

import pytest
from haproxy_tools import (
    BLUE,
    GREEN,
    OWNER,
    Client,
    Servers,
    Switches,
    Traffic,
    ask,
    attach,
    attempt,
    eventually,
    ready,
    route,
)

from immutable.errors import Conflict, InvalidInput
from immutable.model import Health, HealthCheck, InstanceId, Member

pytestmark = pytest.mark.haproxy
NOW = timedelta()


def test_no_probe_is_no_pass(servers: Servers, switches: Switches) -> None:
    """Before its first probe a member is unknown, and gets no requests either."""
    (one,) = servers("one")
    switch = switches(interval="1h", fast="1h")
    version = switch.read().version
    switch.attach(BLUE, health=one.check(), owner=OWNER, expected=version)
    switch.join(BLUE, (one.member,), drain=NOW)
    (probe,) = switch.health(BLUE)
    assert (probe.instance, probe.health) == ("one", Health.UNKNOWN)
    assert "INI" in probe.evidence
    route(switch, blue=100)
    assert ask(switch) == "503"


def test_sick_member_is_unready(servers: Servers, switches: Switches) -> None:
    """A member that answers 503 is unready, with that evidence, until it recovers."""
    (one,) = servers("one")
    switch = switches(interval="20ms")
    attach(switch, BLUE, one)
    one.sick.touch()
    eventually(lambda: switch.health(BLUE)[0].health is Health.UNREADY, "unready")
    # while a check is under way, HAProxy shows its last status without the code
    eventually(lambda: "L7STS 503" in switch.health(BLUE)[0].evidence, "the evidence")
    one.sick.unlink()
    ready(switch, BLUE)


def test_dead_member_is_unready(servers: Servers, switches: Switches) -> None:
    """A member whose process died is unready; the evidence says that nobody listens."""
    one, two = servers("one", "two")
    switch = switches(interval="20ms")
    attach(switch, BLUE, one, two)
    one.kill()
    eventually(lambda: switch.health(BLUE)[0].health is Health.UNREADY, "unready")
    assert "L4CON" in switch.health(BLUE)[0].evidence
    assert switch.health(BLUE)[1].health is Health.READY


def test_join_is_absolute(servers: Servers, switches: Switches) -> None:
    """Joining makes the members exactly the given ones, however often repeated."""
    one, two, three = servers("one", "two", "three")
    switch = switches()
    version = attach(switch, BLUE, one, two)
    route(switch, blue=100)
    for fleet in (
        (one, two),
        (two, three),
        (three,),
        (one, two, three),
        (one, two, three),
    ):
        members = tuple(server.member for server in fleet)
        switch.join(BLUE, members, drain=NOW)
        (attachment,) = switch.read().attachments
        assert set(attachment.members) == set(members)
        ready(switch, BLUE)
        with Client(switch) as client:
            assert {client.ask() for _ in range(12)} == {m.name for m in fleet}
    assert switch.read().version != version


def test_join_leaves_the_version(servers: Servers, switches: Switches) -> None:
    """Members come and go without making a write of the routing conflict."""
    one, two = servers("one", "two")
    switch = switches()
    version = attach(switch, BLUE, one)
    switch.join(BLUE, (one.member, two.member), drain=NOW)
    assert switch.read().version == version


def test_join_without_a_slot(servers: Servers, switches: Switches) -> None:
    """A fleet that has no slot, or has lost it, is refused and changes nothing."""
    one, two = servers("one", "two")
    switch = switches()
    with pytest.raises(Conflict, match="not attached"):
        switch.join(BLUE, (one.member,), drain=NOW)
    version = attach(switch, BLUE, one)
    switch.detach(BLUE, owner=OWNER, expected=version)
    attach(switch, GREEN, two)
    with pytest.raises(Conflict, match="not attached"):
        switch.join(BLUE, (one.member,), drain=NOW)
    (attachment,) = switch.read().attachments
    assert attachment.members == (two.member,)


def test_bad_members(servers: Servers, switches: Switches) -> None:
    """A member that cannot be reached, or could forge commands, is refused."""
    (one,) = servers("one")
    switch = switches()
    attach(switch, BLUE, one)
    for address in (
        "example.org",
        "127.0.0.1 weight 5",
        "1.2.3.4\nshow info",
        "fe80::1%eth0",
        "",
    ):
        bad = Member(instance=InstanceId("bad"), address=address, port=80)
        with pytest.raises(InvalidInput, match=r"address|zone"):
            switch.join(BLUE, (one.member, bad), drain=NOW)
    for port in (0, -1, 65536):
        bad = Member(instance=InstanceId("bad"), address="127.0.0.1", port=port)
        with pytest.raises(InvalidInput, match="port"):
            switch.join(BLUE, (bad,), drain=NOW)
    assert switch.read().attachments[0].members == (one.member,)


def test_strange_instance_names(servers: Servers, switches: Switches) -> None:
    """Instances may be called anything: spaces, slashes, newlines, another script."""
    (one,) = servers("one")
    switch = switches()
    attach(switch, BLUE, one)
    names = [
        "/subscriptions/a/vm",
        "two words",
        "new\nline; shutdown",
        "日本",
        "_",
        "a" * 200,
    ]
    members = tuple(
        Member(instance=InstanceId(name), address=one.host, port=one.port)
        for name in names
    )
    switch.join(BLUE, members, drain=NOW)
    ready(switch, BLUE)
    assert [probe.instance for probe in switch.health(BLUE)] == names
    switches.kill(switches.haproxy())
    ready(switch, BLUE)
    assert {probe.instance for probe in switch.health(BLUE)} == set(names)


def test_same_instance_elsewhere(servers: Servers, switches: Switches) -> None:
    """An instance that comes back at another address is probed anew."""
    one, two = servers("one", "two")
    switch = switches()
    attach(switch, BLUE, one)
    moved = Member(instance=InstanceId("one"), address=two.host, port=two.port)
    switch.join(BLUE, (moved,), drain=NOW)
    (attachment,) = switch.read().attachments
    assert attachment.members == (moved,)


def test_forwarded_ports(servers: Servers, switches: Switches) -> None:
    """When the service's own port is probed, a member is probed where it is reached."""
    (one,) = servers("one")
    switch = switches()
    check = HealthCheck(port=8080, path="/health")
    switch.attach(BLUE, health=check, owner=OWNER, expected=switch.read().version)
    switch.join(BLUE, (one.member,), drain=NOW)
    ready(switch, BLUE)


def test_ipv6_members(servers: Servers, switches: Switches) -> None:
    """IPv6 members are probed and served, and known again after a restart."""
    one = servers.start("one", host="::1").wait()
    switch = switches()
    attach(switch, BLUE, one)
    route(switch, blue=100)
    assert ask(switch) == "one"
    switch.join(BLUE, (one.member,), drain=NOW)
    switches.kill(switches.haproxy())
    eventually(lambda: ask(switch) == "one", "it serves again")
    assert switch.read().attachments[0].members == (one.member,)


def test_sessions_are_requests(servers: Servers, switches: Switches) -> None:
    """Requests under way are counted, clients that merely stay connected are not."""
    (one,) = servers("one")
    switch = switches()
    attach(switch, BLUE, one)
    route(switch, blue=100)
    with Client(switch) as idle:
        assert idle.ask() == "one"
        eventually(lambda: switch.sessions(BLUE) == 0, "an idle client is no session")
        slow = [
            threading.Thread(target=ask, args=(switch, "/slow/2")) for _ in range(3)
        ]
        for thread in slow:
            thread.start()
        eventually(lambda: switch.sessions(BLUE) == 3, "three requests")
        for thread in slow:
            thread.join()
    eventually(lambda: switch.sessions(BLUE) == 0, "they ended")


def test_leaving_member_finishes(servers: Servers, switches: Switches) -> None:
    """A member that leaves finishes its request while new ones go elsewhere."""
    one, two = servers("one", "two")
    switch = switches()
    attach(switch, BLUE, one)
    route(switch, blue=100)
    answers: list[str] = []
    slow = threading.Thread(target=lambda: answers.append(ask(switch, "/slow/1.5")))
    slow.start()
    eventually(lambda: switch.sessions(BLUE) == 1, "the request is under way")
    switch.join(BLUE, (one.member, two.member), drain=NOW)
    ready(switch, BLUE)
    joining = threading.Thread(
        target=lambda: switch.join(BLUE, (two.member,), drain=timedelta(minutes=1))
    )
    joining.start()
    eventually(lambda: len(switch.read().attachments[0].members) == 1, "it leaves")
    with Client(switch) as client:
        assert {client.ask() for _ in range(20)} == {"two"}
    joining.join()
    slow.join()
    assert answers == ["one"]


def test_drain_ends(servers: Servers, switches: Switches) -> None:
    """A request that outlasts the drain is cut, and the member is gone."""
    one, two = servers("one", "two")
    switch = switches()
    attach(switch, BLUE, one)
    route(switch, blue=100)
    with ThreadPoolExecutor(1) as pool:
        answer = pool.submit(attempt, switch, "/slow/60", method="POST")
        eventually(lambda: "/slow/60" in one.asked(), "the request is under way")
        switch.join(BLUE, (two.member,), drain=timedelta(milliseconds=100))
        assert answer.result() not in {"one", "two"}
    (attachment,) = switch.read().attachments
    assert attachment.members == (two.member,)
    assert "/slow/60" not in two.asked()


def test_killed_member_fails_no_get(servers: Servers, switches: Switches) -> None:
    """A member killed under traffic costs no GET, on kept and on fresh connections."""
    one, two = servers("one", "two")
    switch = switches()
    attach(switch, BLUE, one, two)
    route(switch, blue=100)
    with Traffic(switch) as kept, Traffic(switch, keep=False) as fresh:
        one.kill()
        kept.more(500)
        fresh.more(200)
    assert set(kept.answers) == {"one", "two"}
    assert set(fresh.answers) == {"one", "two"}


def test_posts_are_not_repeated(servers: Servers, switches: Switches) -> None:
    """A POST that a member may have acted upon is not sent to another one; a GET is."""
    one, two = servers("one", "two")
    switch = switches()
    attach(switch, BLUE, one)
    route(switch, blue=100)
    with ThreadPoolExecutor(2) as pool:
        post = pool.submit(attempt, switch, "/slow/3.3", method="POST")
        eventually(lambda: "/slow/3.3" in one.asked(), f"the POST is sent: {post}")
        get = pool.submit(attempt, switch, "/slow/3.1")
        eventually(lambda: "/slow/3.1" in one.asked(), f"the GET is sent: {get}")
        switch.join(BLUE, (one.member, two.member), drain=NOW)
        ready(switch, BLUE)
        one.kill()
        assert post.result() not in {"one", "two"}
        assert get.result() == "two"
    assert "/slow/3.3" not in two.asked()


def test_joining_and_leaving_under_traffic(
    servers: Servers, switches: Switches
) -> None:
    """Members come and go under traffic without one failed request."""
    one, two, three = servers("one", "two", "three")
    switch = switches()
    attach(switch, BLUE, one)
    route(switch, blue=100)
    with Traffic(switch) as traffic:
        for fleet in ((one, two), (two, three), (three,), (one,), (one, two, three)):
            stay = tuple(server.member for server in fleet)
            before = switch.read().attachments[0].members
            switch.join(BLUE, tuple(dict.fromkeys((*before, *stay))), drain=NOW)
            ready(switch, BLUE)
            switch.join(BLUE, stay, drain=timedelta(seconds=20))
            traffic.more()
    assert set(traffic.answers) == {"one", "two", "three"}
