"""The weaker switch: what is sent, and what of it AWS does not refuse."""

import urllib.error
import urllib.request
from datetime import timedelta

import pytest
from ground import prepared, servers

from immutable.errors import (
    BackendError,
    Conflict,
    InvalidInput,
    NotEnough,
    Taken,
    Unsupported,
)
from immutable.model import FleetName, HealthCheck, LedgerId, Routing, ServiceName
from immutable.urls import Url
from immutable_aws.listener_switch import open_listener_switch

SERVICE, LEDGER = ServiceName("shop"), LedgerId("6f3c")
BLUE, GREEN = FleetName("shop-v1-aaaaaa"), FleetName("shop-v2-bbbbbb")
TO_BLUE, TO_GREEN = Routing(weights={BLUE: 100}), Routing(weights={GREEN: 100})


@pytest.fixture(params=["network", "application"])
def account(request, emulator, monkeypatch):
    """Return an account with a load balancer of one kind and one listener."""
    return prepared(emulator, monkeypatch, request.param)


@pytest.fixture
def switch(account):
    """Return what opens switches of that listener."""

    def opened(options="checks=9000-9002", service=SERVICE):
        url = (
            f"nlb://{account.region}?listener={account.listener}"
            f"&drain=1s&propagation=2s&staleness=0s&{options}"
        )
        return open_listener_switch(Url.parse(url), service=service, port=8080)

    return opened


def attach(switch, *fleets):
    """Give fleets places."""
    for fleet in fleets:
        switch.attach(
            fleet,
            health=HealthCheck(port=8080),
            owner=LEDGER,
            expected=switch.read().version,
        )


def write(switch, routing):
    """Write upon what is read now."""
    return switch.write(routing, owner=LEDGER, expected=switch.read().version)


def sent(account, act):
    """Return what is called during an act, and how often."""
    account.emulator.calls(clear=True)
    act()
    counts = account.emulator.calls().counts
    return {name.removeprefix("elbv2:"): n for name, n in counts.items()}


def test_it_says_that_nothing_fences_it(switch):
    """The engine chooses its defence by this: it waits."""
    can = switch().capabilities
    assert (can.fencing, can.weighted, can.preview) == ("blind", False, False)
    assert can.late >= timedelta(minutes=5)
    assert can.settle == timedelta(seconds=3)


def test_an_old_write_is_compared_only_when_it_is_sent(switch):
    """What was read must still be so; that is all there is."""
    one = switch()
    attach(one, BLUE, GREEN)
    old = one.read().version
    assert write(one, TO_BLUE) == one.read().version
    with pytest.raises(Conflict, match="version"):
        one.write(TO_GREEN, owner=LEDGER, expected=old)
    assert one.read().routing == TO_BLUE


def test_calls_are_few(account, switch):
    """A reading is two calls and one for each fleet; a write two more than its reading."""
    one = switch()
    attach(one, BLUE, GREEN)
    write(one, TO_BLUE)
    assert sent(account, one.read) == {
        "DescribeListeners": 1,
        "DescribeTags": 1,
        "DescribeTargetHealth": 2,
    }
    version = one.read().version
    costs = sent(account, lambda: one.write(TO_GREEN, owner=LEDGER, expected=version))
    assert costs == {"DescribeListeners": 1, "DescribeTags": 1, "ModifyListener": 1}


def test_what_the_listener_did_before_is_nobodys(account, switch):
    """Somebody's own target group is no fleet, and is left alone."""
    one = switch()
    view = one.read()
    assert (view.routing, view.owner, view.attachments) == (Routing(), None, ())
    attach(one, BLUE)
    write(one, TO_BLUE)
    theirs = {name for name in account.target_groups() if name.startswith("theirs")}
    one.write(Routing(), owner=LEDGER, expected=one.read().version)
    one.detach(BLUE, owner=LEDGER, expected=one.read().version)
    assert theirs <= account.target_groups()
    assert BLUE not in account.target_groups()
    assert one.read().routing == Routing()


