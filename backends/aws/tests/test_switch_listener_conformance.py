"""The kit's cases of the weaker switch, on listeners of both kinds of load balancer."""

from collections.abc import Iterator

import pytest
from ground import prepared, servers

from emulators.aws import Emulator
from emulators.aws.account import Account
from immutable.model import ServiceName
from immutable.testing import conformance
from immutable.urls import Url
from immutable_aws.listener_switch import ListenerSwitch, open_listener_switch

_PORTS = 5


@pytest.fixture(scope="module", params=["network", "application"])
def account(request: pytest.FixtureRequest, cloud: Emulator) -> Iterator[Account]:
    """Return an account of an emulated AWS with a load balancer of one kind."""
    cloud.reset()
    with pytest.MonkeyPatch.context() as patch:
        yield prepared(cloud, patch, request.param)
    assert cloud.bugs() == ()


@pytest.fixture(scope="module")
def subject(account: Account) -> conformance.Subject:
    """Return a switch without a backend; each service has a listener and some ports."""
    numbers = dict[str, int]()

    def switch(service: ServiceName) -> ListenerSwitch:
        number = numbers.setdefault(service, len(numbers))
        first = 9000 + _PORTS * number
        url = (
            f"nlb://{account.region}?listener={account.listener_at(number)}"
            f"&checks={first}-{first + _PORTS - 1}"
            "&drain=0s&propagation=0s&staleness=0s"
        )
        return open_listener_switch(Url.parse(url), service=service, port=8080)

    return conformance.Subject(
        backend=None,
        switch=switch,
        servers=lambda count: servers(account, count),
        kill=account.emulator.kill,
        port=8080,
        ready_timeout="20s",
        name=f"listener of {account.kind}",
    )


test_listener = conformance.switch_cases()
