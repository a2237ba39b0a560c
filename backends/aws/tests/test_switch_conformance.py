"""The kit's cases of a switch, on the emulated load balancers, in front of real servers."""

import urllib.error
import urllib.request
from collections.abc import Iterator

import pytest
from estates import Estate, found

from emulators import aws
from immutable.model import Endpoint, ServiceName
from immutable.testing import conformance
from immutable.urls import Url
from immutable_aws.switch import AlbSwitch, open_switch


@pytest.fixture(scope="module")
def ground() -> Iterator[Estate]:
    """Return an account of an emulated AWS for all of the kit's cases."""
    with aws.start() as emulator, pytest.MonkeyPatch.context() as patch:
        yield found(emulator, patch)
        assert emulator.bugs() == ()


@pytest.fixture(scope="module")
def subject(ground: Estate) -> conformance.Subject:
    """Return a switch without a backend; ten services share a listener, by bands."""
    bands = dict[str, int]()

    def switch(service: ServiceName) -> AlbSwitch:
        number = bands.setdefault(service, len(bands))
        first = 1 + 1200 * (number % 10)
        url = (
            f"alb://{ground.region}?listener={ground.listener_at(number // 10)}"
            f"&band={first}-{first + 1199}&paths=/{service}/*"
            "&preview_from=127.0.0.0/8&drain=0s&propagation=0s&staleness=0s"
        )
        return open_switch(Url.parse(url), service=service, port=8080)

    return conformance.Subject(
        backend=None,
        switch=switch,
        servers=ground.servers,
        kill=ground.emulator.kill,
        port=8080,
        health="/health",
        ready_timeout="20s",
        visit=_visit,
        name="alb",
    )


def _visit(endpoint: Endpoint) -> str:
    request = urllib.request.Request(endpoint.url, headers=dict(endpoint.headers))
    try:
        with urllib.request.urlopen(request, timeout=10) as answer:
            return answer.read().decode()
    except urllib.error.HTTPError:
        return ""


test_alb = conformance.switch_cases()
