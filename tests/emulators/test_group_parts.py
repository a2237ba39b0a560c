"""Auto Scaling groups: their target groups, sizes, policies, schedules and hooks."""

import datetime as dt


def test_instances_come_into_target_groups_and_leave_them(account):
    """EC2 Auto Scaling, "Attach a load balancer"; moto leaves terminated ones registered."""
    target_group = account.serve("fleet", "release=v1", 100)
    account.autoscaling.set_desired_capacity(
        AutoScalingGroupName="fleet", DesiredCapacity=2
    )
    account.until(lambda: account.health(target_group)["draining"] == 1)
    account.until(lambda: account.health(target_group) == {"healthy": 2})


def test_an_instance_is_terminated_when_it_has_drained(account):
    """EC2 Auto Scaling, "Attach a load balancer": it waits for the deregistration delay."""
    target_group = account.serve("fleet", "release=v1", 100, size=2)
    account.autoscaling.set_desired_capacity(
        AutoScalingGroupName="fleet", DesiredCapacity=1
    )
    account.until(lambda: account.health(target_group)["draining"] == 1)
    states = [each["State"]["Name"] for each in account.instances()]
    assert states == ["running", "running"]
    account.until(lambda: len(account.members("fleet")) == 1)


def test_target_groups_can_be_attached_and_detached(account):
    """Botocore, Attach- and DetachLoadBalancerTargetGroups: Removing, then gone."""
    account.group("fleet", account.image(), 1)
    account.until(lambda: _serving(account, 1))
    target_group = account.target_group("late")
    asked = {"AutoScalingGroupName": "fleet", "TargetGroupARNs": [target_group]}
    account.autoscaling.attach_load_balancer_target_groups(**asked)
    assert account.health(target_group) == {"unused": 1}
    assert _bound(account) == ["Added"]
    account.autoscaling.detach_load_balancer_target_groups(**asked)
    assert _bound(account) == ["Removing"]
    account.until(lambda: _bound(account) == [])


def test_nothing_is_registered_while_that_is_suspended(account):
    """EC2 Auto Scaling, "Suspend and resume processes": AddToLoadBalancer."""
    target_group = account.target_group("fleet")
    account.group("fleet", account.image(), 0)
    group = {"AutoScalingGroupName": "fleet"}
    account.autoscaling.attach_load_balancer_target_groups(
        **group, TargetGroupARNs=[target_group]
    )
    account.autoscaling.suspend_processes(
        **group, ScalingProcesses=["AddToLoadBalancer"]
    )
    account.autoscaling.update_auto_scaling_group(**group, MaxSize=1, DesiredCapacity=1)
    account.until(lambda: _serving(account, 1))
    assert account.health(target_group) == {}
    account.autoscaling.resume_processes(**group)
    account.until(lambda: account.health(target_group) == {"unused": 1})


def test_traffic_sources_are_target_groups(account):
    """Botocore, AttachTrafficSources; moto has no such call."""
    account.group("fleet", account.image(), 1)
    target_group = account.target_group("late")
    source = [{"Identifier": target_group, "Type": "elbv2"}]
    asked = {"AutoScalingGroupName": "fleet", "TrafficSources": source}
    account.autoscaling.attach_traffic_sources(**asked)
    account.until(lambda: account.health(target_group).total() == 1)
    account.autoscaling.detach_traffic_sources(**asked)
    account.until(lambda: account.health(target_group).total() == 0)


def test_groups_are_limited(account, refused):
    """Botocore, DescribeAccountLimits and LimitExceeded."""
    account.emulator.configure(groups=1)
    image = account.image()
    account.group("one", image, 1)
    limits = account.autoscaling.describe_account_limits()
    assert limits["MaxNumberOfAutoScalingGroups"] == 1
    assert limits["NumberOfAutoScalingGroups"] == 1
    assert refused(account.group, name="two", image=image) == "LimitExceeded"


def test_one_instance_is_terminated_with_or_without_another(account, refused):
    """Botocore, TerminateInstanceInAutoScalingGroup: the size changes if asked to."""
    account.group("fleet", account.image(), 2)
    first, second = sorted(account.until(lambda: _serving(account, 2)))
    end = account.autoscaling.terminate_instance_in_auto_scaling_group
    end(InstanceId=first, ShouldDecrementDesiredCapacity=False)
    assert dict(account.members("fleet"))[first] == "Terminating"
    account.until(lambda: first not in dict(account.members("fleet")))
    account.until(lambda: _serving(account, 2))
    end(InstanceId=second, ShouldDecrementDesiredCapacity=True)
    account.until(lambda: len(account.members("fleet")) == 1)
    account.autoscaling.update_auto_scaling_group(
        AutoScalingGroupName="fleet", MinSize=1
    )
    (last,) = account.in_service("fleet")
    asked = {"InstanceId": last, "ShouldDecrementDesiredCapacity": True}
    assert refused(end, **asked) == "ValidationError"


def test_protected_instances_are_not_chosen(account):
    """EC2 Auto Scaling, "Instance scale-in protection"."""
    account.group("fleet", account.image(), 3)
    kept = sorted(account.until(lambda: _serving(account, 3)))[:2]
    group = {"AutoScalingGroupName": "fleet"}
    account.autoscaling.set_instance_protection(
        **group, InstanceIds=kept, ProtectedFromScaleIn=True
    )
    account.autoscaling.set_desired_capacity(**group, DesiredCapacity=0)
    account.until(lambda: len(account.members("fleet")) == 2)
    assert sorted(dict(account.members("fleet"))) == kept


