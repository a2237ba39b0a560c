"""What a switch asks for, and how often; what it remembers, and when it looks anew."""

import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta

import pytest
from ground import servers
from switching import BLUE, CHECK, GREEN, LEDGER, Later, attach, lag, sent, write

from immutable.errors import (
    Ambiguous,
    BackendError,
    Conflict,
    InvalidInput,
)
from immutable.host import running_on
from immutable.model import (
    Routing,
    Version,
)


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
    assert sent(account, one.preflight) == {"DescribeListeners": 1}
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
