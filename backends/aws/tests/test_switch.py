"""The switch on an emulated load balancer: what is sent, how often, and what it comes to."""

import re
import subprocess
import sys
import urllib.error
import urllib.request
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from pathlib import Path
from textwrap import dedent

import pytest
from ground import prepared, servers

from immutable import host
from immutable.errors import (
    Ambiguous,
    BackendError,
    Conflict,
    InvalidInput,
    NotEnough,
    Taken,
    Unsupported,
)
from immutable.host import ThisHost, running_on
from immutable.model import (
    FleetName,
    Health,
    HealthCheck,
    LedgerId,
    Routing,
    ServiceName,
    Version,
)
from immutable.retrying import retrying
from immutable.urls import Url
from immutable_aws.switch import open_switch

SERVICE, LEDGER = ServiceName("shop"), LedgerId("6f3c")
BLUE, GREEN = FleetName("shop-v1-aaaaaa"), FleetName("shop-v2-bbbbbb")
CHECK = HealthCheck(port=8080, path="/health")
DEFAULTS = {"preview_from": "127.0.0.0/8", "propagation": "0s", "staleness": "0s"}


class Later(ThisHost):
    """This machine, some time later."""

    passed = timedelta()

    def now(self):
        """Return the time then."""
        return super().now() + self.passed


@pytest.fixture
def account(emulator, monkeypatch):
    """Return an account with a load balancer and one listener."""
    return prepared(emulator, monkeypatch)


@pytest.fixture
def switch(account):
    """Return what opens switches of that listener."""

    def opened(options="", service=SERVICE):
        given = dict(pair.split("=", 1) for pair in options.split("&") if pair)
        words = "&".join(f"{k}={v}" for k, v in (DEFAULTS | given).items())
        url = f"alb://{account.region}?listener={account.listener}&{words}"
        return open_switch(Url.parse(url), service=service, port=8080)

    return opened


def attach(switch, *fleets):
    """Give fleets places."""
    for fleet in fleets:
        switch.attach(fleet, health=CHECK, owner=LEDGER, expected=switch.read().version)


def write(switch, routing):
    """Write upon what is read now."""
    return switch.write(routing, owner=LEDGER, expected=switch.read().version)


def sent(account, act):
    """Return what is called during an act, and how often."""
    account.emulator.calls(clear=True)
    act()
    counts = account.emulator.calls().counts
    return {name.removeprefix("elbv2:"): n for name, n in counts.items()}


def tags_of(account, arn):
    """Return a resource's tags."""
    rows = account.elbv2.describe_tags(ResourceArns=[arn])["TagDescriptions"]
    return {tag["Key"]: tag["Value"] for tag in rows[0]["Tags"]}


def get(endpoint, **headers):
    """Return the status of a request."""
    given = dict(endpoint.headers) | headers
    request = urllib.request.Request(endpoint.url + "/", headers=given)
    try:
        with urllib.request.urlopen(request, timeout=10) as answer:
            return answer.status
    except urllib.error.HTTPError as error:
        return error.code


def test_a_reading_costs_one_call_and_more_only_for_what_is_new(account, switch):
    """Rules in one page, tags once, and one look at the members of each fleet."""
    attach(switch(), BLUE, GREEN)
    one = switch()
    first = sent(account, one.read)
    assert first == {
        "DescribeRules": 1,
        "DescribeTags": 1,
        "DescribeTargetHealth": 2,
    }
    assert sent(account, one.read) == {"DescribeRules": 1, "DescribeTargetHealth": 2}


def test_what_was_read_lately_is_not_read_again(account, switch):
    """Half of what is declared as staleness is for our own memory; health is never old."""
    one = switch("staleness=1h")
    attach(one, BLUE)
    one.read()
    assert sent(account, one.read) == {}
    assert sent(account, one.preflight) == {}
    assert sent(account, lambda: one.health(BLUE)) == {"DescribeTargetHealth": 1}
    assert one.capabilities.staleness == timedelta(hours=1)