def test_what_an_update_does_not_name_stays(account):
    """Botocore, UpdateAutoScalingGroup: what is not specified is not changed."""
    account.template("one", account.image())
    specification = {"LaunchTemplateName": "one", "Version": "1"}
    policy = {
        "LaunchTemplate": {
            "LaunchTemplateSpecification": specification,
            "Overrides": [{"InstanceType": "t3.small"}],
        }
    }
    account.autoscaling.create_auto_scaling_group(
        AutoScalingGroupName="fleet",
        MinSize=1,
        MaxSize=4,
        MixedInstancesPolicy=policy,
        VPCZoneIdentifier=account.subnets[0],
    )
    account.autoscaling.update_auto_scaling_group(
        AutoScalingGroupName="fleet", MaxSize=2
    )
    found = account.described("fleet")
    assert found["MixedInstancesPolicy"] == policy
    assert (found["MinSize"], found["MaxSize"]) == (1, 2)
    assert {each["InstanceType"] for each in found["Instances"]} == {"t3.small"}


def test_policies_are_a_groups_own(account):
    """Botocore, PutScalingPolicy; moto keeps one of a name, whatever the group."""
    for name in ("one", "two"):
        account.group(name, account.image(), 1)
        account.autoscaling.put_scaling_policy(
            AutoScalingGroupName=name,
            PolicyName="follow",
            AdjustmentType="ChangeInCapacity",
            ScalingAdjustment=1,
        )
    found = account.autoscaling.describe_policies()["ScalingPolicies"]
    assert [each["AutoScalingGroupName"] for each in found] == ["one", "two"]
    account.autoscaling.delete_policy(AutoScalingGroupName="one", PolicyName="follow")
    found = account.autoscaling.describe_policies()["ScalingPolicies"]
    assert [each["AutoScalingGroupName"] for each in found] == ["two"]


def test_a_policy_tells_its_alarms_and_takes_them_along(account):
    """Botocore, ``ScalingPolicy.Alarms``; an alarm without actions goes with the group."""
    account.group("fleet", account.image(), 1)
    group = {"AutoScalingGroupName": "fleet"}
    policy = account.autoscaling.put_scaling_policy(
        **group,
        PolicyName="grow",
        AdjustmentType="ChangeInCapacity",
        ScalingAdjustment=1,
    )["PolicyARN"]
    for name, other in (("own", []), ("shared", ["arn:aws:sns:eu-west-1:1:t"])):
        account.cloudwatch.put_metric_alarm(
            AlarmName=name,
            AlarmActions=[policy, *other],
            Namespace="own",
            MetricName="load",
            Statistic="Average",
            ComparisonOperator="GreaterThanThreshold",
            Threshold=1,
            Period=60,
            EvaluationPeriods=1,
        )
    (told,) = account.autoscaling.describe_policies(**group)["ScalingPolicies"]
    assert {each["AlarmName"] for each in told["Alarms"]} == {"own", "shared"}
    account.autoscaling.delete_auto_scaling_group(**group, ForceDelete=True)
    (left,) = account.cloudwatch.describe_alarms()["MetricAlarms"]
    assert left["AlarmActions"] == ["arn:aws:sns:eu-west-1:1:t"]


def test_a_scheduled_action_is_performed(account):
    """Botocore, PutScheduledUpdateGroupAction: at its start; held back if suspended."""
    account.group("fleet", account.image(), 1)
    group = {"AutoScalingGroupName": "fleet"}
    account.autoscaling.suspend_processes(
        **group, ScalingProcesses=["ScheduledActions"]
    )
    account.autoscaling.put_scheduled_update_group_action(
        **group,
        ScheduledActionName="grow",
        StartTime=dt.datetime.now(tz=dt.UTC),
        DesiredCapacity=2,
    )
    found = account.autoscaling.describe_scheduled_actions(**group)
    assert found["ScheduledUpdateGroupActions"][0]["DesiredCapacity"] == 2
    account.autoscaling.resume_processes(**group)
    account.until(lambda: len(account.members("fleet")) == 2)


def test_a_new_instance_waits_at_a_hook(account):
    """EC2 Auto Scaling, "Lifecycle hooks": Pending:Wait until CONTINUE; moto ignores it."""
    account.group("fleet", account.image(), 0)
    group = {"AutoScalingGroupName": "fleet"}
    account.autoscaling.update_auto_scaling_group(**group, MaxSize=1)
    account.autoscaling.put_lifecycle_hook(
        **group,
        LifecycleHookName="wait",
        LifecycleTransition="autoscaling:EC2_INSTANCE_LAUNCHING",
    )
    account.autoscaling.set_desired_capacity(**group, DesiredCapacity=1)
    account.until(lambda: "Pending:Wait" in dict(account.members("fleet")).values())
    (waiting,) = dict(account.members("fleet"))
    account.autoscaling.complete_lifecycle_action(
        **group,
        LifecycleHookName="wait",
        LifecycleActionResult="CONTINUE",
        InstanceId=waiting,
    )
    account.until(lambda: account.in_service("fleet") == {waiting})


def test_a_detached_instance_goes_on(account):
    """Botocore, DetachInstances: the group no longer has it; it runs."""
    account.group("fleet", account.image(), 1)
    (instance,) = account.until(lambda: _serving(account, 1))
    account.autoscaling.detach_instances(
        AutoScalingGroupName="fleet",
        InstanceIds=[instance],
        ShouldDecrementDesiredCapacity=True,
    )
    assert account.members("fleet") == []
    assert account.state(instance) == "running"


def _serving(account, size):
    found = account.in_service("fleet")
    return found if len(found) == size else None


def _bound(account):
    found = account.autoscaling.describe_load_balancer_target_groups(
        AutoScalingGroupName="fleet"
    )
    return [each["State"] for each in found["LoadBalancerTargetGroups"]]
