"""Which listener a switch is at, whose part of it, and what stays of a service."""

import re
from pathlib import Path
from textwrap import dedent

import pytest
from ground import prepared
from switching import BLUE, LEDGER, SERVICE, age, attach, write

from emulators.aws.account import session_of
from immutable.errors import (
    Conflict,
    InvalidInput,
    NotEnough,
    Taken,
    Unsupported,
)
from immutable.model import (
    Routing,
    ServiceName,
    Version,
)
from immutable.urls import Url
from immutable_aws.switch import open_switch
from immutable_aws.switch_config import PRIVATE


def test_two_services_share_a_listener_by_bands_and_paths(account, switch):
    """Each sees only its own rules, and gets only its own requests."""
    shop = switch("band=1000-9999&paths=/shop/*")
    blog = switch("band=10000-19999&paths=/blog/*", service=ServiceName("blog"))
    attach(shop, BLUE)
    write(shop, Routing(weights={BLUE: 100}))
    assert blog.read().routing == Routing()
    assert blog.read().attachments == ()
    write(blog, Routing())
    assert shop.read().routing == Routing(weights={BLUE: 100})


def test_a_band_that_two_services_share_is_refused(account, switch):
    """The second is told so before it has done anything."""
    write(switch(), Routing())
    with pytest.raises(Taken, match="band"):
        switch(service=ServiceName("blog")).preflight()


def test_hosts_are_in_the_endpoints_of_a_service(account, switch):
    """A client must say the host, or the rule does not take its request."""
    one = switch("hosts=Shop.example.com")
    for endpoint in one.endpoints():
        assert ("Host", "shop.example.com") in endpoint.headers
    write(one, Routing())
    conditions = account.rules()[0]["Conditions"]
    assert [c["Field"] for c in conditions] == ["host-header"]


def test_there_is_no_listener(account):
    """A wrong name or ARN is refused, saying what to correct."""
    gone = account.listener[:-4] + "0000"
    for option in ("load_balancer=nowhere", f"listener={gone}"):
        url = Url.parse(f"alb://{account.region}?{option}")
        one = open_switch(url, service=SERVICE, port=8080)
        with pytest.raises(InvalidInput) as caught:
            one.preflight()
        assert "load_balancer=" in caught.value.hint


def test_the_listener_is_found_by_name_and_port(account):
    """The only listener, or the one that is said; of several none is guessed."""
    url = f"alb://{account.region}?load_balancer=given"

    def opened(options=""):
        return open_switch(Url.parse(url + options), service=SERVICE, port=9)

    assert opened().endpoints()[0].port == 8000
    account.listener_at(1)
    assert opened("&listen=8001").endpoints()[0].port == 8001
    with pytest.raises(InvalidInput) as caught:
        opened().endpoints()
    assert "8000, 8001" in caught.value.hint


def test_a_network_load_balancer_has_no_rules(emulator, monkeypatch):
    """It is refused, naming the weaker scheme."""
    account = prepared(emulator, monkeypatch, "network")
    url = Url.parse(f"alb://{account.region}?listener={account.listener}")
    with pytest.raises(Unsupported) as caught:
        open_switch(url, service=SERVICE, port=8080).preflight()
    assert "nlb://" in caught.value.hint


def test_a_full_load_balancer_is_seen_before_anything_is_done(account, switch):
    """Where hardly any rule may be added, a deployment does not begin.

    AWS counts the rules of all listeners together, default ones left out.
    """
    fill(account, account.listener, 40)
    fill(account, account.listener_at(1), 57)
    with pytest.raises(NotEnough, match="load balancer has 97 of 100"):
        switch().preflight()


def test_the_rules_of_five_other_listeners_are_counted(account, switch):
    """Each costs a call: a load balancer may have fifty."""
    for number in range(1, 8):
        account.listener_at(number)
    one = switch()
    account.emulator.calls(clear=True)
    one.preflight()
    assert account.emulator.calls().counts["elbv2:DescribeRules"] == 6


def fill(account, listener, count):
    """Give a listener rules that are nobody's."""
    for number in range(count):
        account.elbv2.create_rule(
            ListenerArn=listener,
            Priority=41_000 + number,
            Conditions=[{"Field": "path-pattern", "Values": [f"/{number}"]}],
            Actions=[
                {"Type": "fixed-response", "FixedResponseConfig": {"StatusCode": "200"}}
            ],
        )


