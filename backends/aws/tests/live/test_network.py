"""How soon a Network Load Balancer obeys, which `nlb://` assumes and nobody documents."""

import time
import urllib.request
import uuid

import pytest
from asking import until

from immutable.urls import Url
from immutable_aws.switch_config import NlbConfig

pytestmark = [pytest.mark.live, pytest.mark.timeout(1800)]
ASSUMED = NlbConfig.parse(Url.parse("nlb://eu-west-1")).listening.propagation
EMULATED_S = 2.0
PATIENCE_S = 600.0
"""Targets may be ``initial`` for five minutes."""


def is_answered(url):
    """Return whether a new connection is served."""
    try:
        with urllib.request.urlopen(url, timeout=2) as found:
            return found.status == 200
    except OSError:
        return False


def point(network, group):
    """Have the listener send what comes to a group."""
    network.client("elbv2").modify_listener(
        ListenerArn=network.listener,
        DefaultActions=[{"Type": "forward", "TargetGroupArn": group}],
    )


def pointed_to(network):
    """Return the group that the listener sends what comes to."""
    found = network.client("elbv2").describe_listeners(ListenerArns=[network.listener])
    return found["Listeners"][0]["DefaultActions"][0]["TargetGroupArn"]


def is_healthy(network, group):
    """Return whether the only target of a group is."""
    found = network.client("elbv2").describe_target_health(TargetGroupArn=group)
    (row,) = found["TargetHealthDescriptions"]
    return row["TargetHealth"]["State"] == "healthy"


def last_s(url, unwanted, watched_s):
    """Watch for a while, and return when the last answer was as it is not to be."""
    began, last = time.monotonic(), 0.0
    while (now := time.monotonic() - began) < watched_s:
        if is_answered(url) is unwanted:
            last = now
        time.sleep(0.1)
    return last


def test_a_listener_is_obeyed_as_soon_as_assumed(network, place, ran):
    """Away from a group that answers, and back to it: both within ``propagation``."""
    elbv2, ec2 = network.client("elbv2"), network.client("ec2")
    full, empty = network.target_group("TCP"), network.target_group("TCP")
    before = pointed_to(network)
    network.cleanup.callback(lambda: point(network, before))
    instance = network.launch(uuid.uuid4().hex)
    ec2.get_waiter("instance_running").wait(InstanceIds=[instance])
    elbv2.register_targets(TargetGroupArn=full, Targets=[{"Id": instance}])
    point(network, full)
    _, took = until(lambda: is_healthy(network, full), within=PATIENCE_S)
    ran(f"live: a target of a network load balancer is healthy after {took:.1f} s")
    until(lambda: is_answered(network.url), within=PATIENCE_S)
    watched_s = EMULATED_S if "emulated" in place else 2 * ASSUMED.total_seconds()
    for group, unwanted in ((empty, True), (full, False)):
        point(network, group)
        took = last_s(network.url, unwanted, watched_s)
        what = "served by the old group" if unwanted else "not served by the new one"
        ran(f"live: the last connection was {what} after {took:.1f} s")
        assert took <= ASSUMED.total_seconds()
