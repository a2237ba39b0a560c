"""Groups that hold still, and groups that take over how another one scales itself."""

from datetime import UTC, datetime, timedelta

import attrs
import pytest
from specs import NEW, OLD, TOKEN, spec_of

from immutable.groups import Groups
from immutable.model import (
    FleetName,
    FleetSpec,
)
from immutable_aws.config import AwsConfig
from immutable_aws.fleet import AwsFleets
from immutable_aws.groups.activities import reason_in
from immutable_aws.groups.copying import actions_for, policies_for
from immutable_aws.groups.group import HELD, Group
from immutable_aws.session import aws_of

pytestmark = pytest.mark.usefixtures("hurried")
NOW = datetime(2030, 1, 1, tzinfo=UTC)


class Remembering(AwsFleets):
    """Fleets, with what they were launched from."""

    def __init__(self, config, aws):
        super().__init__(config, aws)
        self.specs: dict[FleetName, FleetSpec] = {}


@pytest.fixture
def fleets(account):
    """Return the fleets of an account with two of them, both frozen."""
    config = AwsConfig(region=account.region)
    fleets = Remembering(config, aws_of(config.place))
    for number, name in enumerate((OLD, NEW), start=1):
        spec = spec_of(account, name=name, number=number)
        fleets.launch(spec, token=TOKEN)
        fleets.specs[name] = spec
    return fleets


def _track(account, name, target=50.0, policy="cpu"):
    account.autoscaling.put_scaling_policy(
        AutoScalingGroupName=name,
        PolicyName=policy,
        PolicyType="TargetTrackingScaling",
        TargetTrackingConfiguration={
            "PredefinedMetricSpecification": {
                "PredefinedMetricType": "ASGAverageCPUUtilization"
            },
            "TargetValue": target,
        },
    )


def _schedule(account, name, action="night", size=1):
    account.autoscaling.put_scheduled_update_group_action(
        AutoScalingGroupName=name,
        ScheduledActionName=action,
        Recurrence="0 22 * * *",
        MinSize=size,
        MaxSize=9,
    )


def _rules(account, name):
    policies = account.autoscaling.describe_policies(AutoScalingGroupName=name)
    actions = account.autoscaling.describe_scheduled_actions(AutoScalingGroupName=name)
    return (
        {
            p["PolicyName"]: p["TargetTrackingConfiguration"]["TargetValue"]
            for p in policies["ScalingPolicies"]
        },
        {
            a["ScheduledActionName"]: a["MinSize"]
            for a in actions["ScheduledUpdateGroupActions"]
        },
    )


def _health(account, name):
    group = account.autoscaling.describe_auto_scaling_groups(
        AutoScalingGroupNames=[name]
    )["AutoScalingGroups"][0]
    return {i["InstanceId"]: i["HealthStatus"] for i in group["Instances"]}


def _bounds(account, name):
    group = account.autoscaling.describe_auto_scaling_groups(
        AutoScalingGroupNames=[name]
    )["AutoScalingGroups"][0]
    return group["MinSize"], group["DesiredCapacity"], group["MaxSize"]


def test_the_fleets_are_groups_too(fleets):
    """They have both methods; where there is no fleet, neither is an error."""
    groups: Groups = fleets
    gone = FleetName("shop-v9-zzzzzz")
    groups.freeze(gone, token=TOKEN)
    groups.thaw(gone, like=None, token=TOKEN)
    groups.thaw(gone, like=OLD, token=TOKEN)
    groups.thaw(NEW, like=gone, token=TOKEN)
    assert fleets.observe(NEW).frozen is False


