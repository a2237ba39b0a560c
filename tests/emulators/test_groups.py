"""Auto Scaling groups: launching, replacing, balancing, shrinking, ending."""

import datetime as dt

import pytest


def test_a_group_launches_over_its_zones(account):
    """EC2 Auto Scaling user guide: the zone with the fewest gets the next; moto fills one."""
    account.group("fleet", account.image())
    account.until(lambda: len(account.in_service("fleet")) == 3)
    found = _described(account)["Instances"]
    assert len({each["AvailabilityZone"] for each in found}) == 3


def test_an_instance_is_pending_until_it_runs(account):
    """EC2 Auto Scaling user guide, "Instance lifecycle": Pending, then InService."""
    account.emulator.configure(boot_s=1.5)
    account.group("fleet", account.image())
    assert {state for _, state in account.members("fleet")} == {"Pending"}
    account.until(lambda: len(account.in_service("fleet")) == 3)


def test_a_group_launches_from_the_version_it_is_pinned_to(account):
    """Botocore, ``Version``: moto reports the template's default instead."""
    old, new = account.image(), account.image()
    account.group("fleet", old)
    account.ec2.create_launch_template_version(
        LaunchTemplateName="fleet",
        SourceVersion="1",
        LaunchTemplateData={"ImageId": new},
    )
    account.ec2.modify_launch_template(LaunchTemplateName="fleet", DefaultVersion="2")
    account.until(lambda: len(account.in_service("fleet")) == 3)
    account.autoscaling.set_desired_capacity(
        AutoScalingGroupName="fleet", DesiredCapacity=4
    )
    account.until(lambda: len(account.in_service("fleet")) == 4)
    found = _described(account)["Instances"]
    assert {each["LaunchTemplate"]["Version"] for each in found} == {"1"}
    assert _images(account) == {old}


def test_a_group_pinned_to_latest_follows_it(account):
    """The negative control: without a number, a scale-out launches something else."""
    old, new = account.image(), account.image()
    account.group("fleet", old, 1)
    account.autoscaling.update_auto_scaling_group(
        AutoScalingGroupName="fleet",
        LaunchTemplate={"LaunchTemplateName": "fleet", "Version": "$Latest"},
    )
    account.ec2.create_launch_template_version(
        LaunchTemplateName="fleet",
        SourceVersion="1",
        LaunchTemplateData={"ImageId": new},
    )
    account.autoscaling.set_desired_capacity(
        AutoScalingGroupName="fleet", DesiredCapacity=2
    )
    account.until(lambda: len(account.in_service("fleet")) == 2)
    assert _images(account) == {old, new}


def test_a_name_is_used_once(account, refused):
    """Botocore: AlreadyExists; moto overwrites the group."""
    account.group("fleet", account.image(), 1)
    code = refused(
        account.autoscaling.create_auto_scaling_group,
        AutoScalingGroupName="fleet",
        MinSize=0,
        MaxSize=1,
        LaunchTemplate={"LaunchTemplateName": "fleet", "Version": "1"},
        VPCZoneIdentifier=account.subnets[0],
    )
    assert code == "AlreadyExists"


@pytest.mark.parametrize(
    "wrong",
    [
        {"MinSize": 3, "MaxSize": 2},
        {"DesiredCapacity": 99},
        {"LaunchTemplate": {"LaunchTemplateName": "none", "Version": "1"}},
        {"LaunchTemplate": {"LaunchTemplateName": "one", "Version": "7"}},
        {"VPCZoneIdentifier": "subnet-00000000000000000"},
        {"TargetGroupARNs": ["arn:aws:elasticloadbalancing:eu-west-1:1:targetgroup/x"]},
    ],
)
def test_what_does_not_fit_is_refused(account, refused, wrong):
    """Botocore, CreateAutoScalingGroup: ValidationError; moto takes a size of 99."""
    account.template("one", account.image())
    good = {
        "AutoScalingGroupName": "fleet",
        "MinSize": 0,
        "MaxSize": 3,
        "LaunchTemplate": {"LaunchTemplateName": "one", "Version": "1"},
        "VPCZoneIdentifier": ",".join(account.subnets),
    }
    call = account.autoscaling.create_auto_scaling_group
    assert refused(call, **{**good, **wrong}) == "ValidationError"
    call(**good)


