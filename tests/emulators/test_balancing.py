"""Load balancers: health from real probes, and real requests by the rules."""

import urllib.error
import urllib.request

import pytest

from emulators.aws.account import Account
from emulators.plane.traffic import Traffic


def test_a_group_that_no_rule_names_is_not_probed(account):
    """Botocore, Target.NotInUse; moto calls every target healthy."""
    target_group = account.target_group("unused")
    account.group("fleet", account.image(), 1, target_group=target_group)
    account.until(lambda: account.health(target_group) == {"unused": 1})
    found = account.elbv2.describe_target_health(TargetGroupArn=target_group)
    (told,) = [each["TargetHealth"] for each in found["TargetHealthDescriptions"]]
    assert told["Reason"] == "Target.NotInUse"


def test_targets_are_probed_as_long_as_a_rule_names_their_group(account):
    """ALB, "Health checks": neither before, nor after the rule, nor after the group."""
    target_group = account.target_group("one")
    (instance,) = account.launch(account.image())
    account.until(lambda: account.state(instance) == "running")
    account.elbv2.register_targets(
        TargetGroupArn=target_group, Targets=[{"Id": instance}]
    )
    assert account.emulator.probes()[target_group] == 0
    rule = account.rule(1, target_group)
    account.until(lambda: account.emulator.probes()[target_group] > 2)
    account.elbv2.delete_rule(RuleArn=rule)
    assert account.health(target_group) == {"unused": 1}
    account.elbv2.delete_target_group(TargetGroupArn=target_group)
    assert target_group not in account.emulator.probes()


def test_a_load_balancer_faces_the_internet_unless_it_is_told_otherwise(account):
    """Botocore, CreateLoadBalancer, ``Scheme``; moto tells none."""
    account.elbv2.create_load_balancer(
        Name="within", Subnets=account.subnets, Scheme="internal"
    )
    told = account.elbv2.describe_load_balancers()["LoadBalancers"]
    assert {row["LoadBalancerName"]: row["Scheme"] for row in told} == {
        "given": "internet-facing",
        "within": "internal",
    }


def test_a_target_is_initial_until_a_probe_has_passed(account):
    """Application Load Balancers, "Target health status": initial, then healthy."""
    account.emulator.configure(scale=1.0)
    target_group = account.target_group("slow")
    account.rule(100, target_group)
    (instance,) = account.launch(account.image("delay=1"))
    account.until(lambda: account.state(instance) == "running")
    account.elbv2.register_targets(
        TargetGroupArn=target_group, Targets=[{"Id": instance}]
    )
    assert account.health(target_group) == {"initial": 1}
    account.until(lambda: account.health(target_group) == {"healthy": 1})


@pytest.mark.parametrize(
    ("words", "reason"),
    [
        ("sick", "Target.ResponseCodeMismatch"),
        ("fail=/health", "Target.ResponseCodeMismatch"),
        ("deaf", "Target.FailedHealthChecks"),
        ("delay=30", "Target.Timeout"),
    ],
)
def test_a_target_that_does_not_answer_well_is_unhealthy(account, words, reason):
    """Botocore, ``TargetHealthReasonEnum``: why, as the probe has seen it."""
    target_group = account.target_group("ill")
    account.rule(100, target_group)
    (instance,) = account.launch(account.image(words))
    account.until(lambda: account.state(instance) == "running")
    account.elbv2.register_targets(
        TargetGroupArn=target_group, Targets=[{"Id": instance}]
    )
    account.until(lambda: account.health(target_group)["unhealthy"] == 1)
    found = account.elbv2.describe_target_health(TargetGroupArn=target_group)
    (told,) = [each["TargetHealth"] for each in found["TargetHealthDescriptions"]]
    assert told["Reason"] == reason


def test_a_target_that_recovers_is_healthy_again(account):
    """Botocore, HealthyThresholdCount: after as many good probes."""
    target_group = account.serve("fleet", "release=v1", 100, size=1)
    account.autoscaling.suspend_processes(AutoScalingGroupName="fleet")
    (instance,) = account.in_service("fleet")
    account.emulator.change(instance, "sick")
    account.until(lambda: account.health(target_group)["unhealthy"] == 1)
    account.emulator.change(instance, "release=v1")
    account.until(lambda: account.health(target_group)["healthy"] == 1)


