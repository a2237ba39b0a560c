from pathlib import Path

import attrs
import pytest
from hypothesis import given
from hypothesis import strategies as st

from immutable.errors import Unavailable
from immutable.model import Health, HealthCheck, InstanceId, Member
from immutable_haproxy import Address, HAProxyConfig
from immutable_haproxy.config import Probing
from immutable_haproxy.process import (
    check_configuration,
    find_program,
    supervisor_command,
)
from immutable_haproxy.rendering import render
from immutable_haproxy.servers import (
    Server,
    adding,
    changes,
    parse_servers,
    probe_of,
    wanted_servers,
)
from immutable_haproxy.settings import Settings, from_json, to_json
from immutable_haproxy.storage import Home

PLAIN = Settings(
    service="shop",
    config=HAProxyConfig(directory=Path("/x"), listen=Address(host="::1", port=80)),
    preview=Address(host="127.0.0.1", port=81),
    program="/usr/sbin/haproxy",
)
SERVER = Server(slot="http-1", name="a", address="10.0.0.1", port=80, check_port=81)
STATES = st.sampled_from([0, 1, 8, 9])
SERVERS = st.builds(
    Server,
    slot=st.just("http-1"),
    name=st.sampled_from("abcd"),
    address=st.sampled_from(["10.0.0.1", "10.0.0.2"]),
    port=st.just(80),
    check_port=st.just(80),
    admin=STATES,
)


def by_name(server: Server) -> str:
    """Return what servers of one slot must not share."""
    return server.name


@pytest.mark.haproxy
@pytest.mark.parametrize("mode", ["http", "tcp"])
@pytest.mark.parametrize("reuse", [True, False])
@pytest.mark.parametrize("nonce", ["", "0" * 32])
def test_haproxy_accepts_it(mode: str, reuse: bool, nonce: str, tmp_path: Path) -> None:
    """HAProxy takes every kind of configuration without a complaint."""
    config = attrs.evolve(PLAIN.config, mode=mode, reuse=reuse, threads=2)
    settings = attrs.evolve(
        PLAIN,
        config=config,
        nonce="" if mode == "tcp" else nonce,
        program=find_program("shop"),
    )
    servers = [
        attrs.evolve(SERVER, slot=slot, address="::1") for slot in ("http-1", "tcp-6")
    ]
    home = Home(tmp_path)
    home.configuration.write_text(render(settings, servers))
    home.routing.write_text("")
    check_configuration(home, settings)
    home.configuration.write_text(render(settings, [attrs.evolve(SERVER, name="a b")]))
    with pytest.raises(Unavailable, match="refuses its configuration"):
        check_configuration(home, settings)


def test_rendering_is_stable() -> None:
    """The same settings and members give the same bytes, members in their slots."""
    text = render(PLAIN, [SERVER])
    assert text == render(PLAIN, [SERVER])
    assert text.count("\n    server ") == 1
    assert "\nbackend http-1\n" in text.split("\n    server ")[0]
    assert "backend http-2" not in text.split("\n    server ")[0]


def test_settings_round_trip() -> None:
    """What was decided at the set-up reads back."""
    assert from_json(to_json(PLAIN)) == PLAIN
    secret = attrs.evolve(PLAIN, nonce="f" * 32, user="haproxy", group="haproxy")
    assert from_json(to_json(secret)) == secret


@given(st.lists(SERVERS, unique_by=by_name), st.lists(SERVERS, unique_by=by_name))
def test_changes_reach_the_goal(present: list[Server], goal: list[Server]) -> None:
    """Carrying the changes out leaves exactly the wanted members."""
    wanted = [attrs.evolve(server, admin=0) for server in goal]
    plan = changes(present, wanted)
    now = {server.name: server for server in present}
    for server in plan.delete:
        del now[server.name]
    for server in plan.add:
        assert server.name not in now
        now[server.name] = server
    for server in plan.restore:
        now[server.name] = attrs.evolve(server, admin=0)
    for server in plan.drain:
        now[server.name] = attrs.evolve(server, admin=8)
    members = {server.name: server for server in now.values() if server.is_member}
    assert members == {server.name: server for server in wanted}
    assert all(server.is_member or server.is_leaving for server in now.values())