def test_whoever_was_refused_reads_anew(account, switch):
    """A conflict is met by what there is, not by what was remembered."""
    one, two = switch("staleness=1h"), switch("staleness=1h")
    attach(one, BLUE)
    two.read()
    write(one, Routing(weights={BLUE: 100}))
    with pytest.raises(Conflict):
        two.write(Routing(), owner=LEDGER, expected=Version("0"))
    assert two.read().version == "1"


def test_what_this_object_did_is_seen_at_once(account, switch):
    """Its own attach, write and detach are in its next reading, however much is kept."""
    one = switch("staleness=1h")
    attach(one, BLUE, GREEN)
    assert [a.fleet for a in one.read().attachments] == [BLUE, GREEN]
    write(one, Routing(weights={BLUE: 100}))
    assert one.read().version == "1"
    one.detach(GREEN, owner=LEDGER, expected=Version("1"))
    assert [a.fleet for a in one.read().attachments] == [BLUE]
    members = servers(account, 1)
    one.join(BLUE, members, drain=timedelta())
    assert one.read().attachment_of(BLUE).members == members


def test_only_who_connects_asks_for_the_listener_itself(account, switch):
    """Its ARN says that it has rules, and of which load balancer it is."""
    one = switch("staleness=1h")
    costs = sent(account, lambda: attach(one, BLUE, GREEN))
    assert costs["DescribeLoadBalancers"] == 1
    assert "DescribeListeners" not in costs
    assert sent(account, one.endpoints) == {"DescribeListeners": 1}
    assert sent(account, one.endpoints) == {}


def test_a_listener_that_goes_away_is_no_mistake_of_the_config(account, switch):
    """Before it was ever seen it is; afterwards something has happened to it."""
    one = switch()
    one.read()
    account.elbv2.delete_listener(ListenerArn=account.listener)
    with pytest.raises(BackendError, match="ListenerNotFound"):
        one.read()
    for act in (switch().read, switch().endpoints, switch().preflight):
        with pytest.raises(InvalidInput) as caught:
            act()
        assert "listener=" in caught.value.hint


def test_own_attaching_and_detaching_are_not_looked_up(account, switch):
    """What was made and deleted is put to what was read; others' rules are not asked for."""
    one = switch("staleness=1h")
    one.read()
    costs = sent(account, lambda: attach(one, BLUE, GREEN))
    assert costs["CreateRule"] == 3
    assert not {"DescribeRules", "DescribeTargetHealth"} & costs.keys()
    write(one, Routing(weights={BLUE: 100}))
    gone = sent(account, lambda: one.detach(GREEN, owner=LEDGER, expected=Version("1")))
    assert gone == {"DeleteRule": 1, "DeleteTargetGroup": 1}
    costs = sent(account, one.read)
    assert "DescribeRules" not in costs
    assert one.read() == switch().read()


def test_what_was_read_grows_old_also_when_this_object_added_to_it(account, switch):
    """Its own rule makes the rest of a reading no younger."""
    one, two = switch("staleness=2m"), switch()
    one.read()
    now = Later()
    with running_on(now):
        now.passed = timedelta(seconds=50)
        one.attach(GREEN, health=CHECK, owner=LEDGER, expected=Version("0"))
        attach(two, BLUE)
        assert [a.fleet for a in one.read().attachments] == [GREEN]
        now.passed = timedelta(seconds=61)
        assert [a.fleet for a in one.read().attachments] == [BLUE, GREEN]


def test_who_detaches_upon_an_old_reading_looks_when_it_does_not_fit(account, switch):
    """A fleet that somebody else attached, or took the traffic from, since then."""
    one, two = switch("staleness=1h"), switch()
    one.read()
    attach(two, BLUE, GREEN)
    one.detach(GREEN, owner=LEDGER, expected=Version("0"))
    assert account.target_groups() == {BLUE}
    write(two, Routing(weights={BLUE: 100}))
    three = switch("staleness=1h")
    three.read()
    write(two, Routing())
    three.detach(BLUE, owner=LEDGER, expected=Version("1"))
    assert account.target_groups() == set()


