"""Auto Scaling groups: launching, replacing, ending, and what goes wrong."""

import pytest

from emulators.aws.account import ONCE, session_of


def test_a_group_launches_over_its_zones(account):
    """EC2 Auto Scaling user guide: the zone with the fewest gets the next; moto fills one."""
    account.group("fleet", account.image())
    account.until(lambda: len(account.in_service("fleet")) == 3)
    found = account.described("fleet")["Instances"]
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
    found = account.described("fleet")["Instances"]
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
    tags = {t["Key"]: t["Value"] for t in account.instances()[0]["Tags"]}
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


def test_nothing_is_terminated_while_that_is_suspended(account):
    """EC2 Auto Scaling, "Suspend and resume processes": Terminate: nothing shrinks."""
    account.group("fleet", account.image(), 2)
    group = {"AutoScalingGroupName": "fleet"}
    account.until(lambda: _serving(account, 2))
    account.autoscaling.suspend_processes(**group, ScalingProcesses=["Terminate"])
    account.autoscaling.set_desired_capacity(**group, DesiredCapacity=1)
    assert len(account.in_service("fleet")) == 2
    account.autoscaling.resume_processes(**group)
    account.until(lambda: _serving(account, 1))


def test_nothing_is_called_unhealthy_while_that_is_suspended(account):
    """EC2 Auto Scaling, "Suspend and resume processes": HealthCheck."""
    account.group("fleet", account.image(), 1)
    group = {"AutoScalingGroupName": "fleet"}
    (instance,) = account.until(lambda: _serving(account, 1))
    account.autoscaling.suspend_processes(**group, ScalingProcesses=["HealthCheck"])
    account.ec2.stop_instances(InstanceIds=[instance])
    account.until(lambda: account.state(instance) == "stopped")
    assert _healths(account) == {"Healthy"}
    account.autoscaling.resume_processes(**group)
    account.until(lambda: instance not in dict(account.members("fleet")))


def test_a_young_instance_is_not_called_unhealthy_by_the_balancer(account):
    """Botocore, HealthCheckGracePeriod: the balancer's word does not count before."""
    target_group = account.target_group("fleet")
    account.rule(100, target_group)
    account.group("fleet", account.image("sick"), 1)
    account.autoscaling.update_auto_scaling_group(
        AutoScalingGroupName="fleet",
        HealthCheckType="ELB",
        HealthCheckGracePeriod=100_000,
    )
    account.autoscaling.attach_load_balancer_target_groups(
        AutoScalingGroupName="fleet", TargetGroupARNs=[target_group]
    )
    account.until(lambda: account.health(target_group) == {"unhealthy": 1})
    (young,) = account.in_service("fleet")
    assert _healths(account) == {"Healthy"}
    account.autoscaling.update_auto_scaling_group(
        AutoScalingGroupName="fleet", HealthCheckGracePeriod=0
    )
    account.until(lambda: young not in dict(account.members("fleet")))


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
    assert account.described("fleet")["Status"] == "Delete in progress"
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
    assert {e["State"]["Name"] for e in account.instances()} == {"terminated"}


def test_a_launch_that_fails_is_an_activity_that_failed(account):
    """Botocore, DescribeScalingActivities: StatusCode Failed, StatusMessage; moto has none."""
    account.emulator.configure(vcpus=2)
    account.group("fleet", account.image(), 2)
    account.until(lambda: "Failed" in _codes(account))
    told = account.activities("fleet")
    failed = [each for each in told if each["StatusCode"] == "Failed"]
    assert "vCPU" in failed[0]["StatusMessage"]
    account.emulator.configure(vcpus=8)
    account.until(lambda: _serving(account, 2))


def test_a_group_of_an_image_that_is_gone_says_so(account):
    """EC2 Auto Scaling, "Troubleshoot: AMI issues": the launch fails, with the reason."""
    image = account.image()
    account.template("fleet-template", image)
    account.ec2.deregister_image(ImageId=image)
    account.group("fleet", image, 1)
    account.until(lambda: "Failed" in _codes(account))
    assert "no longer available" in account.activities("fleet")[0]["StatusMessage"]


def test_a_zone_that_is_full_is_gone_round(account, refused):
    """Botocore, AvailabilityZoneDistribution: another zone is tried, and the failure told."""
    account.emulator.configure(full="eu-west-1a eu-west-1c")
    image = account.image()
    assert refused(account.launch, image=image) == "InsufficientInstanceCapacity"
    account.group("fleet", image)
    account.until(lambda: _serving(account, 3))
    found = account.described("fleet")["Instances"]
    assert {each["AvailabilityZone"] for each in found} == {"eu-west-1b"}
    assert _codes(account) == {"Failed", "Successful"}


def test_a_profile_that_nobody_knows_is_refused(account, refused):
    """EC2 error codes: InvalidParameterValue; a group says so in its activities."""
    image = account.image()
    profile = {"IamInstanceProfile": {"Name": "web"}}
    account.ec2.create_launch_template(
        LaunchTemplateName="profiled",
        LaunchTemplateData={"ImageId": image, "InstanceType": "t3.micro", **profile},
    )
    asked = {"ImageId": image, "MinCount": 1, "MaxCount": 1, **profile}
    assert refused(account.ec2.run_instances, **asked) == "InvalidParameterValue"
    account.autoscaling.create_auto_scaling_group(
        AutoScalingGroupName="fleet",
        MinSize=1,
        MaxSize=1,
        LaunchTemplate={"LaunchTemplateName": "profiled", "Version": "1"},
        VPCZoneIdentifier=account.subnets[0],
    )
    account.until(lambda: _codes(account) == {"Failed"})
    iam = session_of().client("iam", endpoint_url=account.emulator.url, config=ONCE)
    iam.create_instance_profile(InstanceProfileName="web")
    account.until(lambda: _serving(account, 1))


def test_what_never_runs_is_replaced_for_ever(account):
    """EC2 user guide, "Instance terminates immediately": the group tries again and again."""
    account.emulator.configure(boot_s=0.1)
    account.group("fleet", account.image("stillborn"), 1)
    account.until(lambda: len(account.instances()) > 2)
    assert not account.in_service("fleet")
    ended = [e for e in account.instances() if e["State"]["Name"] == "terminated"]
    assert {each["StateReason"]["Code"] for each in ended} == {"Server.InternalError"}


def _images(account):
    return {each["ImageId"] for each in account.instances()}


def _serving(account, size):
    found = account.in_service("fleet")
    return found if len(found) == size else None


def _healths(account):
    found = account.described("fleet")["Instances"]
    return {each["HealthStatus"] for each in found}


def _codes(account):
    return {each["StatusCode"] for each in account.activities("fleet")}
