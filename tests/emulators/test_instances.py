"""Instances: their states by the clock, tokens, what is refused, what they print."""

import base64
import urllib.request

LAUNCH = {"MinCount": 1, "MaxCount": 1, "InstanceType": "t3.micro"}


def test_an_instance_is_pending_first_and_runs_by_the_clock(account):
    """EC2 user guide, "Instance lifecycle": pending, then running; moto runs at once."""
    account.emulator.configure(boot_s=1.0)
    (instance,) = account.launch(account.image())
    assert account.state(instance) == "pending"
    account.until(lambda: account.state(instance) == "running")


def test_a_running_instance_answers_at_its_private_address(account):
    """The data plane is real: who connects reaches the image's behaviour."""
    (instance,) = account.launch(account.image("release=v7"))
    account.until(lambda: account.state(instance) == "running")
    found = account.ec2.describe_instances(InstanceIds=[instance])
    address = found["Reservations"][0]["Instances"][0]["PrivateIpAddress"]

    def answer():
        try:
            return urllib.request.urlopen(f"http://{address}:8080/x", timeout=5).headers
        except OSError:
            return None

    assert account.until(answer)["x-release"] == "v7"


def test_a_terminated_instance_shuts_down_first(account):
    """EC2 user guide, "Instance lifecycle": shutting-down, then terminated."""
    account.emulator.configure(halt_s=1.0)
    (instance,) = account.launch(account.image())
    account.until(lambda: account.state(instance) == "running")
    (change,) = account.ec2.terminate_instances(InstanceIds=[instance])[
        "TerminatingInstances"
    ]
    assert change["CurrentState"]["Name"] == "shutting-down"
    assert change["PreviousState"]["Name"] == "running"
    assert account.state(instance) == "shutting-down"
    account.until(lambda: account.state(instance) == "terminated")


def test_terminating_twice_is_no_error(account):
    """EC2 API reference: TerminateInstances is idempotent."""
    (instance,) = account.launch(account.image())
    account.ec2.terminate_instances(InstanceIds=[instance])
    account.until(lambda: account.state(instance) == "terminated")
    account.ec2.terminate_instances(InstanceIds=[instance])
    assert account.state(instance) == "terminated"


def test_an_instance_can_be_stopped_and_started_again(account):
    """EC2 user guide, "Instance lifecycle": stopping, stopped, pending, running."""
    account.emulator.configure(boot_s=1.0, halt_s=1.0)
    (instance,) = account.launch(account.image())
    account.until(lambda: account.state(instance) == "running")
    account.ec2.stop_instances(InstanceIds=[instance])
    assert account.state(instance) == "stopping"
    account.until(lambda: account.state(instance) == "stopped")
    account.ec2.start_instances(InstanceIds=[instance])
    assert account.state(instance) == "pending"
    account.until(lambda: account.state(instance) == "running")


def test_a_token_makes_two_calls_one(account):
    """EC2, "Ensuring idempotency": the same token and parameters, the same result."""
    image = account.image()
    first = account.ec2.run_instances(ImageId=image, ClientToken="once", **LAUNCH)
    again = account.ec2.run_instances(ImageId=image, ClientToken="once", **LAUNCH)
    assert _ids(first) == _ids(again)


def test_without_a_token_two_calls_are_two(account):
    """The negative control: it is the token that makes them one."""
    image = account.image()
    first = account.ec2.run_instances(ImageId=image, **LAUNCH)
    again = account.ec2.run_instances(ImageId=image, **LAUNCH)
    assert _ids(first) != _ids(again)


def test_a_token_with_other_parameters_is_refused(account, refused):
    """EC2 error codes: IdempotentParameterMismatch."""
    image = account.image()
    account.ec2.run_instances(ImageId=image, ClientToken="once", **LAUNCH)
    other = {**LAUNCH, "MaxCount": 2}
    code = refused(
        account.ec2.run_instances, ImageId=image, ClientToken="once", **other
    )
    assert code == "IdempotentParameterMismatch"


def test_a_token_of_a_terminated_instance_is_refused(account, refused):
    """EC2 error codes: IdempotentInstanceTerminated."""
    image = account.image()
    found = account.ec2.run_instances(ImageId=image, ClientToken="once", **LAUNCH)
    account.ec2.terminate_instances(InstanceIds=_ids(found))
    again = {"ImageId": image, "ClientToken": "once", **LAUNCH}
    code = refused(account.ec2.run_instances, **again)
    assert code == "IdempotentInstanceTerminated"


def test_a_refused_call_uses_up_no_token(account, refused):
    """EC2, "Ensuring idempotency": what failed is not remembered."""
    image = account.image()
    account.emulator.configure(vcpus=1)
    again = {"ImageId": image, "ClientToken": "once", **LAUNCH}
    assert refused(account.ec2.run_instances, **again) == "VcpuLimitExceeded"
    account.emulator.configure(vcpus=2)
    assert account.ec2.run_instances(**again)["Instances"]


