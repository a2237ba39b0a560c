"""A server that speaks AWS's protocols, in this process: every request is seen.

It is moto, which stands for no more than itself: requests come one at a time, so that what
is atomic at AWS is so here, and each can be spoiled before or after it has its effect.
"""

import itertools
import json
import logging
import re
import socket
import sys
import threading
from collections.abc import Iterable, Iterator
from datetime import timedelta
from functools import cache
from io import BytesIO
from pathlib import Path
from typing import Any, Literal

import attrs
import pytest

from immutable.host import Stop, ThisHost, running_on

sys.path.insert(0, str(Path(__file__).parent))

_RUNS = itertools.count()
_SETTINGS = {
    "AWS_ACCESS_KEY_ID": "testing",
    "AWS_SECRET_ACCESS_KEY": "testing",
    "AWS_EC2_METADATA_DISABLED": "true",
}


@attrs.frozen(kw_only=True)
class Request:
    """A request as it came over the wire."""

    method: str
    path: str
    query: str
    headers: dict[str, str]
    body: bytes

    @property
    def operation(self) -> str:
        """Return what is asked for: an action's name, or method and path."""
        if target := self.headers.get("x-amz-target"):
            return target.rpartition(".")[2]
        if found := re.search(rb"(?:^|&)Action=(\w+)", self.body):
            return found.group(1).decode()
        return f"{self.method} {self.path}"


@attrs.frozen(kw_only=True)
class Spoilt:
    """What becomes of a request: cut ``before`` or ``after`` its effect, or refused."""

    when: Literal["before", "after", "instead", "not"] = "instead"
    status: int = 0
    code: str = ""


class Wire:
    """What came over the wire, and what is to be spoiled."""

    def __init__(self, app: Any) -> None:
        self._app = app
        self._lock = threading.Lock()
        self.requests: list[Request] = []
        self._left: list[tuple[str, Spoilt]] = []

    @property
    def operations(self) -> list[str]:
        """Return what was asked for, in order."""
        return [request.operation for request in self.requests]

    def clear(self) -> None:
        """Forget what came, and spoil nothing any more."""
        self.requests.clear()
        self._left.clear()

    def cut(self, when: Literal["before", "after"], *operations: str) -> None:
        """Cut the connection at requests to come: one for each beginning of a name."""
        self._left += [(operation, Spoilt(when=when)) for operation in operations]

    def cut_nth(self, number: int, when: Literal["before", "after"]) -> None:
        """Cut the connection at one request to come, counted from nought."""
        self._left += [("", Spoilt(when="not"))] * number
        self.cut(when, "")

    def refuse(self, status: int, code: str, *operations: str) -> None:
        """Refuse requests to come: one for each beginning of a name."""
        spoilt = Spoilt(status=status, code=code)
        self._left += [(operation, spoilt) for operation in operations]

    def _spoilt(self, request: Request) -> Spoilt | None:
        for at, (operation, spoilt) in enumerate(self._left):
            if request.operation.startswith(operation):
                del self._left[at]
                return None if spoilt.when == "not" else spoilt
        return None

    def __call__(self, environ: Any, start_response: Any) -> Iterable[bytes]:
        """Answer a request, or do not."""
        request = _request(environ)
        with self._lock:
            self.requests.append(request)
            spoilt = self._spoilt(request)
            if spoilt is not None and spoilt.when == "before":
                _reset(environ)
            if spoilt is not None and spoilt.when == "instead":
                return _refuse(spoilt, request, start_response)
            answer = self._app(environ, start_response)
            body = list(answer)
        if spoilt is not None:
            _reset(environ)
        return body


def _request(environ: Any) -> Request:
    body = environ["wsgi.input"].read(int(environ.get("CONTENT_LENGTH") or 0))
    environ["wsgi.input"] = BytesIO(body)
    headers = {
        name[5:].replace("_", "-").lower(): str(value)
        for name, value in environ.items()
        if name.startswith("HTTP_")
    }
    return Request(
        method=environ["REQUEST_METHOD"],
        path=environ["PATH_INFO"],
        query=environ["QUERY_STRING"],
        headers=headers,
        body=body,
    )