def test_a_frozen_group_leaves_the_dead_where_they_are(account, fleets):
    """Thawed, it replaces them; frozen again, it does not."""
    _until(lambda: account.health(fleets.specs[OLD].place)["healthy"] == 2)
    ids = {i.id for i in fleets.observe(OLD).alive}
    dead = min(ids)
    account.emulator.kill(dead, state="stopped")
    _until(lambda: _health(account, OLD)[dead] == "Unhealthy")
    assert set(_health(account, OLD)) == ids
    account.emulator.calls(clear=True)
    fleets.thaw(OLD, like=None, token=TOKEN)
    assert account.emulator.calls(clear=True).counts == {
        "autoscaling:DescribeAutoScalingGroups": 1,
        "elbv2:DescribeTargetHealth": 1,
        "autoscaling:ResumeProcesses": 1,
    }
    _until(lambda: dead not in {i.id for i in fleets.observe(OLD).alive})
    fleets.freeze(OLD, token=TOKEN)
    fleets.freeze(OLD, token=TOKEN)
    assert fleets.observe(OLD).frozen is True


@pytest.mark.parametrize("like", [None, OLD])
def test_what_became_well_while_it_was_held_survives_the_letting_go(
    account, fleets, like
):
    """A mark of the group's stays for ever, and would end a fleet that serves everybody."""
    place = fleets.specs[NEW].place
    _until(lambda: account.health(place)["healthy"] == 2)
    ids = {i.id for i in fleets.observe(NEW).alive}
    for instance in ids:
        account.autoscaling.set_instance_health(
            InstanceId=instance, HealthStatus="Unhealthy"
        )
    fleets.thaw(NEW, like=like, token=TOKEN)
    assert _health(account, NEW) == dict.fromkeys(ids, "Healthy")


def test_a_mark_without_a_place_is_no_obstacle(account, fleets):
    """A group goes on listing a target group that somebody has deleted."""
    account.autoscaling.set_instance_health(
        InstanceId=fleets.observe(OLD).alive[0].id, HealthStatus="Unhealthy"
    )
    account.displace(fleets.specs[OLD].place)
    fleets.thaw(OLD, like=None, token=TOKEN)
    assert fleets.observe(OLD).frozen is False


def test_a_group_that_is_going_is_neither_held_nor_let_go(account, fleets):
    """It can change itself as little as one that is gone."""
    account.emulator.configure(halt_s=3600)
    account.autoscaling.delete_auto_scaling_group(
        AutoScalingGroupName=OLD, ForceDelete=True
    )
    fleets.freeze(OLD, token=TOKEN)
    fleets.thaw(OLD, like=NEW, token=TOKEN)


def test_freezing_is_one_call_and_keeps_what_others_suspended(account, fleets):
    """A process that somebody else suspended stays so when the group is let go again."""
    account.autoscaling.suspend_processes(
        AutoScalingGroupName=OLD, ScalingProcesses=["HealthCheck"]
    )
    fleets.thaw(OLD, like=None, token=TOKEN)
    account.emulator.calls(clear=True)
    fleets.freeze(OLD, token=TOKEN)
    assert account.emulator.calls().counts == {"autoscaling:SuspendProcesses": 1}
    fleets.thaw(OLD, like=None, token=TOKEN)
    group = account.autoscaling.describe_auto_scaling_groups(
        AutoScalingGroupNames=[OLD]
    )["AutoScalingGroups"][0]
    suspended = {p["ProcessName"] for p in group["SuspendedProcesses"]}
    assert suspended == {"HealthCheck", "InstanceRefresh"}


def test_a_group_that_was_let_go_keeps_its_own_size(account, fleets):
    """Launched again it is left alone; replacing one keeps its size; resizing sets it."""
    spec = fleets.specs[OLD]
    fleets.thaw(OLD, like=None, token=TOKEN)
    account.autoscaling.update_auto_scaling_group(
        AutoScalingGroupName=OLD, MinSize=1, MaxSize=4, DesiredCapacity=3
    )
    fleets.launch(attrs.evolve(spec, size=4), token=TOKEN)
    assert fleets.observe(OLD).frozen is False
    assert fleets.observe(OLD).desired_size == 3
    _until(lambda: len(fleets.observe(OLD).alive) == 3)
    leaving = fleets.observe(OLD).alive[0].id
    fleets.replace(spec, instance=leaving, token=TOKEN)
    assert fleets.observe(OLD).desired_size == 3
    _until(lambda: len(fleets.observe(OLD).alive) == 3)
    assert leaving not in {i.id for i in fleets.observe(OLD).alive}
    fleets.resize(spec, remove=(), token=TOKEN)
    assert fleets.observe(OLD).desired_size == 2
    _until(lambda: len(fleets.observe(OLD).alive) == 2)
    assert _bounds(account, OLD) == (1, 2, 4)


