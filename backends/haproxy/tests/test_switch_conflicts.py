import threading
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta

import attrs
import pytest
from haproxy_tools import (
    BLUE,
    GREEN,
    OWNER,
    Servers,
    Switches,
    ask,
    attach,
    eventually,
    route,
)

from immutable.errors import Conflict
from immutable.model import HealthCheck, LedgerId, Routing, Version
from immutable_haproxy import HAProxySwitch
from immutable_haproxy.fence import Transaction, read
from immutable_haproxy.runtime import conversation
from immutable_haproxy.storage import Home

pytestmark = pytest.mark.haproxy


def test_stale_version_is_refused(servers: Servers, switches: Switches) -> None:
    """Every kind of write with an outdated version conflicts and changes nothing."""
    one, two = servers("one", "two")
    switch = switches()
    attach(switch, BLUE, one)
    stale = attach(switch, GREEN, two)
    now = route(switch, blue=100)
    before = switch.read()
    green = Routing(weights={GREEN: 100})
    with pytest.raises(Conflict):
        switch.write(green, owner=LedgerId("thief"), expected=stale)
    with pytest.raises(Conflict):
        switch.attach("third", health=one.check(), owner=OWNER, expected=stale)
    with pytest.raises(Conflict):
        switch.attach(BLUE, health=one.check(), owner=OWNER, expected=stale)
    with pytest.raises(Conflict):
        switch.detach(GREEN, owner=OWNER, expected=stale)
    with pytest.raises(Conflict):
        switch.detach("nobody", owner=OWNER, expected=stale)
    assert switch.read() == before
    assert before.version == now
    assert ask(switch) == "one"


def test_made_up_versions_are_refused(servers: Servers, switches: Switches) -> None:
    """Nothing but the version that was read will do."""
    (one,) = servers("one")
    switch = switches()
    version = attach(switch, BLUE, one)
    boot = version.split(".")[0]
    for wrong in (
        "not-running",
        "",
        f"{boot}.9.9",
        f"{boot}.0.0",
        f"other.{version[33:]}",
    ):
        with pytest.raises(Conflict):
            switch.write(Routing(), owner=OWNER, expected=Version(wrong))
    fresh = switches(service="other", listen="127.0.0.1:1")
    with pytest.raises(Conflict):
        fresh.write(Routing(), owner=OWNER, expected=version)
    assert not switches.directory("other").exists()


def test_one_of_many_writers_wins(servers: Servers, switches: Switches) -> None:
    """Of writers who read the same version exactly one succeeds, each time."""
    one, two = servers("one", "two")
    switch = switches()
    attach(switch, BLUE, one)
    attach(switch, GREEN, two)
    others = [switches() for _ in range(6)]
    for _ in range(10):
        expected = switch.read().version
        with ThreadPoolExecutor(len(others)) as pool:
            results = list(
                pool.map(lambda pair, e=expected: _try(*pair, e), enumerate(others))
            )
        winners = [name for name in results if name is not None]
        assert len(winners) == 1
        assert switch.read().owner == winners[0]


def _try(number: int, switch: HAProxySwitch, expected: Version) -> str | None:
    fleet = (BLUE, GREEN)[number % 2]
    routing = Routing(weights={fleet: 100})
    try:
        switch.write(routing, owner=LedgerId(f"writer-{number}"), expected=expected)
    except Conflict:
        return None
    return f"writer-{number}"


def test_writers_do_not_lose_updates(servers: Servers, switches: Switches) -> None:
    """Writers who read, change and try again leave each other's work in place."""
    (one,) = servers("one")
    switch = switches(slots="20")
    attach(switch, BLUE, one)
    names = [f"fleet-{number}" for number in range(8)]

    def add(name: str) -> None:
        own = switches(slots="20")
        while True:
            check = HealthCheck(port=one.port, path=f"/{name}")
            try:
                own.attach(name, health=check, owner=OWNER, expected=own.read().version)
            except Conflict:
                continue
            return

    threads = [threading.Thread(target=add, args=(name,)) for name in names]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert {a.fleet for a in switch.read().attachments} == {BLUE, *names}


