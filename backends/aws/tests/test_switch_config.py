"""What a switch's URL says, and what it must not say."""

from datetime import timedelta

import pytest

from immutable.errors import InvalidInput
from immutable.model import Health, InstanceId, ServiceName
from immutable.urls import Url
from immutable_aws.rules.listening import Listening
from immutable_aws.rules.slots import Band
from immutable_aws.rules.targets import Registered
from immutable_aws.switch_config import PRIVATE, AlbConfig, NlbConfig


def alb(options=""):
    """Read a URL of an Application Load Balancer."""
    return AlbConfig.parse(Url.parse(f"alb://eu-west-1?{options}"))


def test_a_url_without_options_says_all_that_is_needed():
    """The defaults: the service's load balancer, every request, private previews."""
    config = alb()
    assert config.listening.place.region == "eu-west-1"
    assert config.listening.load_balancer is None
    assert config.listening.drain == timedelta(seconds=30)
    assert config.band == Band(first=10_000, last=40_000)
    assert config.preview_from == PRIVATE
    conditions = config.layout(ServiceName("shop")).conditions
    assert [(c.field, c.values) for c in conditions] == [("path-pattern", ("*",))]


def test_every_option_is_read():
    """Nothing that can be said is lost."""
    config = alb(
        "profile=ci&account=123456789012&listener=arn&load_balancer=web&listen=443"
        "&drain=5s&propagation=2s&staleness=1s&band=1-2000"
        "&hosts=A.example,b.example&paths=/x/*&preview_from=192.0.2.0/24,2001:db8::/48"
    )
    at = config.listening
    assert (at.place.profile, at.place.account) == ("ci", "123456789012")
    assert (at.listener, at.load_balancer, at.listen) == ("arn", "web", 443)
    assert (at.settle, at.staleness) == (timedelta(seconds=7), timedelta(seconds=1))
    assert config.band == Band(first=1, last=2000)
    assert (config.hosts, config.paths) == (("a.example", "b.example"), ("/x/*",))
    assert config.preview_from == ("192.0.2.0/24", "2001:db8::/48")


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ("colour=red", "colour"),
        ("band=5", "small"),
        ("band=9-1", "range"),
        ("band=1-60000", "range"),
        ("band=x", "range"),
        ("listen=0", "range"),
        ("listen=99999", "range"),
        ("drain=2h", "too long"),
        ("drain=soon", "duration"),
        ("hosts=a,b,c&paths=/d,/e,/f", "3 hosts and 3 paths"),
        ("hosts=a,b,c,d", "3 of one kind"),
        ("preview_from=10.0.0.0/8,10.1.0.0/16,10.2.0.0/16,10.3.0.0/16", "takes 3"),
        (f"hosts={'a' * 129}", "no host"),
        ("paths=/%C3%A4", "no host or path"),
        ("preview_from=everywhere", "no network"),
        ("preview_from=0.0.0.0/0", "nearly everybody"),
        ("preview_from=::/0", "nearly everybody"),
        ("preview_from=0.0.0.0/1,128.0.0.0/1", "nearly everybody"),
        (
            "preview_from=10.0.0.0/8,10.1.0.0/16,10.2.0.0/16,10.3.0.0/16,10.4.0.0/16",
            "5",
        ),
        ("account=1", "account"),
    ],
)
def test_what_could_not_work_is_refused(options, said):
    """Before anything is called, and saying what is wrong."""
    with pytest.raises(InvalidInput, match=said):
        alb(options)


@pytest.mark.parametrize("address", ["alb://", "alb://Mars", "alb://eu-west-1/path"])
def test_a_url_names_a_region(address):
    """Nothing else is a host here."""
    with pytest.raises(InvalidInput, match="region"):
        AlbConfig.parse(Url.parse(address))


def test_a_listener_that_is_pointed_elsewhere_is_obeyed_later_than_a_rule():
    """A Network Load Balancer was seen to go on for 75 seconds: more is assumed of it."""

    def nlb(options=""):
        return NlbConfig.parse(Url.parse(f"nlb://eu-west-1?{options}")).listening

    assert alb().listening.propagation == timedelta(seconds=10)
    assert nlb().propagation == timedelta(minutes=2)
    assert nlb("drain=30s").settle == timedelta(seconds=150)
    assert nlb("propagation=3s").propagation == timedelta(seconds=3)


def test_ports_for_checks_are_read():
    """Ten ports, unless others are said; one is a range, too."""

    def nlb(options=""):
        return NlbConfig.parse(Url.parse(f"nlb://eu-west-1?{options}")).checks

    assert nlb() == range(9000, 9010)
    assert nlb("checks=7000-7001") == range(7000, 7002)
    assert nlb("checks=7000") == range(7000, 7001)
    with pytest.raises(InvalidInput, match="checks"):
        nlb("checks=9-7")


@pytest.mark.parametrize(
    ("state", "reason", "health"),
    [
        ("healthy", "", Health.READY),
        ("unhealthy", "Target.Timeout", Health.UNREADY),
        ("initial", "Elb.InitialHealthChecking", Health.UNKNOWN),
        ("initial", "Elb.RegistrationInProgress", Health.UNKNOWN),
        ("unused", "Target.NotInUse", Health.UNKNOWN),
        ("unused", "Target.InvalidState", Health.UNREADY),
        ("unused", "Target.IpUnusable", Health.UNREADY),
        ("unavailable", "Elb.InternalError", Health.UNKNOWN),
        ("", "", Health.UNKNOWN),
        ("something new", "", Health.UNKNOWN),
    ],
)
def test_only_a_passed_check_is_ready(state, reason, health):
    """What is not known to be healthy is no pass, and the reason is told."""
    found = Registered(
        instance=InstanceId("i-1"), port=80, state=state, reason=reason, said=""
    )
    assert found.probe.health is health
    assert reason in found.probe.evidence


@pytest.mark.parametrize("state", ["draining", "unhealthy.draining"])
def test_who_drains_is_leaving(state):
    """It is no member any more, but is not gone yet."""
    assert Registered(instance=InstanceId("i-1"), port=80, state=state).is_leaving


@pytest.mark.parametrize(
    ("protocol", "scheme"),
    [("HTTP", "http"), ("HTTPS", "https"), ("TCP", "http"), ("TLS", "https")],
)
def test_encrypted_listeners_are_reached_by_https(protocol, scheme):
    """A client speaks what the listener does."""
    found = Listening(
        arn="l",
        load_balancer="b",
        host="web.example",
        port=443,
        protocol=protocol,
        vpc="v",
    )
    assert found.endpoint().url == f"{scheme}://web.example:443"