def test_a_stopped_target_is_unused_until_it_runs_again(account):
    """Botocore, Target.InvalidState: it is registered, and takes no traffic."""
    target_group = account.target_group("one")
    account.rule(100, target_group)
    (instance,) = account.launch(account.image())
    account.until(lambda: account.state(instance) == "running")
    account.elbv2.register_targets(
        TargetGroupArn=target_group, Targets=[{"Id": instance}]
    )
    account.until(lambda: account.health(target_group) == {"healthy": 1})
    account.ec2.stop_instances(InstanceIds=[instance])
    account.until(lambda: account.health(target_group) == {"unused": 1})
    account.ec2.start_instances(InstanceIds=[instance])
    account.until(lambda: account.health(target_group) == {"healthy": 1})


def test_a_deregistered_target_drains_as_long_as_the_attribute_says(account):
    """Botocore, deregistration_delay.timeout_seconds: draining, then unused."""
    target_group = account.serve("fleet", "release=v1", 100, size=1)
    account.autoscaling.suspend_processes(AutoScalingGroupName="fleet")
    (instance,) = account.in_service("fleet")
    account.elbv2.modify_target_group_attributes(
        TargetGroupArn=target_group,
        Attributes=[{"Key": "deregistration_delay.timeout_seconds", "Value": "100"}],
    )
    target = {"TargetGroupArn": target_group, "Targets": [{"Id": instance}]}
    account.elbv2.deregister_targets(**target)
    assert account.health(target_group) == {"draining": 1}
    account.until(lambda: account.health(target_group) == {})
    found = account.elbv2.describe_target_health(**target)
    (told,) = [each["TargetHealth"] for each in found["TargetHealthDescriptions"]]
    assert (told["State"], told["Reason"]) == ("unused", "Target.NotRegistered")


def test_without_a_delay_a_deregistered_target_leaves_at_once(account):
    """Botocore, deregistration_delay.timeout_seconds: 0 is no delay."""
    target_group = account.serve("fleet", "release=v1", 100, size=1)
    account.autoscaling.suspend_processes(AutoScalingGroupName="fleet")
    (instance,) = account.in_service("fleet")
    account.elbv2.modify_target_group_attributes(
        TargetGroupArn=target_group,
        Attributes=[{"Key": "deregistration_delay.timeout_seconds", "Value": "0"}],
    )
    account.elbv2.deregister_targets(
        TargetGroupArn=target_group, Targets=[{"Id": instance}]
    )
    assert account.health(target_group) == {}


def test_deregistering_what_is_not_there_is_no_error(account):
    """Botocore, DeregisterTargets: it returns successfully; moto answers InvalidTarget."""
    target_group = account.target_group("empty")
    account.elbv2.deregister_targets(
        TargetGroupArn=target_group, Targets=[{"Id": "i-00000000000000000"}]
    )
    assert account.health(target_group) == {}


def test_only_running_instances_are_registered(account, refused):
    """Botocore, RegisterTargets: InvalidTarget."""
    account.emulator.configure(boot_s=30)
    (instance,) = account.launch(account.image())
    asked = {
        "TargetGroupArn": account.target_group("early"),
        "Targets": [{"Id": instance}],
    }
    assert refused(account.elbv2.register_targets, **asked) == "InvalidTarget"


def test_a_switch_after_health_loses_nothing(account):
    """The whole of it: clients, a new fleet proven by a rule of its own, one switch."""
    account.serve("old", "release=v1", 100)
    with Traffic(url=account.url) as traffic:
        traffic.wait_for(100)
        new = account.target_group("new")
        account.group("new", account.image("release=v2"), target_group=new)
        _rule(account, 1, new, {"HttpHeaderName": "x-proof", "Values": ["nonce"]})
        account.until(lambda: account.health(new)["healthy"] == 3)
        account.rule(99, new)
        traffic.wait_for(200)
    report = traffic.report
    assert not report.lost
    assert set(report.releases) == {"v1", "v2"}
    first, last = report.cut_over("v1", "v2")
    assert not report.since(max(first, last)).releases["v1"]


def test_a_switch_before_health_is_seen(account):
    """The negative control: whoever does not wait, loses requests."""
    account.serve("old", "release=v1", 100)
    with Traffic(url=account.url) as traffic:
        traffic.wait_for(100)
        new = account.target_group("new")
        account.group("new", account.image("release=v2"), target_group=new)
        account.rule(99, new)
        traffic.wait_for(200)
    assert traffic.report.statuses[503]