def test_who_detaches_upon_an_old_reading_takes_no_traffic_away(account, switch):
    """Somebody else has routed to the fleet since: it serves on, and that is seen next."""
    one, two = switch("staleness=1h"), switch()
    attach(one, BLUE)
    one.read()
    write(two, Routing(weights={BLUE: 100}))
    with pytest.raises(Conflict, match="still named"):
        one.detach(BLUE, owner=LEDGER, expected=Version("0"))
    assert one.read().routing == Routing(weights={BLUE: 100})
    with pytest.raises(Conflict, match="has traffic"):
        one.detach(BLUE, owner=LEDGER, expected=Version("1"))


def test_a_write_costs_two_calls(account, switch):
    """The rule, and one look whether it landed on top; its tags are known."""
    one = switch()
    attach(one, BLUE)
    version = one.read().version
    routing = Routing(weights={BLUE: 100})
    costs = sent(account, lambda: one.write(routing, owner=LEDGER, expected=version))
    assert costs == {"CreateRule": 1, "DescribeRules": 1}


def test_a_place_is_tagged_probed_and_drained_as_told(account, switch):
    """Group and rules carry our tags, and the deregistration delay is that of the URL."""
    one = switch("drain=7s")
    costs = sent(account, lambda: attach(one, BLUE))
    changes = {name: n for name, n in costs.items() if not name.startswith("Describe")}
    assert changes == {
        "CreateTargetGroup": 1,
        "ModifyTargetGroupAttributes": 1,
        "CreateRule": 2,
    }
    place = one.read().attachment_of(BLUE).place
    wanted = {"immutable-service": "shop", "immutable-ledger": "6f3c"}
    for arn in (place, *(rule["RuleArn"] for rule in account.rules())):
        assert wanted.items() <= tags_of(account, arn).items()
    attributes = account.elbv2.describe_target_group_attributes(TargetGroupArn=place)
    delays = {a["Key"]: a["Value"] for a in attributes["Attributes"]}
    assert delays["deregistration_delay.timeout_seconds"] == "7"
    assert one.capabilities.settle == timedelta(seconds=7)


def test_attaching_again_changes_nothing(account, switch):
    """Neither through the same object nor through another."""
    one = switch()
    attach(one, BLUE)
    for again in (one, switch()):
        costs = sent(account, lambda again=again: attach(again, BLUE))
        assert all(name.startswith("Describe") for name in costs)


def test_a_group_that_a_dead_attacher_left_is_taken_over(account, switch):
    """A group with our tags and the wanted settings gets its rule."""
    one = switch()
    attach(one, BLUE)
    place = one.read().attachment_of(BLUE).place
    for rule in account.rules():
        account.elbv2.delete_rule(RuleArn=rule["RuleArn"])
    two = switch()
    attach(two, BLUE)
    assert two.read().attachment_of(BLUE).place == place


def test_a_group_of_somebody_else_is_not_taken_over(account, switch):
    """A group of the same name with other settings is refused, and left alone."""
    made = account.elbv2.create_target_group(
        Name=BLUE, Protocol="HTTP", Port=1234, VpcId=account.vpc
    )["TargetGroups"][0]["TargetGroupArn"]
    one = switch()
    with pytest.raises(Taken, match="target group"):
        attach(one, BLUE)
    one.detach(BLUE, owner=LEDGER, expected=Version("0"))
    assert BLUE in account.target_groups()
    assert tags_of(account, made) == {}


def test_who_writes_upon_an_old_version_loses_at_the_slot(account, switch):
    """The second of two finds the priority in use: AWS itself refuses it."""
    one, two = switch(), switch()
    attach(one, BLUE, GREEN)
    version = two.read().version
    write(one, Routing(weights={BLUE: 100}))
    account.emulator.calls(clear=True)
    with pytest.raises(Conflict):
        two.write(Routing(weights={GREEN: 100}), owner=LEDGER, expected=version)
    assert account.emulator.calls().errors == {"elbv2:CreateRule PriorityInUse": 1}
    assert one.read().routing == Routing(weights={BLUE: 100})


