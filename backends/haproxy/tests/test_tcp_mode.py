import socket
from contextlib import closing
from datetime import timedelta

import pytest
from haproxy_tools import (
    BLUE,
    GREEN,
    OWNER,
    PATIENCE_S,
    Servers,
    Switches,
    ask,
    attach,
    eventually,
    ready,
    route,
)

from immutable.model import Health, HealthCheck

pytestmark = pytest.mark.haproxy


def test_connections_are_routed(servers: Servers, switches: Switches) -> None:
    """In mode tcp each new connection follows the routing, one that exists stays."""
    one, two = servers("one", "two")
    switch = switches(mode="tcp")
    attach(switch, BLUE, one)
    attach(switch, GREEN, two)
    route(switch, preview=GREEN, blue=100)
    assert (ask(switch), ask(switch, preview=True)) == ("one", "two")
    endpoint = switch.endpoints()[0]
    address = (endpoint.host, endpoint.port)
    with closing(socket.create_connection(address, timeout=PATIENCE_S)) as kept:
        kept.sendall(b"GET / HTTP/1.1\r\n\r\n")
        assert kept.recv(9999).endswith(b"one")
        assert switch.sessions(BLUE) == 1
        route(switch, green=100)
        assert ask(switch) == "two"
        kept.sendall(b"GET / HTTP/1.1\r\n\r\n")
        assert kept.recv(9999).endswith(b"one")
        assert switch.sessions(BLUE) == 1
        switch.join(BLUE, (), drain=timedelta(milliseconds=50))
        assert kept.recv(9999) == b""
    eventually(lambda: switch.sessions(BLUE) == 0, "drained")


def test_empty_routing_closes(servers: Servers, switches: Switches) -> None:
    """In mode tcp nobody is served without a routing; clients are told at once."""
    (one,) = servers("one")
    switch = switches(mode="tcp")
    attach(switch, BLUE, one)
    endpoint = switch.endpoints()[0]
    with closing(socket.create_connection((endpoint.host, endpoint.port))) as link:
        link.settimeout(PATIENCE_S)
        assert link.recv(10) == b""


@pytest.mark.parametrize("mode", ["http", "tcp"])
def test_bare_connections_are_probed(
    mode: str, servers: Servers, switches: Switches
) -> None:
    """Without a path a connection is probe enough, in either mode."""
    one, two = servers("one", "two")
    switch = switches(mode=mode, interval="20ms")
    check = HealthCheck(port=one.port)
    switch.attach(BLUE, health=check, owner=OWNER, expected=switch.read().version)
    switch.join(BLUE, (one.member, two.member), drain=timedelta())
    ready(switch, BLUE)
    assert "L4OK" in switch.health(BLUE)[0].evidence
    one.kill()
    eventually(lambda: switch.health(BLUE)[0].health is Health.UNREADY, "unready")
    assert switch.health(BLUE)[1].health is Health.READY
    assert one.asked() == []


def test_http_probes_in_tcp_mode(servers: Servers, switches: Switches) -> None:
    """Probing by HTTP does not depend on what is routed."""
    (one,) = servers("one")
    switch = switches(mode="tcp", interval="20ms")
    attach(switch, BLUE, one)
    one.sick.touch()
    eventually(lambda: switch.health(BLUE)[0].health is Health.UNREADY, "unready")