def test_a_listener_that_goes_while_rules_are_counted_has_none(
    account, switch, monkeypatch
):
    """Others may delete theirs at any time: that is no reason to refuse."""
    second = account.listener_at(1)
    one = switch()
    listed = one._listener.siblings()
    monkeypatch.setattr(one._listener, "siblings", lambda: listed)
    account.elbv2.delete_listener(ListenerArn=second)
    assert one.preflight() == ()


def test_previews_that_nobody_could_reach_are_warned_of(switch):
    """An internet-facing load balancer is reached from public addresses alone."""
    assert switch().preflight() == ()
    assert switch("preview_from=10.0.0.0/8,192.0.2.1/32").preflight() == ()
    (said,) = switch(f"preview_from={','.join(PRIVATE)}").preflight()
    assert "preview_from=" in said


def test_previews_of_an_internal_load_balancer_are_private(account):
    """Its name resolves to private addresses: the default is right."""
    made = account.elbv2.create_load_balancer(
        Name="within", Subnets=account.subnets, Scheme="internal"
    )["LoadBalancers"][0]
    account.elbv2.create_listener(
        LoadBalancerArn=made["LoadBalancerArn"],
        Protocol="HTTP",
        Port=8000,
        DefaultActions=[
            {"Type": "fixed-response", "FixedResponseConfig": {"StatusCode": "503"}}
        ],
    )
    url = Url.parse(f"alb://{account.region}?load_balancer=within")
    assert open_switch(url, service=SERVICE, port=8080).preflight() == ()


def test_a_certificate_that_fits_no_name_is_warned_of(account, switch):
    """Over TLS the load balancer's own name is nobody's: `hosts` has to name one."""
    acm = session_of().client("acm", endpoint_url=account.emulator.url)
    certificate = acm.request_certificate(DomainName="a.example")["CertificateArn"]
    made = account.elbv2.create_listener(
        LoadBalancerArn=account.load_balancer,
        Protocol="HTTPS",
        Port=8443,
        Certificates=[{"CertificateArn": certificate}],
        DefaultActions=[
            {"Type": "fixed-response", "FixedResponseConfig": {"StatusCode": "503"}}
        ],
    )["Listeners"][0]["ListenerArn"]
    for hosts in ("", "hosts=*.example&", "hosts=?.example&"):
        (said,) = switch(f"{hosts}listener={made}").preflight()
        assert "hosts=" in said
    named = switch(f"hosts=*.example,a.example&listener={made}")
    assert named.preflight() == ()
    assert ("Host", "a.example") in named.endpoints()[0].headers


def test_a_band_is_begun_anew_in_quiet(account, switch):
    """What serves goes on serving, from the first slot; before, it is refused."""
    one = switch()
    attach(one, BLUE)
    for _ in range(3):
        write(one, Routing(weights={BLUE: 100}))
    with pytest.raises(Conflict, match="a short while ago"):
        one.renumber()
    age(account)
    assert switch().renumber() == "1"
    view = one.read()
    assert view.routing == Routing(weights={BLUE: 100})
    assert write(one, Routing()) == "2"


def test_what_stays_of_a_service_can_be_taken_away(account, switch):
    """The last rule keeps the version until somebody says that nobody needs it."""
    one = switch()
    attach(one, BLUE)
    write(one, Routing(weights={BLUE: 100}))
    write(one, Routing())
    age(account)
    with pytest.raises(Conflict, match=BLUE):
        switch().shut_down()
    one.detach(BLUE, owner=LEDGER, expected=Version("2"))
    switch().shut_down()
    assert account.rules() == []
    view = switch().read()
    assert (view.version, view.owner) == ("0", None)


def test_the_example_of_the_documentation_runs(account):
    """The reference page shows how a band is begun anew."""
    page = Path(__file__).parents[4] / "docs/reference/aws-switch.md"
    (example,) = re.findall(r"  ```python\n(.*?)  ```", page.read_text(), re.DOTALL)
    names: dict[str, object] = {}
    example = example.replace("load_balancer=web", "load_balancer=given")
    exec(compile(dedent(example), str(page), "exec"), names)  # noqa: S102 - our own page
    assert names["switch"].read().version == "0"
    assert account.rules() == []