def test_a_write_that_comes_very_late_lands_below_and_is_a_conflict(account, switch):
    """Where its slot has been cleared away meanwhile, newer rules still serve."""
    one, late = switch(), switch()
    attach(one, BLUE, GREEN)
    version = late.read().version
    for _ in range(3):
        write(one, Routing(weights={BLUE: 100}))
    attach(one, FleetName("shop-v9-cccccc"))
    one.detach(FleetName("shop-v9-cccccc"), owner=LEDGER, expected=Version("3"))
    with pytest.raises(Conflict, match="below"):
        late.write(Routing(weights={GREEN: 100}), owner=LEDGER, expected=version)
    assert one.read().routing == Routing(weights={BLUE: 100})
    assert one.read().version == "3"


def test_a_group_that_is_gone_gets_no_traffic(account, switch):
    """A write upon a reading that still shows a place is refused by AWS."""
    one, two = switch(), switch()
    attach(one, BLUE)
    version = two.read().version
    one.detach(BLUE, owner=LEDGER, expected=version)
    with pytest.raises(Conflict, match="no place"):
        two.write(Routing(weights={BLUE: 100}), owner=LEDGER, expected=version)


def test_detaching_leaves_nothing_of_a_fleet(account, switch):
    """Older rules, its place, the group: only the rule that serves stays, and its guard."""
    one = switch()
    attach(one, BLUE, GREEN)
    for fleet in (BLUE, GREEN):
        write(one, Routing(weights={fleet: 100}))
    one.detach(BLUE, owner=LEDGER, expected=Version("2"))
    assert account.target_groups() == {GREEN}
    assert len(account.rules()) == 3
    assert [a.fleet for a in one.read().attachments] == [GREEN]


def test_a_first_deployment_that_failed_leaves_nothing(account, switch):
    """After the last place there is neither rule nor group."""
    one = switch()
    attach(one, BLUE)
    one.detach(BLUE, owner=LEDGER, expected=Version("0"))
    assert (account.rules(), account.target_groups()) == ([], set())


def test_a_group_without_rules_is_found_by_its_name(account, switch):
    """What a dead deployer left between the last rule and the group is taken away."""
    one = switch()
    attach(one, BLUE)
    for rule in account.rules():
        account.elbv2.delete_rule(RuleArn=rule["RuleArn"])
    switch().detach(BLUE, owner=LEDGER, expected=Version("0"))
    assert account.target_groups() == set()


def test_what_serves_is_not_detached(account, switch):
    """It is refused before anything is deleted."""
    one = switch()
    attach(one, BLUE)
    write(one, Routing(weights={BLUE: 100}))
    before = account.rules()

    def refused():
        with pytest.raises(Conflict):
            one.detach(BLUE, owner=LEDGER, expected=Version("1"))

    assert not [n for n in sent(account, refused) if n.startswith("Delete")]
    assert account.rules() == before


def test_aws_guards_what_an_old_reading_would_delete(account, switch, monkeypatch):
    """Upon a reading from before the write the group stays, and the fleet serves."""
    one, two = switch(), switch()
    attach(one, BLUE)
    old = two._rules.read()
    write(one, Routing(weights={BLUE: 100}))
    monkeypatch.setattr(two._rules, "read", lambda: old)
    with pytest.raises(Conflict, match="still named"):
        two.detach(BLUE, owner=LEDGER, expected=Version("0"))
    view = one.read()
    assert view.routing == Routing(weights={BLUE: 100})
    assert view.attachment_of(BLUE) is not None


def serving(account, switch):
    """Have blue serve, and green ready to be previewed."""
    attach(switch, BLUE, GREEN)
    for fleet in (BLUE, GREEN):
        switch.join(fleet, servers(account, 1), drain=timedelta())
        wait_ready(switch, fleet)
    write(switch, Routing(weights={BLUE: 100}))


def test_a_preview_is_for_those_who_know_the_nonce(account, switch):
    """With a wrong one, or before there is any, production is not reached by mistake."""
    one = switch()
    serving(account, one)
    production, nobody = one.endpoints()
    assert (get(production), get(nobody)) == (200, 503)
    write(one, Routing(weights={BLUE: 100}, preview=GREEN))
    _, preview = one.endpoints()
    assert (get(production), get(preview)) == (200, 200)
    header, nonce = preview.headers[0]
    assert len(nonce.removeprefix("shop.")) == 32
    assert nonce not in repr(one.endpoints())
    assert get(production, **{header: nonce[:-1] + "x"}) == 503
    one.join(GREEN, (), drain=timedelta())
    assert (get(production), get(preview)) == (200, 503)