def test_first_writer_wins(servers: Servers, switches: Switches) -> None:
    """Of two who set the same new switch up at once one succeeds."""
    (one,) = servers("one")
    pair = [switches(), switches()]
    expected = pair[0].read().version

    def first(number: int) -> str | None:
        owner = LedgerId(f"writer-{number}")
        try:
            pair[number].attach(
                BLUE, health=one.check(), owner=owner, expected=expected
            )
        except Conflict:
            return None
        return owner

    with ThreadPoolExecutor(2) as pool:
        winners = [owner for owner in pool.map(first, range(2)) if owner]
    assert winners == [pair[0].read().owner]


def test_foreign_prepare_is_noticed(servers: Servers, switches: Switches) -> None:
    """Somebody who prepares a map past the lock makes a write conflict."""
    one, two = servers("one", "two")
    switch = switches()
    attach(switch, BLUE, one)
    attach(switch, GREEN, two)
    expected = route(switch, blue=100)
    with conversation(switches.directory() / "haproxy.sock") as talk:
        talk.ask("prepare map routing.map")
        with pytest.raises(Conflict):
            switch.write(Routing(weights={GREEN: 100}), owner=OWNER, expected=expected)
    assert ask(switch) == "one"
    route(switch, green=100)
    assert ask(switch) == "two"


def test_overtaken_between_reading_and_preparing(
    servers: Servers, switches: Switches
) -> None:
    """A writer that HAProxy hands a later number than it read for gives up."""
    one, two = servers("one", "two")
    switch = switches()
    attach(switch, BLUE, one)
    attach(switch, GREEN, two)
    route(switch, blue=100)
    home = Home(switches.directory())
    with conversation(home.socket) as talk:
        reading = read(talk)
        talk.ask("prepare map routing.map")
        green = attrs.evolve(reading.table, routing=Routing(weights={GREEN: 100}))
        with pytest.raises(Conflict):
            Transaction(talk, home, "switch.write").change(reading, green)
    assert ask(switch) == "one"
    assert "http-1" in home.routing.read_text().split("\n")[0]


def test_late_commit_is_refused(servers: Servers, switches: Switches) -> None:
    """A writer overtaken between preparation and commit cannot land any more."""
    one, two = servers("one", "two")
    switch = switches()
    attach(switch, BLUE, one)
    attach(switch, GREEN, two)
    route(switch, blue=100)
    with conversation(switches.directory() / "haproxy.sock") as talk:
        (answer,) = talk.ask("prepare map routing.map")
        number = answer.split()[-1]
        lines = "".join(f"{bucket} http-2\n" for bucket in range(100))
        talk.ask(f"add map @{number} routing.map <<\n{lines}")
        expected = route(switch, blue=100)
        (answer,) = talk.ask(f"commit map @{number} routing.map")
    assert "out of range" in answer
    assert switch.read().version == expected
    assert ask(switch) == "one"


def test_leaving_member_called_back(servers: Servers, switches: Switches) -> None:
    """A member that another join calls back while it drains stays."""
    one, two = servers("one", "two")
    switch = switches()
    attach(switch, BLUE, one, two)
    route(switch, blue=100)
    switch.join(BLUE, (one.member,), drain=timedelta())
    slow = threading.Thread(target=ask, args=(switch, "/slow/2"))
    slow.start()
    eventually(lambda: switch.sessions(BLUE) == 1, "a request is under way")
    switch.join(BLUE, (one.member, two.member), drain=timedelta())
    leave = threading.Thread(
        target=lambda: switch.join(BLUE, (two.member,), drain=timedelta(minutes=1))
    )
    leave.start()
    eventually(lambda: len(switch.read().attachments[0].members) == 1, "it leaves")
    switch.join(BLUE, (one.member, two.member), drain=timedelta())
    leave.join()
    slow.join()
    (attachment,) = switch.read().attachments
    assert set(attachment.members) == {one.member, two.member}
