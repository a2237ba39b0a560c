"""The kit's cases on the emulated AWS: groups of real servers behind real listeners."""

import itertools
import urllib.error
import urllib.request
from collections.abc import Iterator

import pytest
from ground import quick_account

from emulators.aws.account import REGION, Account
from immutable.model import Endpoint, InstanceId, Member, ServiceName
from immutable.testing import conformance
from immutable_aws.inventory import inventory
from immutable_aws.session import Place, aws_of

_FIRST_PORT, _PORT = 8100, 8080
# logs are kept by contract; the newest routing is what tells late writers from new ones
_STAY = ("log group ", "rule routing ")


@pytest.fixture(scope="session")
def account() -> Iterator[Account]:
    """Return an account of an emulated AWS, for all cases."""
    with quick_account() as made:
        yield made


@pytest.fixture(scope="session")
def subject(account: Account) -> conformance.Subject:
    """Return the backend; each service has a listener of its own."""
    listeners = dict[ServiceName, str]()
    ports = itertools.count(_FIRST_PORT)

    def switch(service: ServiceName) -> str:
        if service not in listeners:
            listeners[service] = _listen(account, next(ports))
        return (
            f"alb://{REGION}?listener={listeners[service]}&preview_from=127.0.0.0/8"
            "&drain=0s&propagation=0s&staleness=200ms"
        )

    def left(service: ServiceName) -> frozenset[str]:
        found = inventory(aws_of(Place(region=REGION)), service=service)
        return frozenset(name for name in found if not name.startswith(_STAY))

    subnets = ",".join(account.subnets)
    plain = account.image("release=plain")
    return conformance.Subject(
        # fleets of cases that are about names have no place, whose subnets would be found
        backend=f"aws://{REGION}?subnets={subnets}&pace=50ms&staleness=200ms&drain=0s",
        good=account.image("release=good"),
        another=account.image("release=another"),
        broken=account.image("release=broken sick"),
        switch=switch,
        # a group gives its instances to the switch by itself, when they are in service:
        # cases about members as such are held with servers of no group
        servers=lambda count: _servers(account, plain, count),
        kill=lambda instance: account.emulator.kill(instance, state="terminated"),
        visit=_visit,
        inventory=left,
        port=_PORT,
        health="/health",
        ready_timeout="20s",
        fails_after="2s",
        crashes=3,
        name="aws",
    )


def _listen(account: Account, port: int) -> str:
    made = account.elbv2.create_listener(
        LoadBalancerArn=account.load_balancer,
        Protocol="HTTP",
        Port=port,
        DefaultActions=[
            {"Type": "fixed-response", "FixedResponseConfig": {"StatusCode": "503"}}
        ],
    )
    return made["Listeners"][0]["ListenerArn"]


def _servers(account: Account, image: str, count: int) -> tuple[Member, ...]:
    launched = account.launch(image, count)
    account.until(lambda: all(account.state(i) == "running" for i in launched))
    found = account.ec2.describe_instances(InstanceIds=launched)["Reservations"]
    return tuple(
        Member(
            instance=InstanceId(row["InstanceId"]),
            address=row["PrivateIpAddress"],
            port=_PORT,
        )
        for reservation in found
        for row in reservation["Instances"]
    )


def _visit(endpoint: Endpoint) -> str:
    request = urllib.request.Request(endpoint.url, headers=dict(endpoint.headers))
    try:
        with urllib.request.urlopen(request, timeout=10) as answer:
            return str(answer.headers["x-release"])
    except urllib.error.HTTPError:
        return ""


test_backend = conformance.backend_cases()
