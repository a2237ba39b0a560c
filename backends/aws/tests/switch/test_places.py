"""Places of fleets and their members: made, probed, given traffic, and taken away."""

from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta

import pytest
from ground import servers
from switching import (
    BLUE,
    CHECK,
    GREEN,
    LEDGER,
    attach,
    get,
    sent,
    serving,
    tags_of,
    wait_ready,
    write,
)

from immutable import host
from immutable.errors import (
    Conflict,
    Taken,
)
from immutable.model import (
    FleetName,
    Health,
    Routing,
    Version,
)
from immutable.retrying import retrying
from immutable_aws.groups.unplacing import Unplacing
from immutable_aws.rules import parting
from immutable_aws.session import Place, aws_of


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
    """Upon a reading from before the write the group stays, and the fleet serves.

    The refusal has the rules read anew: where one names the group nothing is waited for.
    """
    one, two = switch(), switch()
    attach(one, BLUE)
    old, read = [two._rules.read()], two._rules.read
    write(one, Routing(weights={BLUE: 100}))
    monkeypatch.setattr(two._rules, "read", lambda: old.pop() if old else read())

    def refused():
        with pytest.raises(Conflict, match="still named"):
            two.detach(BLUE, owner=LEDGER, expected=Version("0"))

    assert sent(account, refused)["DeleteTargetGroup"] == 1
    view = one.read()
    assert view.routing == Routing(weights={BLUE: 100})
    assert view.attachment_of(BLUE) is not None


@pytest.mark.usefixtures("hurried")
def test_a_group_that_is_in_use_after_its_last_rule_is_waited_for(account, switch):
    """AWS goes on saying so for a while: whoever sees no rule asks again."""
    account.emulator.configure(in_use_s=0.5)
    one = switch()
    attach(one, BLUE)
    gone = sent(account, lambda: one.detach(BLUE, owner=LEDGER, expected=Version("0")))
    assert gone["DeleteTargetGroup"] > 1
    assert gone["DeleteRule"] == 2
    assert account.target_groups() == set()


@pytest.mark.usefixtures("hurried")
def test_rules_that_somebody_else_has_just_deleted_are_waited_for(account, switch):
    """A deployer that died between the last rule and the group left it in use."""
    attach(switch(), BLUE)
    account.emulator.configure(in_use_s=0.5)
    for rule in account.rules():
        account.elbv2.delete_rule(RuleArn=rule["RuleArn"])
    switch().detach(BLUE, owner=LEDGER, expected=Version("0"))
    assert account.target_groups() == set()


@pytest.mark.usefixtures("hurried")
def test_whoever_retires_a_fleet_waits_for_its_group_as_well(account, switch):
    """No load balancer routes to it any more: its last rule has just gone."""
    attach(switch(), BLUE)
    account.emulator.configure(in_use_s=0.5)
    for rule in account.rules():
        account.elbv2.delete_rule(RuleArn=rule["RuleArn"])
    Unplacing(aws_of(Place(region=account.region))).delete_named(BLUE)
    assert account.target_groups() == set()


def test_whoever_retires_a_fleet_that_is_attached_is_told_at_once(account, switch):
    """A load balancer routes to it: it is not waited for."""
    attach(switch(), BLUE)

    def refused():
        with pytest.raises(Conflict, match="place at the switch still"):
            Unplacing(aws_of(Place(region=account.region))).delete_named(BLUE)

    assert sent(account, refused)["DeleteTargetGroup"] == 1


@pytest.mark.usefixtures("hurried")
def test_a_group_that_stays_in_use_is_a_conflict(account, switch, monkeypatch):
    """It is not waited for longer than the engine waits for an answer."""
    assert timedelta(seconds=30) == parting.PATIENCE
    monkeypatch.setattr(parting, "PATIENCE", timedelta(seconds=0.5))
    account.emulator.configure(in_use_s=1000)
    one = switch()
    attach(one, BLUE)
    with pytest.raises(Conflict, match="still named"):
        one.detach(BLUE, owner=LEDGER, expected=Version("0"))
    assert account.target_groups() == {BLUE}


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
