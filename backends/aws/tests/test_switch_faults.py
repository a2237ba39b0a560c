"""Answers that are lost, late or refused: what the switch says of its own writes."""

import urllib.request
from datetime import timedelta

import boto3
import pytest

from immutable.errors import Ambiguous, Conflict, Unavailable
from immutable.model import (
    FleetName,
    HealthCheck,
    LedgerId,
    Routing,
    ServiceName,
    Version,
)
from immutable.urls import Url
from immutable_aws.groups.unplacing import Unplacing
from immutable_aws.session import Place, aws_of
from immutable_aws.switch import open_switch

REGION = "eu-west-1"
LEDGER, BLUE = LedgerId("6f3c"), FleetName("shop-v1-aaaaaa")
TRIES = 4
"""So often botocore repeats a reading."""


@pytest.fixture
def switch(wire):
    """Return what opens switches of a listener, and forgets what came before."""
    ec2 = boto3.client("ec2", region_name=REGION)
    elbv2 = boto3.client("elbv2", region_name=REGION)
    vpc = ec2.create_vpc(CidrBlock="10.0.0.0/16")["Vpc"]["VpcId"]
    subnets = [
        ec2.create_subnet(
            VpcId=vpc, CidrBlock=f"10.0.{n}.0/24", AvailabilityZone=f"{REGION}{zone}"
        )["Subnet"]["SubnetId"]
        for n, zone in enumerate("ab")
    ]
    arn = elbv2.create_load_balancer(Name="web", Subnets=subnets)["LoadBalancers"][0][
        "LoadBalancerArn"
    ]
    elbv2.create_listener(
        LoadBalancerArn=arn,
        Protocol="HTTP",
        Port=80,
        DefaultActions=[
            {"Type": "fixed-response", "FixedResponseConfig": {"StatusCode": "404"}}
        ],
    )

    def opened():
        url = f"alb://{REGION}?load_balancer=web&staleness=0s"
        return open_switch(Url.parse(url), service=ServiceName("shop"), port=80)

    return opened


def attach(switch):
    """Give blue its place, and see that it has it."""
    switch.attach(
        BLUE,
        health=HealthCheck(port=80),
        owner=LEDGER,
        expected=switch.read().version,
    )
    switch.read()


def to_blue(switch):
    """Send all traffic to blue, as the first write."""
    routing = Routing(weights={BLUE: 100})
    return switch.write(routing, owner=LEDGER, expected=Version("0"))


def test_an_answer_that_was_lost_is_ambiguous_and_sent_once(wire, switch):
    """The write is not repeated; read again, it is seen to serve."""
    one = switch()
    attach(one)
    wire.clear()
    wire.cut("after", "CreateRule")
    with pytest.raises(Ambiguous):
        to_blue(one)
    assert wire.operations == ["CreateRule"]
    view = one.read()
    assert (view.version, view.routing.weights) == ("1", ((BLUE, 100),))


def test_the_same_write_again_after_a_lost_answer_is_a_conflict(wire, switch):
    """It expects what was before its own first try."""
    one = switch()
    attach(one)
    wire.cut("after", "CreateRule")
    with pytest.raises(Ambiguous):
        to_blue(one)
    with pytest.raises(Conflict):
        to_blue(one)


def test_a_write_that_was_not_sent_has_not_happened(wire, switch):
    """Cut before it came, it is ambiguous all the same, and nothing serves."""
    one = switch()
    attach(one)
    wire.cut("before", "CreateRule")
    with pytest.raises(Ambiguous):
        to_blue(one)
    assert one.read().version == "0"
    assert to_blue(one) == "1"


def test_a_write_that_was_not_seen_is_ambiguous(wire, switch):
    """It was acknowledged, but whether it landed on top could not be read."""
    one = switch()
    attach(one)
    wire.cut("before", *["DescribeRules"] * TRIES)
    with pytest.raises(Ambiguous, match="not seen"):
        to_blue(one)
    assert one.read().version == "1"


def test_a_write_that_is_throttled_may_be_repeated(wire, switch):
    """It was refused: the same call may succeed later, and is not repeated here."""
    one = switch()
    attach(one)
    wire.clear()
    wire.refuse(400, "Throttling", "CreateRule")
    with pytest.raises(Unavailable) as caught:
        to_blue(one)
    assert caught.value.retryable
    assert wire.operations == ["CreateRule"]
    assert to_blue(one) == "1"


def test_a_slot_that_cannot_be_read_is_ambiguous(wire, switch):
    """Whose rule it is that took the slot decides; where nobody says so, it is unknown."""
    one, two = switch(), switch()
    attach(one)
    two.read()
    to_blue(one)
    wire.cut("before", *["DescribeRules"] * TRIES)
    with pytest.raises(Ambiguous, match="taken"):
        to_blue(two)