def test_a_switch_to_a_sick_fleet_fails_open(account):
    """ALB, "Health checks": with no healthy target, requests go to all of them."""
    account.serve("old", "release=v1", 100)
    new = account.target_group("new")
    account.group("new", account.image("sick"), target_group=new)
    account.autoscaling.suspend_processes(
        AutoScalingGroupName="new", ScalingProcesses=["ReplaceUnhealthy"]
    )
    account.rule(99, new)
    account.until(lambda: account.health(new)["unhealthy"] == 3)
    with Traffic(url=account.url) as traffic:
        traffic.wait_for(20)
    assert {sample.instance for sample in traffic.report.lost} == account.in_service(
        "new"
    )


def test_weights_share_the_traffic(account):
    """Botocore, ``TargetGroupTuple``: by weight; none for a weight of 0."""
    old, new = (account.serve(n, f"release={n}", p) for n, p in (("a", 100), ("b", 90)))
    forward = {
        "TargetGroups": [
            {"TargetGroupArn": old, "Weight": 80},
            {"TargetGroupArn": new, "Weight": 20},
        ]
    }
    found = account.elbv2.create_rule(
        ListenerArn=account.listener,
        Priority=10,
        Conditions=[{"Field": "path-pattern", "Values": ["*"]}],
        Actions=[{"Type": "forward", "ForwardConfig": forward}],
    )
    with Traffic(url=account.url) as traffic:
        traffic.wait_for(400)
    assert not traffic.report.lost
    assert traffic.report.releases["a"] > 2 * traffic.report.releases["b"] > 0
    forward["TargetGroups"][0]["Weight"] = 0
    account.elbv2.modify_rule(
        RuleArn=found["Rules"][0]["RuleArn"],
        Actions=[{"Type": "forward", "ForwardConfig": forward}],
    )
    with Traffic(url=account.url) as traffic:
        traffic.wait_for(50)
    assert set(traffic.report.releases) == {"b"}


@pytest.mark.parametrize(
    ("condition", "path", "headers", "meets"),
    [
        ({"Field": "path-pattern", "Values": ["/api/*"]}, "/api/x?y", {}, True),
        ({"Field": "path-pattern", "Values": ["/api/*"]}, "/API/x", {}, False),
        ({"Field": "path-pattern", "Values": ["/a?c"]}, "/abc", {}, True),
        ({"Field": "host-header", "Values": ["*.Test"]}, "/", {"host": "a.test"}, True),
        ({"Field": "host-header", "Values": ["b.test"]}, "/", {"host": "a"}, False),
        (("x-who", ["me"]), "/", {"x-who": "ME"}, True),
        (("x-who", ["me"]), "/", {}, False),
        ("127.0.0.0/8", "/", {}, True),
        ("10.0.0.0/8", "/", {}, False),
    ],
)
def test_conditions_choose_the_rule(account, condition, path, headers, meets):
    """Application Load Balancers, "Rule condition types"."""
    if isinstance(condition, tuple):
        name, values = condition
        config = {"HttpHeaderName": name, "Values": values}
        condition = {"Field": "http-header", "HttpHeaderConfig": config}
    if isinstance(condition, str):
        config = {"Values": [condition]}
        condition = {"Field": "source-ip", "SourceIpConfig": config}
    fixed = {"StatusCode": "418", "ContentType": "text/plain", "MessageBody": "met"}
    account.elbv2.create_rule(
        ListenerArn=account.listener,
        Priority=1,
        Conditions=[condition],
        Actions=[{"Type": "fixed-response", "FixedResponseConfig": fixed}],
    )
    assert _status(f"{account.url}{path}", headers) == (418 if meets else 503)


def test_the_lowest_priority_is_asked_first(account):
    """Application Load Balancers, "Listener rules": from the lowest value to the highest."""
    account.serve("late", "release=late", 20, size=1)
    account.serve("early", "release=early", 10, size=1)
    with Traffic(url=account.url, clients=1) as traffic:
        traffic.wait_for(5)
    assert set(traffic.report.releases) == {"early"}


def test_rules_that_trade_places_trade_their_traffic(account):
    """Botocore, SetRulePriorities: what is reordered is routed in the new order."""
    one, two = account.target_group("one"), account.target_group("two")
    first, second = account.rule(1, one), account.rule(2, two)
    for name, target_group in (("one", one), ("two", two)):
        image = account.image(f"release={name}")
        account.group(name, image, 1, target_group=target_group)
    account.until(lambda: account.health(one)["healthy"] == 1)
    account.until(lambda: account.health(two)["healthy"] == 1)
    priorities = [
        {"RuleArn": first, "Priority": 2},
        {"RuleArn": second, "Priority": 1},
    ]
    with Traffic(url=account.url, clients=1) as traffic:
        traffic.wait_for(5)
        account.elbv2.set_rule_priorities(RulePriorities=priorities)
        account.until(lambda: traffic.report.releases["two"] > 5)
    assert not traffic.report.lost
    assert set(traffic.report.releases) == {"one", "two"}


