import os
import subprocess
import sys
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from pathlib import Path

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
    free_port,
    ready,
    route,
)

from immutable.errors import Conflict
from immutable.model import Routing
from immutable_haproxy import HAProxySwitch
from immutable_haproxy.runtime import conversation
from immutable_haproxy.servers import parse_servers

pytestmark = pytest.mark.haproxy
DEATHS: dict[str, Callable[[Switches], tuple[int, ...]]] = {
    "haproxy": lambda switches: (switches.haproxy(),),
    "supervisor": lambda switches: (switches.supervisor(),),
    "supervisor first": lambda switches: (switches.supervisor(), switches.haproxy()),
    "haproxy first": lambda switches: (switches.haproxy(), switches.supervisor()),
}


def two_fleets(servers: Servers, switch: HAProxySwitch) -> None:
    """Attach two fleets, the first with two members."""
    one, two, three = servers("one", "two", "three")
    attach(switch, BLUE, one, two)
    attach(switch, GREEN, three)


@pytest.mark.parametrize("death", DEATHS)
def test_death_keeps_everything(
    death: str, servers: Servers, switches: Switches
) -> None:
    """Killing any of the processes, or all, leaves everything as it was."""
    switch = switches()
    two_fleets(servers, switch)
    route(switch, preview=GREEN, blue=100)
    before = switch.read()
    switches.kill(*DEATHS[death](switches))
    after = switch.read()
    assert after.routing == before.routing
    assert after.owner == before.owner
    assert after.attachments == before.attachments
    ready(switch, BLUE, GREEN)
    with Client(switch) as client:
        assert {client.ask() for _ in range(10)} == {"one", "two"}
    assert ask(switch, preview=True) == "three"
    assert switches.haproxy()
    assert switches.supervisor()
    route(switch, green=100)
    assert ask(switch) == "three"


def test_versions_do_not_outlive_the_process(
    servers: Servers, switches: Switches
) -> None:
    """A version read before HAProxy's death is refused after it."""
    switch = switches()
    two_fleets(servers, switch)
    stale = route(switch, blue=100)
    switches.kill(switches.haproxy())
    assert switch.read().version != stale
    with pytest.raises(Conflict):
        switch.write(Routing(weights={GREEN: 100}), owner=OWNER, expected=stale)
    # The same count as before: only the identity of the process tells them apart.
    for _ in range(8):
        version = route(switch, blue=100)
        if version.split(".")[1:] == stale.split(".")[1:]:
            break
    with pytest.raises(Conflict):
        switch.write(Routing(weights={GREEN: 100}), owner=OWNER, expected=stale)
    assert version.split(".")[1:] == stale.split(".")[1:]
    assert ask(switch) != "three"


def test_supervisor_death_is_not_noticed(servers: Servers, switches: Switches) -> None:
    """When only the restarter dies HAProxy goes on serving; the next call adopts it."""
    switch = switches()
    two_fleets(servers, switch)
    route(switch, green=100)
    haproxy = switches.haproxy()
    with Traffic(switch) as traffic:
        switches.kill(switches.supervisor())
        version = switch.read().version
        traffic.more()
        assert switches.supervisor()
        assert switches.haproxy() == haproxy
    assert set(traffic.answers) == {"three"}
    switches.kill(haproxy)
    eventually(
        lambda: switches.haproxy() not in {0, haproxy}, "the adopter restarts it"
    )
    eventually(lambda: attempt(switch, "/") == "three", "it serves")
    assert switch.read().version != version


def test_connections_wait_for_the_restart(servers: Servers, switches: Switches) -> None:
    """While HAProxy is started again new connections wait: none is refused."""
    switch = switches()
    two_fleets(servers, switch)
    route(switch, green=100)
    with Traffic(switch, keep=False, clients=3) as traffic:
        for _ in range(3):
            switches.kill(switches.haproxy())
            traffic.more()
    assert not [answer for answer in traffic.answers if "refused" in answer]
    assert traffic.answers["three"] > traffic.answers.total() - 20


def test_map_is_on_disk_before_it_is_served(
    servers: Servers, switches: Switches
) -> None:
    """HAProxy killed right after a write serves what was written, every time."""
    switch = switches()
    two_fleets(servers, switch)
    for number in range(6):
        fleet, name = (("green", {"three"}), ("blue", {"one", "two"}))[number % 2]
        route(switch, **{fleet: 100})
        switches.kill(switches.haproxy())
        assert ask(switch) in name


def test_dead_writer_between_file_and_commit(
    servers: Servers, switches: Switches
) -> None:
    """A file that was replaced without its commit is put right by the next reading."""
    switch = switches()
    two_fleets(servers, switch)
    route(switch, green=100)
    stored = switches.directory() / "routing.map"
    green = stored.read_text()
    route(switch, blue=100)
    blue = stored.read_text()
    stored.write_text(green)
    assert switch.read().routing.weight_of(BLUE) == 100
    assert stored.read_text() == blue
    switches.kill(switches.haproxy())
    assert ask(switch) in {"one", "two"}


def test_haproxy_dies_between_file_and_commit(
    servers: Servers, switches: Switches
) -> None:
    """When writer and HAProxy both die there, the new routing is served, whole."""
    switch = switches()
    two_fleets(servers, switch)
    route(switch, green=100)
    stored = switches.directory() / "routing.map"
    green = stored.read_text()
    route(switch, blue=100)
    stored.write_text(green)
    switches.kill(switches.haproxy())
    view = switch.read()
    assert view.routing == Routing(weights={GREEN: 100})
    assert {ask(switch) for _ in range(5)} == {"three"}