def test_a_group_whose_launcher_died_before_it_was_frozen_is_frozen(account, fleets):
    """Nobody has let it go: the launch that goes on finds it as it was created."""
    account.autoscaling.resume_processes(AutoScalingGroupName=OLD)
    assert fleets.observe(OLD).frozen is False
    fleets.launch(attrs.evolve(fleets.specs[OLD], size=3), token=TOKEN)
    assert fleets.observe(OLD).frozen is True
    assert len(fleets.observe(OLD).alive) == 3


def test_who_takes_over_scales_as_the_one_before_and_not_otherwise(account, fleets):
    """Policies, schedules and bounds are copied; others go; the old group keeps its own."""
    _track(account, OLD, 50.0)
    _schedule(account, OLD)
    _track(account, NEW, 10.0)
    _track(account, NEW, 20.0, policy="stray")
    _schedule(account, NEW, action="stray")
    account.autoscaling.update_auto_scaling_group(
        AutoScalingGroupName=OLD, MinSize=1, MaxSize=6
    )
    fleets.freeze(OLD, token=TOKEN)
    before = _rules(account, OLD), _bounds(account, OLD)
    for _ in range(2):
        fleets.thaw(NEW, like=OLD, token=TOKEN)
        assert _rules(account, NEW) == ({"cpu": 50.0}, {"night": 1})
        assert _bounds(account, NEW) == (1, 2, 6)
        assert fleets.observe(NEW).frozen is False
    assert (_rules(account, OLD), _bounds(account, OLD)) == before
    assert fleets.observe(OLD).frozen is True


def test_bounds_that_would_not_admit_the_present_size_are_widened(account, fleets):
    """The fleet stays as large as it is."""
    account.autoscaling.update_auto_scaling_group(
        AutoScalingGroupName=OLD, MinSize=3, MaxSize=3, DesiredCapacity=3
    )
    fleets.thaw(NEW, like=OLD, token=TOKEN)
    assert _bounds(account, NEW) == (2, 2, 3)


def test_a_group_that_was_just_made_is_not_asked_for_its_rules(account, fleets):
    """It has none; where there are none to be copied, two calls say so."""
    account.emulator.calls(clear=True)
    fleets.thaw(NEW, like=OLD, token=TOKEN)
    assert account.emulator.calls().counts == {
        "autoscaling:DescribeAutoScalingGroups": 1,
        "autoscaling:DescribePolicies": 1,
        "autoscaling:DescribeScheduledActions": 1,
        "autoscaling:ResumeProcesses": 1,
    }


@pytest.mark.parametrize("like", [OLD, None])
def test_who_takes_over_from_a_group_without_rules_loses_its_own(account, fleets, like):
    """A standby that had some when it served: whoever served since then has none."""
    fleets.thaw(NEW, like=like, token=TOKEN)
    _track(account, NEW)
    _schedule(account, NEW)
    fleets.thaw(NEW, like=OLD, token=TOKEN)
    assert _rules(account, NEW) == ({}, {})


def test_groups_that_agree_cost_six_calls(account, fleets):
    """Both groups at once, what each is scaled by, and the letting go."""
    fleets.thaw(NEW, like=OLD, token=TOKEN)
    account.emulator.calls(clear=True)
    fleets.thaw(NEW, like=OLD, token=TOKEN)
    assert account.emulator.calls().counts == {
        "autoscaling:DescribeAutoScalingGroups": 1,
        "autoscaling:DescribePolicies": 2,
        "autoscaling:DescribeScheduledActions": 2,
        "autoscaling:ResumeProcesses": 1,
    }