def test_tags_are_set_at_launch(account):
    """Botocore, ``PropagateAtLaunch``: those that are to be, and the group's name."""
    account.template("one", account.image())
    account.autoscaling.create_auto_scaling_group(
        AutoScalingGroupName="fleet",
        MinSize=1,
        MaxSize=1,
        LaunchTemplate={"LaunchTemplateName": "one", "Version": "1"},
        VPCZoneIdentifier=account.subnets[0],
        Tags=[
            {"Key": "yes", "Value": "1", "PropagateAtLaunch": True},
            {"Key": "no", "Value": "1", "PropagateAtLaunch": False},
        ],
    )
    tags = {t["Key"]: t["Value"] for t in _instances(account)[0]["Tags"]}
    assert tags["yes"] == "1"
    assert tags["aws:autoscaling:groupName"] == "fleet"
    assert "no" not in tags


@pytest.mark.parametrize("how", ["terminated", "stopped", "set unhealthy"])
def test_what_does_not_run_is_replaced(account, how):
    """EC2 Auto Scaling, "Health checks": any state but running; moto replaces none of it."""
    account.group("fleet", account.image(), 2)
    first = account.until(lambda: _serving(account, 2))
    lost = min(first)
    if how == "terminated":
        account.ec2.terminate_instances(InstanceIds=[lost])
    elif how == "stopped":
        account.ec2.stop_instances(InstanceIds=[lost])
    else:
        account.autoscaling.set_instance_health(
            InstanceId=lost, HealthStatus="Unhealthy"
        )
    account.until(lambda: lost not in dict(account.members("fleet")))
    assert first - account.until(lambda: _serving(account, 2)) == {lost}


def test_nothing_is_replaced_while_that_is_suspended(account):
    """EC2 Auto Scaling, "Suspend and resume processes": ReplaceUnhealthy."""
    account.group("fleet", account.image(), 2)
    first = account.until(lambda: _serving(account, 2))
    group = {"AutoScalingGroupName": "fleet"}
    account.autoscaling.suspend_processes(
        **group, ScalingProcesses=["ReplaceUnhealthy"]
    )
    account.ec2.stop_instances(InstanceIds=[min(first)])
    account.until(lambda: "Unhealthy" in _healths(account))
    assert set(dict(account.members("fleet"))) == first
    account.autoscaling.resume_processes(**group)
    account.until(lambda: min(first) not in dict(account.members("fleet")))


def test_nothing_is_launched_while_that_is_suspended(account):
    """EC2 Auto Scaling, "Suspend and resume processes": Launch."""
    account.group("fleet", account.image(), 1)
    group = {"AutoScalingGroupName": "fleet"}
    account.until(lambda: _serving(account, 1))
    account.autoscaling.suspend_processes(**group, ScalingProcesses=["Launch"])
    account.autoscaling.set_desired_capacity(**group, DesiredCapacity=2)
    assert len(account.members("fleet")) == 1
    account.autoscaling.resume_processes(**group, ScalingProcesses=["Launch"])
    account.until(lambda: _serving(account, 2))


def test_what_the_balancer_calls_unhealthy_is_replaced(account):
    """EC2 Auto Scaling, "Health checks": the type ELB; the probes are real."""
    target_group = account.serve("fleet", "release=v1", 100)
    first = account.in_service("fleet")
    ill = min(first)
    account.emulator.kill(ill)
    account.until(lambda: ill not in dict(account.members("fleet")))
    account.until(lambda: account.health(target_group)["healthy"] == 3)


def test_the_type_ec2_does_not_ask_the_balancer(account):
    """The negative control: what runs and does not answer is kept."""
    target_group = account.serve("fleet", "release=v1", 100)
    account.autoscaling.update_auto_scaling_group(
        AutoScalingGroupName="fleet", HealthCheckType="EC2"
    )
    ill = min(account.in_service("fleet"))
    account.emulator.kill(ill)
    account.until(lambda: account.health(target_group)["unhealthy"] == 1)
    assert ill in account.in_service("fleet")


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
    states = [each["State"]["Name"] for each in _instances(account)]
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


def test_a_group_with_instances_is_not_deleted(account, refused):
    """Botocore, DeleteAutoScalingGroup: ResourceInUse; moto deletes it."""
    account.group("fleet", account.image(), 1)
    group = {"AutoScalingGroupName": "fleet"}
    assert refused(account.autoscaling.delete_auto_scaling_group, **group) == (
        "ResourceInUse"
    )
    account.autoscaling.update_auto_scaling_group(**group, DesiredCapacity=0)
    account.until(lambda: account.members("fleet") == [])
    account.autoscaling.delete_auto_scaling_group(**group)
    assert not account.autoscaling.describe_auto_scaling_groups()["AutoScalingGroups"]