def test_a_preview_is_not_for_other_networks(account, switch):
    """The right nonce from elsewhere is answered by the guard."""
    one = switch("preview_from=10.0.0.0/8")
    serving(account, one)
    write(one, Routing(weights={BLUE: 100}, preview=GREEN))
    production, preview = one.endpoints()
    assert (get(production), get(preview)) == (200, 503)


def wait_ready(switch, fleet):
    """Look until a fleet's members are ready."""
    for _ in range(2000):
        if all(p.health is Health.READY for p in switch.health(fleet)):
            return
    raise AssertionError(switch.health(fleet))


def test_requests_go_where_the_weights_say(account, switch):
    """Traffic follows the routing, and an empty one is answered with 503."""
    one = switch()
    attach(one, BLUE)
    one.join(BLUE, servers(account, 1), drain=timedelta())
    wait_ready(one, BLUE)
    production, _ = one.endpoints()
    for routing, status in ((Routing(weights={BLUE: 100}), 200), (Routing(), 503)):
        write(one, routing)
        assert get(production) == status


def test_members_leave_with_the_drain_that_they_are_given(account, switch):
    """The delay of the group becomes that of the call before anybody leaves."""
    one = switch("drain=30s")
    attach(one, BLUE)
    both = servers(account, 2)
    one.join(BLUE, both, drain=timedelta(seconds=30))

    def leave():
        one.join(BLUE, both[:1], drain=timedelta(seconds=5))

    costs = sent(account, leave)
    assert costs["ModifyTargetGroupAttributes"] == costs["DeregisterTargets"] == 1
    assert one.read().attachment_of(BLUE).members == both[:1]
    assert one.sessions(BLUE) is None


def test_joining_the_same_again_changes_nothing(account, switch):
    """One look is enough where everybody is there already."""
    one = switch()
    attach(one, BLUE)
    both = servers(account, 2)
    one.join(BLUE, both, drain=timedelta())
    costs = sent(account, lambda: one.join(BLUE, both, drain=timedelta()))
    assert costs == {"DescribeTargetHealth": 1}


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
    """Where hardly any rule may be added, a deployment does not begin."""
    for number in range(97):
        account.elbv2.create_rule(
            ListenerArn=account.listener,
            Priority=41_000 + number,
            Conditions=[{"Field": "path-pattern", "Values": [f"/{number}"]}],
            Actions=[
                {"Type": "fixed-response", "FixedResponseConfig": {"StatusCode": "200"}}
            ],
        )
    with pytest.raises(NotEnough, match="97 of 100"):
        switch().preflight()


def age(account):
    """Make all rules as old as no call in flight can be."""
    for rule in account.rules():
        account.elbv2.add_tags(
            ResourceArns=[rule["RuleArn"]],
            Tags=[{"Key": "immutable-written", "Value": "0"}],
        )


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


def test_a_group_that_no_rule_names_is_not_probed(account, switch):
    """Without its rule nothing would ever be ready: ``unused`` is no pass."""
    one = switch()
    attach(one, BLUE)
    one.join(BLUE, servers(account, 1), drain=timedelta())
    wait_ready(one, BLUE)
    for rule in account.rules():
        account.elbv2.delete_rule(RuleArn=rule["RuleArn"])
    (probe,) = one.health(BLUE)
    assert probe.health is Health.UNKNOWN
    assert "Target.NotInUse" in probe.evidence


def test_a_group_fails_open_so_that_only_health_guards(account, switch):
    """Routed to before it is ready, a sick fleet gets requests: nothing else refuses."""
    one = switch()
    attach(one, BLUE)
    one.join(BLUE, servers(account, 1, "sick"), drain=timedelta())
    for _ in range(50):
        assert all(p.health is not Health.READY for p in one.health(BLUE))
    write(one, Routing(weights={BLUE: 100}))
    assert get(one.endpoints()[0]) >= 500
    view = one.read()
    assert view.routing == Routing(weights={BLUE: 100})


