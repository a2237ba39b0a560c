"""Faults at the wire, and what they leave behind."""

import pytest
from botocore.exceptions import (
    ClientError,
    ConnectionClosedError,
    HTTPClientError,
    IncompleteReadError,
    ReadTimeoutError,
)
from botocore.exceptions import (
    ConnectionError as LostConnection,
)
from botocore.parsers import ResponseParserError

from emulators.aws import faults
from emulators.aws.account import ONCE, session_of
from emulators.aws.faults import Fault

LOST = (
    ResponseParserError,
    ConnectionClosedError,
    HTTPClientError,
    IncompleteReadError,
    LostConnection,
    ReadTimeoutError,
)


@pytest.fixture(scope="module")
def proxy(process):
    """Run a proxy before the emulator."""
    with faults.before(process) as running:
        yield running


@pytest.fixture
def ec2(proxy, account):
    """Give a client of EC2 that goes through the proxy."""
    proxy.clear()
    return session_of().client("ec2", endpoint_url=proxy.url, config=ONCE)


def test_calls_go_through_unharmed(ec2):
    """The negative control: without a fault, nothing happens to a call."""
    assert ec2.describe_vpcs()["Vpcs"]


def test_a_call_can_be_throttled_so_often(ec2, proxy):
    """As the service would: the code, and as many times as was said."""
    error = "RequestLimitExceeded"
    proxy.inject(
        Fault(service="ec2", operation="DescribeVpcs", times=2, error=error, status=503)
    )
    for _ in range(2):
        with pytest.raises(ClientError) as caught:
            ec2.describe_vpcs()
        assert caught.value.response["Error"]["Code"] == error
    assert ec2.describe_vpcs()["Vpcs"]
    assert len(proxy.fired()) >= 2


def test_a_connection_can_be_reset_before_the_effect(ec2, proxy, account):
    """The call was not made: there is nothing of it."""
    image = account.image()
    proxy.inject(Fault(service="ec2", operation="RunInstances", is_reset=True))
    with pytest.raises(LOST):
        _launch(ec2, image)
    assert not account.ec2.describe_instances()["Reservations"]


def test_an_answer_can_be_cut_after_the_effect(ec2, proxy, account):
    """The ambiguous write: an error, and the instance is there."""
    image = account.image()
    proxy.inject(Fault(service="ec2", operation="RunInstances", is_cut=True))
    with pytest.raises(LOST):
        _launch(ec2, image)
    assert len(account.ec2.describe_instances()["Reservations"]) == 1


def test_whoever_retries_a_lost_answer_with_a_token_has_one(ec2, proxy, account):
    """EC2, "Ensuring idempotency": what a token of one's own is for."""
    image = account.image()
    proxy.inject(Fault(service="ec2", operation="RunInstances", is_cut=True))
    with pytest.raises(LOST):
        _launch(ec2, image, ClientToken="mine")
    _launch(ec2, image, ClientToken="mine")
    assert len(account.ec2.describe_instances()["Reservations"]) == 1


def test_whoever_retries_a_lost_answer_without_a_token_has_two(ec2, proxy, account):
    """The negative control: two calls, two instances."""
    image = account.image()
    proxy.inject(Fault(service="ec2", operation="RunInstances", is_cut=True))
    with pytest.raises(LOST):
        _launch(ec2, image)
    _launch(ec2, image)
    assert len(account.ec2.describe_instances()["Reservations"]) == 2


def test_an_answer_can_be_held_back(ec2, proxy, account):
    """A delay longer than the client waits is an answer that is lost."""
    config = ONCE.merge(type(ONCE)(read_timeout=0.5))
    hasty = session_of().client("ec2", endpoint_url=proxy.url, config=config)
    proxy.inject(Fault(service="ec2", operation="DescribeVpcs", delay_s=3))
    with pytest.raises(ReadTimeoutError):
        hasty.describe_vpcs()
    assert account.ec2.describe_vpcs()["Vpcs"]


@pytest.mark.parametrize(("when", "count"), [("before", 0), ("after", 1)])
def test_the_emulator_itself_cuts_a_call(account, when, count):
    """The n-th call that fits, before its effect or after it; then no more."""
    image = account.image()
    account.emulator.cut("ec2:Run", when=when, skip=1)
    assert _launch(account.ec2, image)["Instances"]
    with pytest.raises(LOST):
        _launch(account.ec2, image)
    assert account.emulator.cuts_left() == 0
    assert len(account.ec2.describe_instances()["Reservations"]) == 1 + count
    assert account.emulator.calls().errors == {"ec2:RunInstances cut": 1}


def _launch(ec2, image, **more):
    return ec2.run_instances(
        ImageId=image, MinCount=1, MaxCount=1, InstanceType="t3.micro", **more
    )
