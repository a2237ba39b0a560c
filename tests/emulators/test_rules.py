"""Rules and target groups: what is in use, what is one too many, what is the same."""

import threading

import pytest
from botocore.exceptions import ClientError

ANY = [{"Field": "path-pattern", "Values": ["*"]}]
FIXED = [{"Type": "fixed-response", "FixedResponseConfig": {"StatusCode": "200"}}]


def test_a_priority_is_one_rule_s(account, refused):
    """Botocore, CreateRule: PriorityInUse: the slot that a switch can be fenced by."""
    _create(account, Priority=7)
    assert refused(_create, account=account, Priority=7) == "PriorityInUse"


def test_of_many_that_want_a_priority_one_gets_it(account):
    """However they race: exactly one rule is made, and the others are told."""
    codes = []

    def race():
        try:
            _create(account, Priority=7)
            codes.append("made")
        except ClientError as error:
            codes.append(error.response["Error"]["Code"])

    threads = [threading.Thread(target=race) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(codes) == ["PriorityInUse"] * 7 + ["made"]


@pytest.mark.parametrize("priority", [0, 50001])
def test_priorities_have_a_range(account, refused, priority):
    """Botocore, CreateRule: 1 to 50000."""
    with pytest.raises((ClientError, Exception)) as caught:
        _create(account, Priority=priority)
    assert "alid" in str(caught.value)


def test_a_listener_has_a_hundred_rules(account, refused):
    """ALB, "Quotas": TooManyRules; the default rule does not count."""
    for priority in range(1, 101):
        _create(account, Priority=priority)
    assert refused(_create, account=account, Priority=101) == "TooManyRules"
    limits = account.elbv2.describe_account_limits()["Limits"]
    told = {each["Name"]: each["Max"] for each in limits}
    assert told["rules-per-application-load-balancer"] == "100"


def test_rules_are_told_by_priority_and_in_pages(account):
    """Botocore, DescribeRules, ``PageSize`` and ``Marker``; the default is the last."""
    for priority in (30, 10, 20):
        _create(account, Priority=priority)
    asked = {"ListenerArn": account.listener}
    pages = account.elbv2.get_paginator("describe_rules").paginate(
        **asked, PaginationConfig={"PageSize": 3}
    )
    told = [[rule["Priority"] for rule in page["Rules"]] for page in pages]
    assert told == [["10", "20", "30"], ["default"]]


def test_priorities_can_trade_places(account, refused):
    """Botocore, SetRulePriorities: no conflict in the new order; all, or nothing."""
    first, second = _create(account, Priority=1), _create(account, Priority=2)
    _create(account, Priority=3)
    change = account.elbv2.set_rule_priorities
    change(RulePriorities=_priorities((first, 2), (second, 1)))
    assert _told(account)[:2] == [second, first]
    asked = {"RulePriorities": _priorities((first, 9), (second, 3))}
    assert refused(change, **asked) == "PriorityInUse"
    assert _told(account)[:2] == [second, first]


def test_a_group_that_is_named_is_not_deleted(account, refused):
    """Botocore, DeleteTargetGroup: ResourceInUse: the guard of every destruction."""
    target_group = account.target_group("one")
    rule = account.rule(100, target_group)
    call = account.elbv2.delete_target_group
    assert refused(call, TargetGroupArn=target_group) == "ResourceInUse"
    account.elbv2.delete_rule(RuleArn=rule)
    call(TargetGroupArn=target_group)


def test_a_group_is_called_in_use_for_a_while_after_its_rule(account, refused):
    """Where ``in_use_s`` says so: ResourceInUse, though no rule names it any more."""
    target_group = account.target_group("one")
    rule = account.rule(100, target_group)
    account.emulator.configure(in_use_s=100)
    account.elbv2.delete_rule(RuleArn=rule)
    call = account.elbv2.delete_target_group
    assert refused(call, TargetGroupArn=target_group) == "ResourceInUse"
    account.emulator.configure(in_use_s=0)
    call(TargetGroupArn=target_group)


def test_a_group_that_a_default_action_names_is_not_deleted(account, refused):
    """The same, of a listener that has no rule at all."""
    target_group = account.target_group("one")
    forward = [{"Type": "forward", "TargetGroupArn": target_group}]
    account.elbv2.modify_listener(ListenerArn=account.listener, DefaultActions=forward)
    call = account.elbv2.delete_target_group
    assert refused(call, TargetGroupArn=target_group) == "ResourceInUse"
    account.elbv2.modify_listener(ListenerArn=account.listener, DefaultActions=FIXED)
    call(TargetGroupArn=target_group)


def test_a_group_that_only_a_weight_of_zero_names_is_not_deleted(account, refused):
    """The same, of a share that gets nothing."""
    first, second = account.target_group("one"), account.target_group("two")
    _create(account, Priority=1, Actions=_forward((first, 1), (second, 0)))
    call = account.elbv2.delete_target_group
    assert refused(call, TargetGroupArn=second) == "ResourceInUse"


def test_a_group_that_is_gone_is_not_named_any_more(account, refused):
    """A switch that comes too late finds nothing to switch to."""
    target_group = account.target_group("one")
    account.elbv2.delete_target_group(TargetGroupArn=target_group)
    actions = _forward((target_group, 1))
    asked = {"account": account, "Priority": 1, "Actions": actions}
    assert refused(_create, **asked) == "TargetGroupNotFound"


def test_the_same_group_again_is_the_same(account, refused):
    """Botocore, CreateTargetGroup: with the same settings each call succeeds."""
    first = account.target_group("one", path="/health")
    assert account.target_group("one", path="/health") == first
    code = refused(account.target_group, name="one", path="/other")
    assert code == "DuplicateTargetGroupName"


def test_names_have_32_characters(account, refused):
    """Botocore, CreateTargetGroup, ``Name``: a maximum of 32 characters."""
    account.target_group("a" * 32)
    assert refused(account.target_group, name="a" * 33) == "ValidationError"


def test_weights_have_a_range(account, refused):
    """Botocore, ``TargetGroupTuple``: 0 to 999; moto takes 5000."""
    target_group = account.target_group("one")
    _create(account, Priority=1, Actions=_forward((target_group, 999)))
    wrong = _forward((target_group, 1000))
    asked = {"account": account, "Priority": 2, "Actions": wrong}
    assert refused(_create, **asked) == "ValidationError"


def test_an_action_has_five_groups(account, refused):
    """ALB, "Quotas": target groups per action."""
    groups = [account.target_group(f"group-{number}") for number in range(6)]
    _create(account, Priority=1, Actions=_forward(*((each, 1) for each in groups[:5])))
    wrong = _forward(*((each, 1) for each in groups))
    asked = {"account": account, "Priority": 2, "Actions": wrong}
    assert refused(_create, **asked) == "ValidationError"


def test_a_condition_has_three_values_and_a_rule_five(account, refused):
    """ALB, "Listener rules": comparison strings per condition, and per rule."""
    three, two, four = (
        {"Field": "path-pattern", "PathPatternConfig": {"Values": _paths(count)}}
        for count in (3, 2, 4)
    )
    hosts = {"Field": "host-header", "HostHeaderConfig": {"Values": ["a", "b"]}}
    _create(account, Priority=1, Conditions=[three, hosts])
    _create(account, Priority=2, Conditions=[two])
    asked = {"account": account, "Priority": 3}
    assert refused(_create, **asked, Conditions=[four]) == "ValidationError"
    header = {
        "Field": "http-header",
        "HttpHeaderConfig": {"HttpHeaderName": "x", "Values": ["a"]},
    }
    many = [three, hosts, header]
    assert refused(_create, **asked, Conditions=many) == "ValidationError"


def test_a_group_is_of_one_balancer(account, refused):
    """ALB, "Quotas": load balancers per target group; moto lets two name it."""
    target_group = account.target_group("one")
    account.rule(1, target_group)
    other = account.elbv2.create_load_balancer(
        Name="other", Subnets=list(account.subnets)
    )["LoadBalancers"][0]["LoadBalancerArn"]
    code = refused(
        account.elbv2.create_listener,
        LoadBalancerArn=other,
        Protocol="HTTP",
        Port=8000,
        DefaultActions=[{"Type": "forward", "TargetGroupArn": target_group}],
    )
    assert code == "TargetGroupAssociationLimit"


def test_groups_are_paged_and_know_their_balancer(account):
    """Botocore, DescribeTargetGroups, ``PageSize``; moto never forgets a balancer."""
    groups = [account.target_group(f"group-{number}") for number in range(3)]
    rule = account.rule(1, groups[0])
    pages = account.elbv2.get_paginator("describe_target_groups").paginate(
        PaginationConfig={"PageSize": 2}
    )
    found = [each for page in pages for each in page["TargetGroups"]]
    assert [len(each["LoadBalancerArns"]) for each in found] == [1, 0, 0]
    account.elbv2.delete_rule(RuleArn=rule)
    found = account.elbv2.describe_target_groups()["TargetGroups"]
    assert not any(each["LoadBalancerArns"] for each in found)


def test_twenty_resources_are_asked_for_their_tags(account, refused):
    """Botocore, DescribeTags: up to 20, all of which exist; moto answers for any."""
    rule = _create(account, Priority=1, Tags=[{"Key": "epoch", "Value": "1"}])
    (told,) = account.elbv2.describe_tags(ResourceArns=[rule])["TagDescriptions"]
    assert told["Tags"] == [{"Key": "epoch", "Value": "1"}]
    call = account.elbv2.describe_tags
    assert refused(call, ResourceArns=[rule] * 21) == "ValidationError"
    account.elbv2.delete_rule(RuleArn=rule)
    assert refused(call, ResourceArns=[rule]) == "RuleNotFound"


def _create(account, **asked):
    given = {"Conditions": ANY, "Actions": FIXED, **asked}
    found = account.elbv2.create_rule(ListenerArn=account.listener, **given)
    return found["Rules"][0]["RuleArn"]


def _paths(count):
    return [f"/{number}" for number in range(count)]


def _forward(*shares):
    tuples = [{"TargetGroupArn": arn, "Weight": weight} for arn, weight in shares]
    return [{"Type": "forward", "ForwardConfig": {"TargetGroups": tuples}}]


def _priorities(*pairs):
    return [{"RuleArn": arn, "Priority": priority} for arn, priority in pairs]


def _told(account):
    found = account.elbv2.describe_rules(ListenerArn=account.listener)["Rules"]
    return [rule["RuleArn"] for rule in found]