def _group(place):
    return Group(
        name=NEW,
        smallest=1,
        desired=2,
        largest=3,
        seats=(),
        tags=(),
        places=(place,),
        template=None,
        suspended=frozenset(HELD),
        is_deleted=False,
    )


def test_a_policy_that_counts_requests_counts_those_of_its_own_target_group():
    """The label names load balancer and target group; the group's own takes the place."""
    arn = "arn:aws:elasticloadbalancing:eu-west-1:1:targetgroup/shop-v2-bbbbbb/2222"
    policy = {
        "PolicyName": "requests",
        "PolicyARN": "arn:old",
        "AutoScalingGroupName": OLD,
        "PolicyType": "TargetTrackingScaling",
        "Alarms": [{"AlarmName": "theirs"}],
        "TargetTrackingConfiguration": {
            "PredefinedMetricSpecification": {
                "PredefinedMetricType": "ALBRequestCountPerTarget",
                "ResourceLabel": "app/web/1111/targetgroup/shop-v1-aaaaaa/3333",
            },
            "TargetValue": 100.0,
        },
    }
    copied = policies_for(_group(arn), [policy])["requests"]
    assert copied["AutoScalingGroupName"] == NEW
    metric = copied["TargetTrackingConfiguration"]["PredefinedMetricSpecification"]
    assert metric["ResourceLabel"] == "app/web/1111/targetgroup/shop-v2-bbbbbb/2222"
    assert not {"PolicyARN", "Alarms"} & copied.keys()


def test_what_recurs_is_copied_without_its_beginning_in_the_past():
    """The provider takes no new action that begins in the past; one to come keeps it."""
    past, coming = NOW - timedelta(days=1), NOW + timedelta(days=1)
    rows = [
        {"ScheduledActionName": "daily", "StartTime": past, "Recurrence": "0 1 * * *"},
        {"ScheduledActionName": "once", "StartTime": coming, "DesiredCapacity": 4},
        {"ScheduledActionName": "over", "StartTime": past, "DesiredCapacity": 4},
    ]
    copied = actions_for(rows, NOW)
    assert "over" not in copied
    assert copied["daily"] == {
        "ScheduledActionName": "daily",
        "Recurrence": "0 1 * * *",
    }
    assert copied["once"] == rows[1]


@pytest.mark.parametrize(
    ("states", "reason"),
    [
        ([], ""),
        (["Successful"], ""),
        (["Failed", "Successful"], "because 0"),
        (["Successful", "Failed"], ""),
        (["Failed", "InProgress"], ""),
        (["Cancelled"], "because 0"),
    ],
)
def test_a_group_has_failed_when_its_newest_attempt_has_and_none_is_under_way(
    states, reason
):
    """The provider lists the newest first."""
    rows = [
        {"StatusCode": state, "StatusMessage": f"because {number}", "Cause": ""}
        for number, state in enumerate(states)
    ]
    assert reason_in(rows) == reason


def test_an_attempt_that_fails_is_given_a_minute(account):
    """Another zone may have room; what fails for longer is told, with what AWS said."""
    account.emulator.configure(full=f"{account.region}a {account.region}b")
    config = AwsConfig(region=account.region)
    fleets = AwsFleets(config, aws_of(config.place))
    spec = spec_of(account)
    fleets.launch(spec, token=TOKEN)
    found = account.activities(spec.name)
    assert "Failed" in {row["StatusCode"] for row in found}
    assert len(fleets.observe(spec.name).alive) == 2


def _until(good):
    for _ in range(200):
        if good():
            return
        from immutable import host

        host.current().sleep(timedelta(seconds=0.5), host.Never())
    raise AssertionError("it did not come about")