def _reset(environ: Any) -> None:
    connection = environ["werkzeug.socket"]
    connection.shutdown(socket.SHUT_RDWR)
    raise ConnectionResetError


def _refuse(spoilt: Spoilt, request: Request, start_response: Any) -> list[bytes]:
    text = f"<Error><Code>{spoilt.code}</Code><Message>not now</Message></Error>"
    if b"Action=" in request.body:
        text = f"<ErrorResponse>{text}</ErrorResponse>"
    if "x-amz-target" in request.headers:
        text = json.dumps({"__type": spoilt.code, "message": "not now"})
    start_response(f"{spoilt.status} Spoilt", [("Content-Type", "application/xml")])
    return [text.encode()]


@pytest.fixture(scope="session")
def server() -> Iterator[tuple[str, Wire]]:
    """Return the URL of a running server, and the wire to it."""
    from moto.server import DomainDispatcherApplication, create_backend_app
    from werkzeug.serving import make_server

    logging.getLogger("werkzeug").setLevel(logging.CRITICAL)
    wire = Wire(DomainDispatcherApplication(create_backend_app))
    running = make_server("127.0.0.1", 0, wire, threaded=True)
    thread = threading.Thread(target=running.serve_forever, daemon=True)
    thread.start()
    yield f"http://127.0.0.1:{running.server_port}", wire
    running.shutdown()
    thread.join(timeout=10)


@pytest.fixture
def wire(server: tuple[str, Wire], monkeypatch: pytest.MonkeyPatch) -> Iterator[Wire]:
    """Return the wire to an empty server, which the SDK's own settings name."""
    from moto.moto_api._internal.models import moto_api_backend

    url, found = server
    settings = _SETTINGS | {
        "AWS_ENDPOINT_URL": url,
        # a thousand images that nobody asked for take seconds
        "MOTO_EC2_LOAD_DEFAULT_AMIS": "false",
    }
    for name in ("AWS_PROFILE", "AWS_REGION", "AWS_DEFAULT_REGION", "HTTP_PROXY"):
        monkeypatch.delenv(name, raising=False)
    for name, value in settings.items():
        monkeypatch.setenv(name, value)
    moto_api_backend.reset()
    found.clear()
    yield found
    found.clear()


@pytest.fixture(scope="session")
def cloud() -> Iterator[Any]:
    """Return a running emulated AWS, in a process of its own."""
    from emulators import aws

    with aws.start() as running:
        yield running


@pytest.fixture
def emulator(cloud: Any, monkeypatch: pytest.MonkeyPatch) -> Iterator[Any]:
    """Return an empty emulated AWS, which the SDK's own settings name."""
    settings = _SETTINGS | {
        "AWS_ENDPOINT_URL": cloud.url,
        "AWS_EXECUTION_ENV": f"test-{next(_RUNS)}",
    }
    for name in ("AWS_PROFILE", "AWS_REGION", "AWS_DEFAULT_REGION", "HTTP_PROXY"):
        monkeypatch.delenv(name, raising=False)
    for name, value in settings.items():
        monkeypatch.setenv(name, value)
    cloud.reset()
    yield cloud
    assert cloud.bugs() == ()


