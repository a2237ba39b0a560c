"""The kit's cases of a switch, on a real HAProxy in front of real servers."""

import itertools
from collections.abc import Iterator
from pathlib import Path

import pytest
from haproxy_tools import Server, Servers, Switches
from ports import free_port

from immutable.model import Member, ServiceName
from immutable.testing import conformance
from immutable_haproxy import HAProxySwitch

pytestmark = pytest.mark.haproxy


@pytest.fixture(scope="module")
def subject(tmp_path_factory: pytest.TempPathFactory) -> Iterator[conformance.Subject]:
    """Return a switch without a backend; servers are started as members are wanted."""
    folder: Path = tmp_path_factory.mktemp("conformance")
    started, running = Servers(folder), dict[str, Server]()
    switches, listens = Switches(folder), dict[str, str]()
    names = (f"server-{number}" for number in itertools.count())

    def switch(service: ServiceName) -> HAProxySwitch:
        listen = listens.setdefault(service, f"127.0.0.1:{free_port()}")
        return switches(service=service, listen=listen)

    def servers(count: int) -> tuple[Member, ...]:
        fresh = started(*itertools.islice(names, count))
        running.update({server.name: server for server in fresh})
        return tuple(server.member for server in fresh)

    yield conformance.Subject(
        backend=None,
        switch=switch,
        servers=servers,
        kill=lambda instance: running[instance].kill(),
        close=lambda service: switch(service).shut_down(),
        port=started.port,
        health="/health",
        ready_timeout="20s",
        name="haproxy",
    )
    switches.end()
    started.end()


test_haproxy = conformance.switch_cases()