def test_templates_and_their_versions_honour_tokens(account):
    """Botocore: CreateLaunchTemplate and …Version take a client token."""
    image = account.image()
    asked = {
        "LaunchTemplateName": "one",
        "LaunchTemplateData": {"ImageId": image},
        "ClientToken": "t",
    }
    first = account.ec2.create_launch_template(**asked)["LaunchTemplate"]
    again = account.ec2.create_launch_template(**asked)["LaunchTemplate"]
    assert first["LaunchTemplateId"] == again["LaunchTemplateId"]
    for _ in range(2):
        version = account.ec2.create_launch_template_version(**asked)
    assert version["LaunchTemplateVersion"]["VersionNumber"] == 2


def test_an_unknown_image_is_refused(account, refused):
    """EC2 error codes: InvalidAMIID.NotFound; moto launches anything."""
    image = "ami-00000000000000000"
    code = refused(account.ec2.run_instances, ImageId=image, **LAUNCH)
    assert code == "InvalidAMIID.NotFound"


def test_a_deregistered_image_is_refused(account, refused):
    """EC2 error codes: InvalidAMIID.Unavailable, for what has been deregistered."""
    image = account.image()
    account.ec2.deregister_image(ImageId=image)
    code = refused(account.ec2.run_instances, ImageId=image, **LAUNCH)
    assert code == "InvalidAMIID.Unavailable"


def test_a_pending_image_is_refused(account, refused):
    """EC2 error codes: InvalidAMIID.Unavailable, for a state to launch nothing from."""
    account.emulator.configure(image_s=60)
    image = account.ec2.register_image(Name="pending")["ImageId"]
    code = refused(account.ec2.run_instances, ImageId=image, **LAUNCH)
    assert code == "InvalidAMIID.Unavailable"


def test_a_dry_run_says_that_it_would_have_worked(account, refused):
    """Botocore, ``DryRun``: DryRunOperation; nothing is launched."""
    asked = {"ImageId": account.image(), "DryRun": True, **LAUNCH}
    assert refused(account.ec2.run_instances, **asked) == "DryRunOperation"
    template = {
        "LaunchTemplateName": "one",
        "LaunchTemplateData": {"ImageId": asked["ImageId"]},
        "DryRun": True,
    }
    code = refused(account.ec2.create_launch_template, **template)
    assert code == "DryRunOperation"
    assert not account.ec2.describe_instances()["Reservations"]
    assert not account.ec2.describe_launch_templates()["LaunchTemplates"]


def test_a_dry_run_says_what_is_not_allowed(account, refused):
    """EC2 error codes: UnauthorizedOperation, of a dry run as well."""
    asked = {"ImageId": account.image(), "DryRun": True, **LAUNCH}
    account.emulator.configure(denied="ec2:RunInstances")
    assert refused(account.ec2.run_instances, **asked) == "UnauthorizedOperation"


def test_vcpus_are_limited(account, refused):
    """EC2 error codes: VcpuLimitExceeded; the vCPUs of what is terminated count no more."""
    account.emulator.configure(vcpus=4)
    image = account.image()
    first = account.launch(image, 2)
    code = refused(account.ec2.run_instances, ImageId=image, **LAUNCH)
    assert code == "VcpuLimitExceeded"
    account.ec2.terminate_instances(InstanceIds=first)
    assert account.launch(image)


def test_too_much_user_data_is_refused(account, refused):
    """EC2 user guide: 16 KB before it is encoded."""
    asked = {"ImageId": account.image(), "UserData": "x" * 16400, **LAUNCH}
    assert refused(account.ec2.run_instances, **asked) == "InvalidParameterValue"
    assert account.ec2.run_instances(**{**asked, "UserData": "x" * 16384})


def test_console_output_is_what_was_printed(account):
    """Botocore, GetConsoleOutput: what the monitor would have shown; moto's is constant."""
    (instance,) = account.launch(account.image('print="hello, world"'))
    account.until(lambda: account.state(instance) == "running")

    def printed():
        found = account.ec2.get_console_output(InstanceId=instance)
        return "listens" in found.get("Output", "") and found["Output"]

    assert "hello, world" in account.until(printed)


def test_console_output_outlives_the_instance(account):
    """EC2 user guide: it can be read for at least an hour after termination."""
    (instance,) = account.launch(account.image())
    account.until(lambda: account.state(instance) == "running")
    account.ec2.terminate_instances(InstanceIds=[instance])
    account.until(lambda: account.state(instance) == "terminated")
    assert instance in account.ec2.get_console_output(InstanceId=instance)["Output"]


def test_an_instance_answers_with_the_digest_in_its_user_data(account):
    """What a machine was told reaches its answers, so that a client can compare."""
    text = b'{"digest": "0123456789abcdef"}'
    template = account.ec2.create_launch_template(
        LaunchTemplateName="told",
        LaunchTemplateData={
            "ImageId": account.image(),
            "InstanceType": "t3.micro",
            "UserData": base64.b64encode(text).decode(),
        },
    )["LaunchTemplate"]["LaunchTemplateId"]
    found = account.ec2.run_instances(
        MinCount=1,
        MaxCount=1,
        SubnetId=account.subnets[1],
        LaunchTemplate={"LaunchTemplateId": template, "Version": "1"},
    )["Instances"][0]

    def told():
        try:
            url = f"http://{found['PrivateIpAddress']}:8080/"
            return urllib.request.urlopen(url, timeout=5).read()
        except OSError:
            return b""

    assert b'"digest": "0123456789abcdef"' in account.until(told)


def _ids(found):
    return [instance["InstanceId"] for instance in found["Instances"]]