@given(st.lists(SERVERS, unique_by=by_name))
def test_changes_to_the_same(present: list[Server]) -> None:
    """Members that stay are left alone: their health is not forgotten."""
    members = [server for server in present if server.is_member]
    plan = changes(members, members)
    assert plan == changes((), ())


def test_new_servers_get_nothing_before_a_probe() -> None:
    """A server is added without weight, and set down before it gets any."""
    commands = adding(attrs.evolve(SERVER, address="::1"), Probing())
    assert commands[0].startswith("add server http-1/a [::1]:80 check port 81 ")
    assert commands[0].endswith(" weight 0")
    assert commands.index("set server http-1/a health down") < commands.index(
        "set server http-1/a weight 1"
    )


def test_probed_port() -> None:
    """The check's port is probed; where it is the service's own, the member's is."""
    member = Member(instance=InstanceId("a"), address="10.0.0.1", port=31000)
    for port, probed in ((8080, 31000), (9000, 9000)):
        check = HealthCheck(port=port)
        (server,) = wanted_servers("tcp-1", [member], check, service_port=8080)
        assert (server.port, server.check_port) == (31000, probed)


@pytest.mark.parametrize(
    ("status", "check", "health"),
    [
        ("UP", "L7OK", Health.READY),
        ("UP", "* L7OK", Health.READY),
        ("UP", "L4OK", Health.READY),
        ("UP", "INI", Health.UNKNOWN),
        ("UP 1/3", "INI", Health.UNKNOWN),
        ("UP 2/3", "L4CON", Health.UNKNOWN),
        ("UP", "", Health.UNKNOWN),
        ("UP", "L6OK", Health.UNKNOWN),
        ("no check", "", Health.UNKNOWN),
        ("MAINT", "L7OK", Health.UNKNOWN),
        ("DRAIN", "L7OK", Health.UNKNOWN),
        ("DOWN", "INI", Health.UNKNOWN),
        ("DOWN", "* INI", Health.UNKNOWN),
        ("DOWN", "L4TOUT", Health.UNREADY),
        ("DOWN 1/2", "L7OK", Health.UNREADY),
        ("DOWN", "L7STS", Health.UNREADY),
        ("", "", Health.UNKNOWN),
        ("something new", "L9", Health.UNKNOWN),
    ],
)
def test_health_of_statuses(status: str, check: str, health: Health) -> None:
    """Only a recorded pass is ready; what is not understood is unknown."""
    row = {"svname": "i-1", "status": status, "check_status": check}
    assert probe_of(row).health is health


def test_columns_may_move() -> None:
    """Servers are read by the names of the columns; without them it is an error."""
    names = "srv_admin_state be_name srv_check_port srv_name new srv_port srv_addr"
    (server,) = parse_servers(f"1\n# {names}\n8 http-1 81 a ? 80 10.0.0.1\n")
    assert server == attrs.evolve(SERVER, admin=8)
    with pytest.raises(ValueError, match="srv_check_port"):
        parse_servers("1\n# be_name srv_name srv_addr srv_port\nhttp-1 a 10.0.0.1 80\n")
    with pytest.raises(ValueError, match="not a list"):
        parse_servers("Unknown command")


def test_supervisor_command() -> None:
    """Where systemd runs the restarter is a unit, else it detaches itself."""
    home = Home(Path("/var/lib/x"))
    own = supervisor_command(home, "shop", systemd=False)
    assert own[-2:] == ["/var/lib/x", "--detach"]
    unit = supervisor_command(home, "shop", systemd=True)
    assert unit[0] == "systemd-run"
    assert "--property=KillMode=process" in unit
    assert unit[-5:] == own[:-1]
    other = supervisor_command(Home(Path("/var/lib/y")), "shop", systemd=True)
    assert {word for word in unit if word.startswith("--unit=")}.isdisjoint(other)