def test_clients_reach_the_fleet_that_it_points_to(account, switch):
    """And nobody, when it points to nobody."""
    one = switch()
    attach(one, BLUE)
    one.join(BLUE, servers(account, 1), drain=timedelta())
    write(one, TO_BLUE)
    production, again = one.endpoints()
    assert production == again
    assert is_served(production)
    write(one, Routing())
    assert not is_served(production)


def is_served(endpoint):
    """Return whether a request is answered well."""
    try:
        with urllib.request.urlopen(endpoint.url, timeout=10) as answer:
            return answer.status == 200
    except (urllib.error.HTTPError, OSError):
        return False


def test_what_serves_is_not_detached(account, switch):
    """Neither by us, nor by AWS where our reading was old."""
    one = switch()
    attach(one, BLUE)
    write(one, TO_BLUE)
    before = account.target_groups()
    with pytest.raises(Conflict):
        one.detach(BLUE, owner=LEDGER, expected=one.read().version)
    assert account.target_groups() == before


@pytest.mark.usefixtures("hurried")
def test_a_group_that_is_in_use_after_its_listener_is_waited_for(account, switch):
    """AWS goes on saying so for a while after what named it was deleted."""
    one = switch()
    attach(one, BLUE)
    account.emulator.configure(in_use_s=0.5)
    gone = sent(
        account,
        lambda: one.detach(BLUE, owner=LEDGER, expected=one.read().version),
    )
    assert gone["DeleteTargetGroup"] > 1
    assert BLUE not in account.target_groups()


def test_a_group_that_another_listener_names_is_not_waited_for(account, switch):
    """Somebody has pointed a listener of their own to it: that is told at once."""
    one = switch()
    attach(one, BLUE)
    (place,) = [a.place for a in one.read().attachments]
    account.elbv2.modify_listener(
        ListenerArn=account.listener_at(1),
        DefaultActions=[{"Type": "forward", "TargetGroupArn": place}],
    )

    def refused():
        with pytest.raises(Conflict, match="still named"):
            one.detach(BLUE, owner=LEDGER, expected=one.read().version)

    assert sent(account, refused)["DeleteTargetGroup"] == 1


def test_a_fleet_that_serves_has_a_place_without_its_check(account, switch):
    """What is left of a half-done detach is still seen, and can be served."""
    one = switch()
    attach(one, BLUE)
    write(one, TO_BLUE)
    rows = account.elbv2.describe_listeners(LoadBalancerArn=account.load_balancer)
    check = next(row for row in rows["Listeners"] if row["Port"] == 9000)
    account.elbv2.delete_listener(ListenerArn=check["ListenerArn"])
    view = switch().read()
    assert (view.routing, [a.fleet for a in view.attachments]) == (TO_BLUE, [BLUE])


def test_a_listener_of_another_service_is_refused(switch):
    """Its tags say whose it is since the first write."""
    write(switch(), Routing())
    with pytest.raises(Taken, match="another service"):
        switch(service=ServiceName("blog")).preflight()


def test_a_listener_that_goes_away_is_no_mistake_of_the_config(account, switch):
    """Before it was ever seen it is; afterwards something has happened to it."""
    one = switch()
    one.read()
    account.elbv2.delete_listener(ListenerArn=account.listener)
    for act in (one.read, one.preflight):
        with pytest.raises(BackendError, match="ListenerNotFound"):
            act()
    for act in (switch().read, switch().endpoints, switch().preflight):
        with pytest.raises(InvalidInput) as caught:
            act()
        assert "listener=" in caught.value.hint


def test_ports_for_checks_run_out(switch):
    """Each fleet needs one; before that a preflight says so."""
    one = switch("checks=9000")
    one.preflight()
    attach(one, BLUE)
    with pytest.raises(NotEnough, match="9000"):
        attach(one, GREEN)
    with pytest.raises(NotEnough):
        one.preflight()


def test_neither_weights_nor_a_preview(switch):
    """Both are refused before anything is sent."""
    one = switch()
    attach(one, BLUE, GREEN)
    for routing in (
        Routing(weights={BLUE: 50, GREEN: 50}),
        Routing(preview=BLUE),
    ):
        with pytest.raises(Unsupported):
            write(one, routing)
    assert one.read().routing == Routing()