@attrs.frozen(kw_only=True)
class Estate:
    """What an account has before the first deployment, and clients of one's own."""

    emulator: Any
    region: str
    network: str
    """The id of the VPC."""
    subnets: tuple[str, ...]
    """Of two zones, and of the load balancer."""
    load_balancer: str
    listener: str
    image: str
    """Its instances listen on 8080 and answer everything with 200."""
    ec2: Any
    elbv2: Any
    autoscaling: Any
    cloudwatch: Any

    def place(self, name: str, priority: int = 100) -> str:
        """Give a fleet a target group that a rule names, and return its ARN."""
        group = self.elbv2.create_target_group(
            Name=name,
            Protocol="HTTP",
            Port=8080,
            VpcId=self.network,
            HealthCheckPath="/",
            HealthCheckIntervalSeconds=5,
            HealthCheckTimeoutSeconds=2,
            HealthyThresholdCount=2,
        )["TargetGroups"][0]["TargetGroupArn"]
        self.elbv2.modify_target_group_attributes(
            TargetGroupArn=group,
            Attributes=[{"Key": "deregistration_delay.timeout_seconds", "Value": "5"}],
        )
        self.elbv2.create_rule(
            ListenerArn=self.listener,
            Priority=priority,
            Conditions=[{"Field": "path-pattern", "Values": [f"/{name}"]}],
            Actions=[{"Type": "forward", "TargetGroupArn": group}],
        )
        return str(group)

    def displace(self, place: str) -> None:
        """Take away the rules that name a target group, and the group."""
        rules = self.elbv2.describe_rules(ListenerArn=self.listener)["Rules"]
        for rule in rules:
            if place in str(rule["Actions"]):
                self.elbv2.delete_rule(RuleArn=rule["RuleArn"])
        self.elbv2.delete_target_group(TargetGroupArn=place)


class Hurried(ThisHost):
    """This machine, where pauses are a tenth: the emulated AWS is that much faster."""

    def sleep(self, pause: timedelta, stop: Stop) -> None:
        """Sleep for a tenth of the time."""
        super().sleep(pause / 10, stop)


@pytest.fixture
def hurried() -> Iterator[None]:
    """Let what a test calls wait a tenth of the time between two looks."""
    with running_on(Hurried()):
        yield


@pytest.fixture
def estate(estates: "Estates") -> Estate:
    """Return an account with a network of two zones, a load balancer and an image."""
    return estates()


@pytest.fixture
def estates(emulator: Any) -> "Estates":
    """Return what sets up such an account, also again after a reset."""
    return Estates(emulator)


class Estates:
    """Sets up accounts, one after the other, in the same emulated AWS."""

    def __init__(self, emulator: Any) -> None:
        self._emulator = emulator
        self.last: Estate

    def __call__(self) -> Estate:
        """Set one up, in an empty AWS."""
        self.last = _estate(self._emulator)
        return self.last


@cache
def _clients(url: str, region: str) -> dict[str, Any]:
    """Return clients of a test's own; making them takes longer than most tests."""
    import boto3

    names = ("ec2", "elbv2", "autoscaling", "cloudwatch")
    return {
        name: boto3.client(name, region_name=region, endpoint_url=url)  # type: ignore[call-overload]  # by name
        for name in names
    }


def _estate(emulator: Any) -> Estate:
    import ipaddress

    region = "eu-west-1"
    clients = _clients(emulator.url, region)
    ec2, elbv2 = clients["ec2"], clients["elbv2"]
    vpc = ec2.create_vpc(CidrBlock=emulator.network)["Vpc"]["VpcId"]
    blocks = ipaddress.ip_network(emulator.network).subnets(new_prefix=20)
    subnets = tuple(
        ec2.create_subnet(
            VpcId=vpc, CidrBlock=str(block), AvailabilityZone=f"{region}{zone}"
        )["Subnet"]["SubnetId"]
        for block, zone in zip(blocks, "ab", strict=False)
    )
    balancer = elbv2.create_load_balancer(Name="shop", Subnets=list(subnets))
    arn = balancer["LoadBalancers"][0]["LoadBalancerArn"]
    action = {
        "Type": "fixed-response",
        "FixedResponseConfig": {"StatusCode": "503", "ContentType": "text/plain"},
    }
    listener = elbv2.create_listener(
        LoadBalancerArn=arn, Protocol="HTTP", Port=8000, DefaultActions=[action]
    )["Listeners"][0]["ListenerArn"]
    emulator.configure(image_s=0)
    image = ec2.register_image(
        Name="good", RootDeviceName="/dev/xvda", Architecture="x86_64"
    )["ImageId"]
    return Estate(
        emulator=emulator,
        region=region,
        network=vpc,
        subnets=subnets,
        load_balancer=arn,
        listener=listener,
        image=image,
        **clients,
    )