def test_a_write_that_was_sent_twice_on_its_way_is_served(wire, switch):
    """The priority is in use, by this very write: its tag says so."""
    one = switch()
    attach(one)
    events = aws_of(Place(region=REGION)).changes.elbv2.meta.events
    name = "before-send.elastic-load-balancing-v2.CreateRule"
    events.register(name, send_beforehand)
    try:
        wire.clear()
        assert to_blue(one) == "1"
    finally:
        events.unregister(name, send_beforehand)
    assert wire.operations.count("CreateRule") == 2
    assert one.read().routing == Routing(weights={BLUE: 100})


def send_beforehand(request, **_):
    """Send a request as something between us and AWS might, without us."""
    given = request.headers.items()
    headers = {k: v.decode() if isinstance(v, bytes) else v for k, v in given}
    again = urllib.request.Request(
        request.url, data=request.body.encode(), headers=headers
    )
    with urllib.request.urlopen(again, timeout=10) as answer:
        answer.read()


@pytest.mark.parametrize(
    "operation",
    ["CreateTargetGroup", "ModifyTargetGroupAttributes", "CreateRule"],
)
@pytest.mark.parametrize("when", ["before", "after"])
def test_attaching_is_finished_by_attaching_again(wire, switch, operation, when):
    """Wherever an attach was cut, the next one completes it: one group, one place."""
    one = switch()
    one.read()
    wire.cut(when, operation)
    with pytest.raises(Ambiguous):
        attach(one)
    two = switch()
    attach(two)
    assert [a.fleet for a in two.read().attachments] == [BLUE]
    elbv2 = boto3.client("elbv2", region_name=REGION)
    assert len(elbv2.describe_target_groups()["TargetGroups"]) == 1
    two.detach(BLUE, owner=LEDGER, expected=Version("0"))
    assert elbv2.describe_target_groups()["TargetGroups"] == []


def test_a_group_that_is_not_known_yet_is_attached_again(wire, switch):
    """What was just made may not be found by the next call: the same attach completes it."""
    one = switch()
    wire.refuse(400, "TargetGroupNotFound", "ModifyTargetGroupAttributes")
    with pytest.raises(Unavailable) as caught:
        attach(one)
    assert caught.value.retryable
    attach(one)
    assert [a.fleet for a in one.read().attachments] == [BLUE]


@pytest.mark.parametrize("by", ["detaching", "retiring"])
def test_a_group_that_was_just_made_is_not_believed_to_be_absent(wire, switch, by):
    """Not found by its name, it is deleted by its ARN: nothing would look for it again."""
    one = switch()
    wire.cut("before", "CreateRule")
    with pytest.raises(Ambiguous):
        attach(one)
    wire.refuse(400, "TargetGroupNotFound", "DescribeTargetGroups")
    if by == "detaching":
        one.detach(BLUE, owner=LEDGER, expected=Version("0"))
    else:
        Unplacing(aws_of(Place(region=REGION))).delete_named(BLUE)
    elbv2 = boto3.client("elbv2", region_name=REGION)
    assert elbv2.describe_target_groups()["TargetGroups"] == []


def test_a_group_that_was_made_and_deleted_a_moment_ago_is_not_there(wire, switch):
    """Nobody joins what is gone: it is made anew."""
    one = switch()
    for _ in range(2):
        attach(one)
        assert [a.fleet for a in one.read().attachments] == [BLUE]
        one.detach(BLUE, owner=LEDGER, expected=Version("0"))
        wire.clear()
        with pytest.raises(Conflict):
            one.join(BLUE, (), drain=timedelta())
        assert "DescribeTargetHealth" not in wire.operations


@pytest.mark.parametrize("operation", ["DeleteRule", "DeleteTargetGroup"])
@pytest.mark.parametrize("when", ["before", "after"])
def test_detaching_is_finished_by_detaching_again(wire, switch, operation, when):
    """Wherever a detach was cut, the next one completes it."""
    one = switch()
    attach(one)
    wire.cut(when, operation)
    with pytest.raises(Ambiguous):
        one.detach(BLUE, owner=LEDGER, expected=Version("0"))
    switch().detach(BLUE, owner=LEDGER, expected=Version("0"))
    elbv2 = boto3.client("elbv2", region_name=REGION)
    assert elbv2.describe_target_groups()["TargetGroups"] == []
    listener = wire_listener(elbv2)
    rules = elbv2.describe_rules(ListenerArn=listener)["Rules"]
    assert [rule["IsDefault"] for rule in rules] == [True]


def wire_listener(elbv2):
    """Return the only listener."""
    above = elbv2.describe_load_balancers()["LoadBalancers"][0]["LoadBalancerArn"]
    rows = elbv2.describe_listeners(LoadBalancerArn=above)["Listeners"]
    return rows[0]["ListenerArn"]