def lag(account, switch):
    """From now on answer readings with what was before any further change."""
    account.emulator.configure(stale_s=100_000)
    switch().read()


def test_a_write_is_waited_for_where_readings_are_old(account, switch):
    """AWS may not show at once what it has acknowledged."""
    one = switch("staleness=60s")
    attach(one, BLUE)
    lag(account, switch)
    routing = Routing(weights={BLUE: 100})
    account.emulator.calls(clear=True)
    with ThreadPoolExecutor() as pool:
        writing = pool.submit(one.write, routing, owner=LEDGER, expected=Version("0"))
        while account.emulator.calls().counts.get("elbv2:DescribeRules", 0) < 3:
            assert not writing.done()
        account.emulator.configure(stale_s=0)
        assert writing.result() == "1"
    assert account.emulator.calls().counts["elbv2:CreateRule"] == 1


def test_a_write_that_is_never_shown_is_ambiguous(account, switch):
    """Where answers are older than was declared, nothing is claimed."""
    one = switch("staleness=0s")
    attach(one, BLUE)
    lag(account, switch)
    with pytest.raises(Ambiguous, match="a reading that shows"):
        one.write(Routing(weights={BLUE: 100}), owner=LEDGER, expected=Version("0"))
    account.emulator.configure(stale_s=0)
    assert one.read().version == "1"


def test_importing_the_switches_loads_no_sdk():
    """boto3 is loaded when the first call is made."""
    code = (
        "import sys, immutable_aws.switch, immutable_aws.listener_switch;"
        "sys.exit(any(m.partition('.')[0] in {'boto3', 'botocore'} for m in sys.modules))"
    )
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


def test_a_fleet_that_is_gone_is_not_previewed(account, switch):
    """AWS does not refuse that: the switch looks whether the fleet has its place."""
    one, two = switch(), switch()
    attach(one, BLUE)
    version = two.read().version
    one.detach(BLUE, owner=LEDGER, expected=version)
    with pytest.raises(Conflict, match="no place"):
        two.write(Routing(preview=BLUE), owner=LEDGER, expected=version)
    assert account.rules() == []


def test_attachers_at_once_leave_one_place_each(account, switch):
    """Whoever finds a priority taken may repeat it; detaching takes everything away."""
    fleets = [FleetName(f"shop-v{n}-aaaaaa") for n in range(3)]

    def attach_one(fleet):
        one = switch()
        retrying(
            lambda: one.attach(
                fleet, health=CHECK, owner=LEDGER, expected=Version("0")
            ),
            host=host.current(),
        )

    with ThreadPoolExecutor(6) as pool:
        list(pool.map(attach_one, [*fleets, *fleets]))
    view = switch().read()
    assert [a.fleet for a in view.attachments] == fleets
    for fleet in fleets:
        switch().detach(fleet, owner=LEDGER, expected=Version("0"))
    assert (account.rules(), account.target_groups()) == ([], set())


def test_the_example_of_the_documentation_runs(account):
    """The reference page shows how a band is begun anew."""
    page = Path(__file__).parents[3] / "docs/reference/aws-switch.md"
    (example,) = re.findall(r"  ```python\n(.*?)  ```", page.read_text(), re.DOTALL)
    names: dict[str, object] = {}
    example = example.replace("load_balancer=web", "load_balancer=given")
    exec(compile(dedent(example), str(page), "exec"), names)  # noqa: S102 - our own page
    assert names["switch"].read().version == "0"
    assert account.rules() == []


def test_who_drains_is_no_member_any_more(account, switch):
    """A target that only finishes what it has begun has no probe, and no place."""
    one = switch("drain=50m")
    attach(one, BLUE)
    both = servers(account, 2)
    one.join(BLUE, both, drain=timedelta(minutes=50))
    place = one.read().attachment_of(BLUE).place
    going, staying = both
    account.elbv2.deregister_targets(
        TargetGroupArn=place, Targets=[{"Id": going.instance, "Port": going.port}]
    )
    assert "draining" in account.health(place)
    assert [probe.instance for probe in one.health(BLUE)] == [staying.instance]
    assert one.read().attachment_of(BLUE).members == (staying,)
