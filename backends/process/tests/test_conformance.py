"""The kit's cases, on real processes behind a real HAProxy."""

from collections.abc import Iterator
from urllib.request import urlopen

import pytest
from ports import free_port
from process_tools import backend_in, clear, kill, recipe_of

from immutable.model import Endpoint, ServiceName
from immutable.registry import open_switch
from immutable.testing import conformance

pytestmark = pytest.mark.haproxy


@pytest.fixture(scope="session")
def subject(tmp_path_factory: pytest.TempPathFactory) -> Iterator[conformance.Subject]:
    """Return the backend in a directory of its own; what is left over is ended."""
    place = tmp_path_factory.mktemp("process")
    backend = backend_in(place)
    switches: dict[ServiceName, str] = {}

    def switch(service: ServiceName) -> str:
        if service not in switches:
            listen = f"listen=127.0.0.1:{free_port()}&fast=20ms&threads=1"
            switches[service] = f"haproxy://?{listen}&directory={place}/{service}"
        return switches[service]

    def close(service: ServiceName) -> None:
        found = open_switch(switches[service], backend, service, port=8080)
        found.shut_down()

    def inventory(service: ServiceName) -> frozenset[str]:
        homes = (place / "p" / "instances").glob(f"{service}-*")
        return frozenset(home.name for home in homes)

    yield conformance.Subject(
        backend=f"process://?dir={place}/p",
        good=recipe_of("good", place),
        another=recipe_of("another", place),
        broken=recipe_of("sick", place),
        switch=switch,
        machines=backend.machines,
        kill=lambda instance: kill(backend, instance),
        visit=visit,
        inventory=inventory,
        close=close,
        port=8080,
        health="/healthz",
        ready_timeout="10s",
        fails_after="2s",
        crashes=12,
    )
    clear(place)


def visit(endpoint: Endpoint) -> str:
    """Return what a client is served."""
    with urlopen(endpoint.url, timeout=10) as answer:
        return str(answer.read().decode())


test_backend = conformance.backend_cases()
