"""Alarms that set off a group's policies go with it to the group that takes over."""

import pytest
from specs import LEDGER, NEW, OLD, SERVICE, TOKEN, spec_of

from immutable.model import (
    FleetName,
)
from immutable_aws.config import AwsConfig
from immutable_aws.fleet import AwsFleets
from immutable_aws.groups.alarms import alarm_for
from immutable_aws.groups.group import HELD, Group
from immutable_aws.inventory import inventory
from immutable_aws.session import aws_of

_ARN = "arn:aws:elasticloadbalancing:eu-west-1:1:targetgroup/"
_TOLD = "arn:aws:sns:eu-west-1:1:people"


def _group(name, place):
    return Group(
        name=name,
        smallest=1,
        desired=2,
        largest=3,
        seats=(),
        tags=(
            ("immutable-ledger", LEDGER),
            ("immutable-release", "1"),
            ("immutable-service", SERVICE),
        ),
        places=(f"{_ARN}{place}",),
        template=None,
        suspended=frozenset(HELD),
        is_deleted=False,
    )


OLD_GROUP, NEW_GROUP = _group(OLD, f"{OLD}/11"), _group(NEW, f"{NEW}/22")


def _row(**changes):
    return {
        "AlarmName": "too busy",
        "AlarmArn": "arn:alarm",
        "StateValue": "OK",
        "ActionsEnabled": True,
        "AlarmActions": ["arn:policy-old", _TOLD],
        "MetricName": "CPUUtilization",
        "Namespace": "AWS/EC2",
        "Dimensions": [{"Name": "AutoScalingGroupName", "Value": OLD}],
        "Threshold": 70.0,
        **changes,
    }


def test_a_copy_watches_the_new_group_and_sets_off_its_policy():
    """Whom else it tells stays; what the provider says of its state is not copied."""
    arns = {"arn:policy-old": "arn:policy-new"}
    copy = alarm_for(_row(), OLD_GROUP, NEW_GROUP, arns)
    assert copy["AlarmActions"] == ["arn:policy-new", _TOLD]
    assert copy["Dimensions"] == [{"Name": "AutoScalingGroupName", "Value": NEW}]
    assert copy["Threshold"] == 70.0
    assert not {"AlarmArn", "StateValue"} & copy.keys()
    assert {tag["Key"] for tag in copy["Tags"]} == {
        "immutable-ledger",
        "immutable-service",
    }


def test_a_threshold_of_nothing_is_one():
    """More than 0 messages in a queue is what many scale by."""
    copy = alarm_for(_row(Threshold=0.0), OLD_GROUP, NEW_GROUP, {})
    assert copy["Threshold"] == 0.0


def test_a_copy_watches_the_new_target_group_too():
    """Also where the metric is within an expression."""
    dimensions = [
        {"Name": "LoadBalancer", "Value": "app/web/33"},
        {"Name": "TargetGroup", "Value": f"targetgroup/{OLD}/11"},
    ]
    metric = {"Id": "m1", "MetricStat": {"Metric": {"Dimensions": dimensions}}}
    copy = alarm_for(_row(Metrics=[metric]), OLD_GROUP, NEW_GROUP, {})
    copied = copy["Metrics"][0]["MetricStat"]["Metric"]["Dimensions"]
    assert [d["Value"] for d in copied] == ["app/web/33", f"targetgroup/{NEW}/22"]


def test_the_copy_of_a_copy_has_the_name_of_a_copy():
    """However often it is handed on, and different alarms stay different."""
    first = alarm_for(_row(), OLD_GROUP, NEW_GROUP, {})["AlarmName"]
    assert first.startswith(f"{NEW}-")
    third = _group(FleetName("shop-v3-cccccc"), "shop-v3-cccccc/33")
    second = alarm_for(_row(AlarmName=first), NEW_GROUP, third, {})["AlarmName"]
    assert second == f"{third.name}-{first.removeprefix(f'{NEW}-')}"
    other = alarm_for(_row(AlarmName="too idle"), OLD_GROUP, NEW_GROUP, {})
    assert other["AlarmName"] != first


@pytest.fixture
def fleets(account, hurried):
    """Return the fleets of an account with two of them."""
    config = AwsConfig(region=account.region)
    fleets = AwsFleets(config, aws_of(config.place))
    for number, name in enumerate((OLD, NEW), start=1):
        spec = spec_of(account, name=name, number=number, size=1)
        fleets.launch(spec, token=TOKEN)
    return fleets


def test_alarms_go_with_the_policy_and_end_with_the_fleet(account, fleets):
    """Thawed twice there is one copy; retired, none; the first group's own stays."""
    arn = account.autoscaling.put_scaling_policy(
        AutoScalingGroupName=OLD,
        PolicyName="more",
        PolicyType="StepScaling",
        AdjustmentType="ChangeInCapacity",
        StepAdjustments=[{"MetricIntervalLowerBound": 0.0, "ScalingAdjustment": 1}],
    )["PolicyARN"]
    account.cloudwatch.put_metric_alarm(
        AlarmName="too busy",
        MetricName="CPUUtilization",
        Namespace="AWS/EC2",
        Statistic="Average",
        Period=60,
        EvaluationPeriods=2,
        Threshold=70.0,
        ComparisonOperator="GreaterThanThreshold",
        Dimensions=[{"Name": "AutoScalingGroupName", "Value": OLD}],
        AlarmActions=[arn, _TOLD],
    )
    for _ in range(2):
        fleets.thaw(NEW, like=OLD, token=TOKEN)
    rows = account.cloudwatch.describe_alarms(AlarmNamePrefix=f"{NEW}-")["MetricAlarms"]
    (policy,) = account.autoscaling.describe_policies(AutoScalingGroupName=NEW)[
        "ScalingPolicies"
    ]
    assert policy["StepAdjustments"][0]["ScalingAdjustment"] == 1
    (copy,) = rows
    assert copy["AlarmActions"] == [policy["PolicyARN"], _TOLD]
    assert copy["Dimensions"] == [{"Name": "AutoScalingGroupName", "Value": NEW}]
    aws = aws_of(AwsConfig(region=account.region).place)
    found = inventory(aws, service=SERVICE, ledger=LEDGER)
    assert f"alarm {copy['AlarmName']}" in found
    place = account.autoscaling.describe_auto_scaling_groups(
        AutoScalingGroupNames=[NEW]
    )
    account.displace(place["AutoScalingGroups"][0]["TargetGroupARNs"][0])
    fleets.retire(NEW, token=TOKEN)
    names = [
        a["AlarmName"] for a in account.cloudwatch.describe_alarms()["MetricAlarms"]
    ]
    assert names == ["too busy"]