def test_members_left_in_a_freed_slot(servers: Servers, switches: Switches) -> None:
    """Servers that a dead writer left are gone before their slot is given out."""
    one, two = servers("one", "two")
    switch = switches(slots="2")
    attach(switch, BLUE, one)
    version = attach(switch, GREEN, two)
    configuration = switches.directory() / "haproxy.cfg"
    with_member = configuration.read_text()
    switch.detach(BLUE, owner=OWNER, expected=version)
    configuration.write_text(with_member)
    switches.kill(switches.haproxy())
    version = switch.read().version
    switch.attach("third", health=one.check(), owner=OWNER, expected=version)
    members = {a.fleet: a.members for a in switch.read().attachments}
    assert members == {"third": (), GREEN: (two.member,)}
    assert switch.health("third") == ()
    assert "server one" not in configuration.read_text()


def test_members_of_a_dead_writer_leave_with_their_fleet(
    servers: Servers, switches: Switches
) -> None:
    """Members that were only written down do not come back after a restart."""
    one, two = servers("one", "two")
    switch = switches()
    attach(switch, BLUE, one)
    configuration = switches.directory() / "haproxy.cfg"
    without = configuration.read_text()
    attach(switch, GREEN, two)
    with_member = configuration.read_text()
    switch.join(GREEN, (), drain=timedelta())
    configuration.write_text(with_member)
    switch.detach(GREEN, owner=OWNER, expected=switch.read().version)
    assert configuration.read_text() == without


def tell_haproxy(switches: Switches, *commands: str) -> None:
    """Do what a writer did before it died, or a person by hand."""
    with conversation(switches.directory() / "haproxy.sock") as talk:
        talk.tell(*commands)


@pytest.mark.parametrize("state", ["drain", "maint"])
def test_members_left_behind_go_with_the_next_write(
    state: str, servers: Servers, switches: Switches
) -> None:
    """A writer died while a member left: the next write removes what it only stopped."""
    switch = switches()
    two_fleets(servers, switch)
    route(switch, blue=100)
    slot = switch.read().attachments[0].place
    tell_haproxy(switches, f"set server {slot}/two state {state}")
    route(switch, blue=100)
    with conversation(switches.directory() / "haproxy.sock") as talk:
        (listed,) = talk.ask("show servers state")
    assert {server.name for server in parse_servers(listed)} == {"one", "three"}
    assert "server two" not in (switches.directory() / "haproxy.cfg").read_text()
    assert {ask(switch) for _ in range(5)} == {"one"}


def test_members_left_behind_finish_what_they_do(
    servers: Servers, switches: Switches
) -> None:
    """A write cuts no request short that a leaving member is still answering."""
    switch = switches()
    two_fleets(servers, switch)
    route(switch, green=100)
    slot = switch.read().attachments[1].place
    with ThreadPoolExecutor(1) as pool:
        answer = pool.submit(ask, switch, "/slow/1")
        eventually(lambda: switch.sessions(GREEN) == 1, "the request is under way")
        tell_haproxy(switches, f"set server {slot}/three state drain")
        route(switch, blue=100)
        assert answer.result() == "three"


def test_outlives_the_embedding_process(
    servers: Servers, switches: Switches, tmp_path: Path
) -> None:
    """The program that set the switch up may end; HAProxy serves on."""
    (one,) = servers("one")
    switch = switches()
    listen, preview = (endpoint.port for endpoint in switch.endpoints())
    program = f"""
from immutable.model import HealthCheck
from immutable.urls import Url
from immutable_haproxy import open_switch
options = {{"directory": {str(switches.directory())!r}, "fast": "20ms"}}
options |= {{"listen": "127.0.0.1:{listen}", "preview": "127.0.0.1:{preview}"}}
switch = open_switch(Url(scheme="haproxy", options=options), service="shop", port=8080)
check = HealthCheck(port={one.port}, path="/health")
switch.attach({BLUE!r}, health=check, owner={OWNER!r}, expected=switch.read().version)
"""
    done = subprocess.run(
        [sys.executable, "-c", program],
        env=os.environ | {"PYTHONPATH": os.pathsep.join(sys.path)},
        cwd=tmp_path,
        capture_output=True,
        timeout=60,
        check=False,
    )
    # A pipe that a survivor held open would have kept `run` waiting.
    assert (done.returncode, done.stdout, done.stderr) == (0, b"", b"")
    switch.join(BLUE, (one.member,), drain=timedelta())
    ready(switch, BLUE)
    route(switch, blue=100)
    assert ask(switch) == "one"
    for pid in (switches.haproxy(), switches.supervisor()):
        assert os.getsid(pid) != os.getsid(0)
        assert Path(f"/proc/{pid}/cwd").readlink() == switches.directory()
        assert Path(f"/proc/{pid}/fd/0").readlink() == Path("/dev/null")
        assert (
            Path(f"/proc/{pid}/fd/1").readlink() == switches.directory() / "haproxy.log"
        )


def test_two_services_side_by_side(servers: Servers, switches: Switches) -> None:
    """Each service has its own HAProxy; ending one does not touch the other."""
    one, two = servers("one", "two")
    shop, blog = switches(), switches(service="blog", listen=f"127.0.0.1:{free_port()}")
    attach(shop, BLUE, one)
    route(shop, blue=100)
    attach(blog, GREEN, two)
    route(blog, green=100)
    assert (ask(shop), ask(blog)) == ("one", "two")
    blog.shut_down()
    assert ask(shop) == "one"
    assert switches.haproxy()


def test_private_files(servers: Servers, switches: Switches) -> None:
    """Directory, files and socket are their owner's alone."""
    (one,) = servers("one")
    attach(switches(), BLUE, one)
    folder = switches.directory()
    assert folder.stat().st_mode & 0o777 == 0o700
    assert {path.stat().st_mode & 0o077 for path in folder.iterdir()} == {0}