def test_nodes_hear_of_a_change_one_after_another(account):
    """A change takes time to reach all nodes: both whole releases answer meanwhile."""
    account.emulator.configure(spread_s=1.0)
    account.serve("old", "release=v1", 100, size=1)
    with Traffic(url=account.url) as traffic:
        account.until(lambda: traffic.report.releases["v1"] > 50)
        account.serve("new", "release=v2", 99, size=1)
        account.until(lambda: traffic.report.releases["v2"] > 50)
        both = traffic.report.cut_over("v1", "v2")
        account.until(lambda: not _since(traffic, 0.3).releases["v1"])
    assert both[0] < both[1]


def test_a_balancer_of_connections_keeps_them_where_they_are(account):
    """Network Load Balancers: a flow stays with its target; a new one goes to the new."""
    found = account.elbv2.create_load_balancer(
        Name="flows", Type="network", Subnets=list(account.subnets)
    )
    groups = [_tcp_group(account, name) for name in ("v1", "v2")]
    arn = account.elbv2.create_listener(
        LoadBalancerArn=found["LoadBalancers"][0]["LoadBalancerArn"],
        Protocol="TCP",
        Port=9000,
        DefaultActions=[{"Type": "forward", "TargetGroupArn": groups[0]}],
    )["Listeners"][0]["ListenerArn"]
    account.until(lambda: account.health(groups[0])["healthy"] == 1)
    url = account.emulator.address_of(arn)
    with Traffic(url=url, clients=1) as kept:
        kept.wait_for(5)
        account.elbv2.modify_listener(
            ListenerArn=arn,
            DefaultActions=[{"Type": "forward", "TargetGroupArn": groups[1]}],
        )
        kept.wait_for(10)
        with Traffic(url=url, clients=1) as fresh:
            fresh.wait_for(5)
    assert set(kept.report.releases) == {"v1"}
    assert set(fresh.report.releases) == {"v2"}


def test_clients_and_backends_reach_a_balancer_by_its_name(account):
    """What a caller reads of a load balancer leads to it."""
    account.serve("fleet", "release=v1", 100, size=1)
    found = account.elbv2.describe_load_balancers()["LoadBalancers"][0]
    account.until(
        lambda: (
            account.elbv2.describe_load_balancers()["LoadBalancers"][0]["State"]
            == {"Code": "active"}
        )
    )
    assert _status(f"http://{found['DNSName']}:8000/", {}) == 200


def _status(url, headers):
    request = urllib.request.Request(url, headers=headers)
    try:
        return urllib.request.urlopen(request, timeout=10).status
    except urllib.error.HTTPError as error:
        return error.code


def _rule(account, priority, target_group, header):
    account.elbv2.create_rule(
        ListenerArn=account.listener,
        Priority=priority,
        Conditions=[{"Field": "http-header", "HttpHeaderConfig": header}],
        Actions=[{"Type": "forward", "TargetGroupArn": target_group}],
    )


def _since(traffic, seconds):
    samples = traffic.report.samples
    return traffic.report.since(samples[-1].ended - seconds)


def _tcp_group(account, release):
    found = account.elbv2.create_target_group(
        Name=release,
        Protocol="TCP",
        Port=8080,
        VpcId=account.vpc,
        HealthCheckIntervalSeconds=5,
        HealthCheckTimeoutSeconds=5,
    )
    arn = found["TargetGroups"][0]["TargetGroupArn"]
    (instance,) = account.launch(account.image(f"release={release}"))
    account.until(lambda: account.state(instance) == "running")
    account.elbv2.register_targets(TargetGroupArn=arn, Targets=[{"Id": instance}])
    return arn


def test_an_account_can_be_given_a_balancer_of_connections(emulator):
    """What tests begin with: of either kind, with listeners as they are asked for."""
    account = Account.make(emulator, "network")
    first, second = account.listener_at(0), account.listener_at(1)
    assert first == account.listener != second
    assert account.target_groups() == {"theirs-8000", "theirs-8001"}


def test_what_was_given_a_place_can_lose_it(account):
    """The group goes with the rules that name it, and nothing else does."""
    kept, lost = account.target_group("kept"), account.target_group("lost")
    account.rule(1, kept, "/kept")
    account.rule(2, lost, "/lost")
    account.displace(lost)
    assert account.target_groups() == {"kept"}
    assert [rule["Priority"] for rule in account.rules()] == ["1"]