def test_a_group_is_deleted_by_force_and_its_instances_after_it(account, refused):
    """Botocore, ``ForceDelete`` and ``Status``: Delete in progress while they go."""
    account.emulator.configure(halt_s=1.0)
    image = account.image()
    account.group("fleet", image, 2)
    account.until(lambda: _serving(account, 2))
    group = {"AutoScalingGroupName": "fleet"}
    account.autoscaling.delete_auto_scaling_group(**group, ForceDelete=True)
    assert _described(account)["Status"] == "Delete in progress"
    again = {
        **group,
        "MinSize": 0,
        "MaxSize": 1,
        "LaunchTemplate": {"LaunchTemplateName": "fleet", "Version": "1"},
        "VPCZoneIdentifier": account.subnets[0],
    }
    call = account.autoscaling.create_auto_scaling_group
    assert refused(call, **again) == "AlreadyExists"
    found = account.autoscaling.describe_auto_scaling_groups
    account.until(lambda: not found()["AutoScalingGroups"])
    assert {e["State"]["Name"] for e in _instances(account)} == {"terminated"}


def test_a_launch_that_fails_is_an_activity_that_failed(account):
    """Botocore, DescribeScalingActivities: StatusCode Failed, StatusMessage; moto has none."""
    account.emulator.configure(vcpus=2)
    account.group("fleet", account.image(), 2)
    account.until(lambda: "Failed" in _codes(account))
    newest = _activities(account)[0]
    assert "vCPU" in newest["StatusMessage"]
    account.emulator.configure(vcpus=8)
    account.until(lambda: _serving(account, 2))


def test_a_group_of_an_image_that_is_gone_says_so(account):
    """EC2 Auto Scaling, "Troubleshoot: AMI issues": the launch fails, with the reason."""
    image = account.image()
    account.template("fleet-template", image)
    account.ec2.deregister_image(ImageId=image)
    account.group("fleet", image, 1)
    account.until(lambda: "Failed" in _codes(account))
    assert "no longer available" in _activities(account)[0]["StatusMessage"]


def test_a_zone_that_is_full_is_gone_round(account, refused):
    """EC2 Auto Scaling user guide: a launch that fails in one zone is tried in another."""
    account.emulator.configure(full="eu-west-1a eu-west-1c")
    image = account.image()
    assert refused(account.launch, image=image) == "InsufficientInstanceCapacity"
    account.group("fleet", image)
    account.until(lambda: _serving(account, 3))
    found = _described(account)["Instances"]
    assert {each["AvailabilityZone"] for each in found} == {"eu-west-1b"}
    assert _codes(account) == {"Successful"}


def test_what_never_runs_is_replaced_for_ever(account):
    """EC2 user guide, "Instance terminates immediately": the group tries again and again."""
    account.emulator.configure(boot_s=0.1)
    account.group("fleet", account.image("stillborn"), 1)
    account.until(lambda: len(_instances(account)) > 2)
    assert not account.in_service("fleet")
    ended = [e for e in _instances(account) if e["State"]["Name"] == "terminated"]
    assert {each["StateReason"]["Code"] for each in ended} == {"Server.InternalError"}


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
    found = _described(account)
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


def _described(account, name="fleet"):
    found = account.autoscaling.describe_auto_scaling_groups(
        AutoScalingGroupNames=[name]
    )
    return found["AutoScalingGroups"][0]


def _instances(account):
    found = account.ec2.describe_instances()["Reservations"]
    return [instance for each in found for instance in each["Instances"]]


def _images(account):
    return {each["ImageId"] for each in _instances(account)}


def _serving(account, size):
    found = account.in_service("fleet")
    return found if len(found) == size else None


def _healths(account):
    return {each["HealthStatus"] for each in _described(account)["Instances"]}


def _bound(account):
    found = account.autoscaling.describe_load_balancer_target_groups(
        AutoScalingGroupName="fleet"
    )
    return [each["State"] for each in found["LoadBalancerTargetGroups"]]


def _activities(account):
    return account.autoscaling.describe_scaling_activities(
        AutoScalingGroupName="fleet"
    )["Activities"]


def _codes(account):
    return {each["StatusCode"] for each in _activities(account)}
