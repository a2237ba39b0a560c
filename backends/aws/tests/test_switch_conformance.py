"""The kit's cases of a switch, on the emulated load balancers, in front of real servers."""

import urllib.error
import urllib.request
from collections.abc import Iterator

import pytest
from ground import prepared, servers

from emulators.aws import Emulator
from emulators.aws.account import Account
from immutable.model import Endpoint, ServiceName
from immutable.testing import conformance
from immutable.urls import Url
from immutable_aws.switch import AlbSwitch, open_switch


@pytest.fixture(scope="module")
def account(cloud: Emulator) -> Iterator[Account]:
    """Return an account of an emulated AWS for all of the kit's cases."""
    cloud.reset()
    with pytest.MonkeyPatch.context() as patch:
        yield prepared(cloud, patch)
    assert cloud.bugs() == ()


@pytest.fixture(scope="module")
def subject(account: Account) -> conformance.Subject:
    """Return a switch without a backend; ten services share a listener, by bands."""
    bands = dict[str, int]()

    def switch(service: ServiceName) -> AlbSwitch:
        number = bands.setdefault(service, len(bands))
        first = 1 + 1200 * (number % 10)
        url = (
            f"alb://{account.region}?listener={account.listener_at(number // 10)}"
            f"&band={first}-{first + 1199}&paths=/{service}/*"
            "&preview_from=127.0.0.0/8&drain=0s&propagation=0s&staleness=0s"
        )
        return open_switch(Url.parse(url), service=service, port=8080)

    return conformance.Subject(
        backend=None,
        switch=switch,
        servers=lambda count: servers(account, count),
        kill=account.emulator.kill,
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
