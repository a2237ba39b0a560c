"""Images: pending first, one name each, tagged, guarded, copied; and launch templates."""

import pytest

NAMED = [{"Key": "digest", "Value": "abc"}]


@pytest.fixture
def builder(account):
    """Give a running instance to make images of."""
    (instance,) = account.launch(account.image("release=base"))
    account.until(lambda: account.state(instance) == "running")
    return instance


@pytest.mark.parametrize("how", ["create", "copy", "register"])
def test_an_image_is_pending_until_its_time_has_come(account, builder, how):
    """Botocore, ``ImageState``; moto has it available at once."""
    account.emulator.configure(image_s=60)
    made = _make(account, builder, how, Name="one-two")
    assert account.image_state(made) == "pending"
    account.emulator.configure(image_s=0)
    made = _make(account, builder, how, Name="three")
    account.until(lambda: account.image_state(made) == "available")


@pytest.mark.parametrize("how", ["create", "copy", "register"])
def test_a_name_is_used_once(account, builder, refused, how):
    """EC2 error codes: InvalidAMIName.Duplicate; moto accepts it."""
    _make(account, builder, how, Name="taken")
    asked = {"account": account, "builder": builder, "how": how, "Name": "taken"}
    assert refused(_make, **asked) == "InvalidAMIName.Duplicate"


@pytest.mark.parametrize("how", ["create", "copy", "register"])
def test_an_image_and_its_snapshots_are_tagged(account, builder, how):
    """Botocore, ``TagSpecifications``; moto drops them, and refuses those of snapshots."""
    kinds = ("image", "snapshot")
    made = _make(
        account,
        builder,
        how,
        Name="tagged",
        TagSpecifications=[{"ResourceType": kind, "Tags": NAMED} for kind in kinds],
    )
    found = account.ec2.describe_images(ImageIds=[made])["Images"][0]
    assert found["Tags"] == NAMED
    snapshot = found["BlockDeviceMappings"][0]["Ebs"]["SnapshotId"]
    found = account.ec2.describe_snapshots(SnapshotIds=[snapshot])["Snapshots"][0]
    assert found["Tags"] == NAMED


def test_a_copy_does_what_its_source_does(account):
    """A copy has the same content: its machines say the same."""
    source = account.image("release=v5")
    copy = _copy(account, source, Name="copy")
    account.until(lambda: account.image_state(copy) == "available")
    (instance,) = account.launch(copy)
    account.until(lambda: account.emulator.machines().get(instance))
    assert account.emulator.machines()[instance]["release"] == "v5"


def test_what_is_not_available_is_not_copied(account, refused):
    """Botocore, CopyImage: the source has to be available."""
    account.emulator.configure(image_s=60)
    source = account.ec2.register_image(Name="pending")["ImageId"]
    asked = {"account": account, "source": source, "Name": "copy"}
    assert refused(_copy, **asked) == "InvalidAMIID.Unavailable"


def test_a_copy_honours_its_token(account):
    """Botocore, CopyImage, ``ClientToken``: the same call twice is one copy."""
    source = account.image()
    copies = {_copy(account, source, Name="copy", ClientToken="once") for _ in range(2)}
    assert len(copies) == 1


def test_an_image_is_found_by_its_tags_and_owner(account):
    """Botocore, DescribeImages: a filter by tag, of the caller's own images."""
    account.image()
    made = account.ec2.register_image(
        Name="mine", TagSpecifications=[{"ResourceType": "image", "Tags": NAMED}]
    )["ImageId"]
    found = account.ec2.describe_images(
        Owners=["self"], Filters=[{"Name": "tag:digest", "Values": ["abc"]}]
    )["Images"]
    assert [each["ImageId"] for each in found] == [made]


def test_a_registered_image_is_as_it_was_registered(account):
    """Botocore, RegisterImage, ``Architecture``; moto drops it."""
    made = account.ec2.register_image(Name="arm", Architecture="arm64")["ImageId"]
    found = account.ec2.describe_images(ImageIds=[made])["Images"][0]
    assert (found["Architecture"], found["RootDeviceType"]) == ("arm64", "ebs")


def test_a_guarded_image_is_not_deregistered(account, refused):
    """EC2 user guide, "Protect an AMI from deregistration"; moto has no such call."""
    image = account.image()
    account.ec2.enable_image_deregistration_protection(ImageId=image)
    found = account.ec2.describe_images(ImageIds=[image])["Images"][0]
    assert found["DeregistrationProtection"] == "enabled"
    call = account.ec2.deregister_image
    assert refused(call, ImageId=image) == "OperationNotPermitted"
    account.ec2.disable_image_deregistration_protection(ImageId=image)
    call(ImageId=image)


def test_snapshots_go_with_the_image_if_asked(account):
    """Botocore, ``DeleteAssociatedSnapshots``; without it they stay, and are in use first."""
    first, second = (_snapshot(account, account.image()) for _ in range(2))
    account.ec2.deregister_image(ImageId=first[0], DeleteAssociatedSnapshots=True)
    account.ec2.deregister_image(ImageId=second[0])
    own = account.ec2.describe_snapshots(OwnerIds=["self"])["Snapshots"]
    left = {each["SnapshotId"] for each in own}
    assert first[1] not in left
    assert second[1] in left


def test_a_snapshot_of_an_image_is_in_use(account, refused):
    """EC2 error codes: InvalidSnapshot.InUse."""
    _, snapshot = _snapshot(account, account.image())
    call = account.ec2.delete_snapshot
    assert refused(call, SnapshotId=snapshot) == "InvalidSnapshot.InUse"


@pytest.mark.parametrize(
    ("settings", "code"),
    [
        ({"denied": "ec2:DeleteSnapshot"}, "missing-permissions"),
        ({"snapshot_code": "internal-error"}, "internal-error"),
        ({"snapshot_code": "skipped"}, "skipped"),
    ],
)
def test_snapshots_may_be_left_behind(account, settings, code):
    """Botocore, ``DeleteSnapshotResults``: the image goes in any case."""
    image, snapshot = _snapshot(account, account.image())
    account.emulator.configure(**settings)
    answer = account.ec2.deregister_image(ImageId=image, DeleteAssociatedSnapshots=True)
    expected = [{"SnapshotId": snapshot, "ReturnCode": code}]
    assert answer["DeleteSnapshotResults"] == expected
    own = account.ec2.describe_snapshots(OwnerIds=["self"])["Snapshots"]
    assert snapshot in {each["SnapshotId"] for each in own}
    assert account.ec2.describe_images(Owners=["self"])["Images"] == []


def test_an_image_can_be_disabled(account):
    """Botocore, DisableImage and EnableImage; moto has no such call."""
    image = account.image()
    account.ec2.disable_image(ImageId=image)
    assert account.image_state(image) == "disabled"
    account.ec2.enable_image(ImageId=image)
    assert account.image_state(image) == "available"


def test_an_image_can_be_deprecated(account):
    """Botocore, EnableImageDeprecation; moto has no such call."""
    image = account.image()
    account.ec2.enable_image_deprecation(
        ImageId=image, DeprecateAt="2030-01-01T00:00:00Z"
    )
    found = account.ec2.describe_images(ImageIds=[image])["Images"][0]
    assert found["DeprecationTime"].startswith("2030-01-01")


def test_images_are_paged(account):
    """Botocore, DescribeImages, ``MaxResults``; moto answers all."""
    made = {account.image() for _ in range(5)}
    pages = list(
        account.ec2.get_paginator("describe_images").paginate(
            Owners=["self"], PaginationConfig={"PageSize": 2}
        )
    )
    assert [len(page["Images"]) for page in pages] == [2, 2, 1]
    assert {each["ImageId"] for page in pages for each in page["Images"]} == made


def test_a_token_that_was_never_given_is_refused(account, refused):
    """EC2 error codes: a page's token is the server's own."""
    code = refused(account.ec2.describe_images, NextToken="mine")
    assert code == "InvalidNextToken"


def test_a_builder_can_power_itself_off(account):
    """Botocore, ``InstanceInitiatedShutdownBehavior``: stopped, unless said otherwise."""
    image = account.image("halt=0.3")
    (stops,) = account.launch(image)
    ends = account.ec2.run_instances(
        ImageId=image,
        MinCount=1,
        MaxCount=1,
        InstanceInitiatedShutdownBehavior="terminate",
    )["Instances"][0]["InstanceId"]
    account.until(lambda: account.state(stops) == "stopped")
    account.until(lambda: account.state(ends) == "terminated")
    assert account.ec2.create_image(InstanceId=stops, Name="built")["ImageId"]


def test_an_image_is_not_made_of_what_is_gone(account, builder, refused):
    """EC2 error codes: IncorrectInstanceState."""
    account.ec2.terminate_instances(InstanceIds=[builder])
    call = account.ec2.create_image
    assert refused(call, InstanceId=builder, Name="late") == "IncorrectInstanceState"


def test_a_version_inherits_from_its_source(account):
    """Botocore, ``SourceVersion``; moto inherits nothing."""
    image = account.image()
    account.template("one", image)
    account.ec2.create_launch_template_version(
        LaunchTemplateName="one",
        SourceVersion="1",
        LaunchTemplateData={"InstanceType": "t3.large"},
    )
    found = account.ec2.describe_launch_template_versions(
        LaunchTemplateName="one", Versions=["2"]
    )["LaunchTemplateVersions"][0]["LaunchTemplateData"]
    assert (found["ImageId"], found["InstanceType"]) == (image, "t3.large")


def test_a_template_is_tagged_and_what_it_launches_is_not(account):
    """Botocore, ``TagSpecifications`` of CreateLaunchTemplate; moto mixes the two."""
    account.ec2.create_launch_template(
        LaunchTemplateName="one",
        LaunchTemplateData={"ImageId": account.image()},
        TagSpecifications=[{"ResourceType": "launch-template", "Tags": NAMED}],
    )
    found = account.ec2.describe_launch_templates()["LaunchTemplates"][0]
    assert found["Tags"] == NAMED
    version = account.ec2.describe_launch_template_versions(LaunchTemplateName="one")
    data = version["LaunchTemplateVersions"][0]["LaunchTemplateData"]
    assert not data.get("TagSpecifications")


def test_a_template_s_options_reach_the_instance(account):
    """Botocore, RunInstances, ``LaunchTemplate``; moto drops the metadata options."""
    account.ec2.create_launch_template(
        LaunchTemplateName="one",
        LaunchTemplateData={
            "ImageId": account.image(),
            "MetadataOptions": {"HttpTokens": "required"},
        },
    )
    found = account.ec2.run_instances(
        MinCount=1,
        MaxCount=1,
        LaunchTemplate={"LaunchTemplateName": "one", "Version": "1"},
    )["Instances"][0]
    assert found["MetadataOptions"]["HttpTokens"] == "required"


def test_templates_are_paged(account):
    """Botocore, DescribeLaunchTemplates, ``MaxResults``; moto answers 15 and no token."""
    image = account.image()
    for number in range(17):
        account.template(f"template-{number}", image)
    assert len(account.ec2.describe_launch_templates()["LaunchTemplates"]) == 17
    pages = account.ec2.get_paginator("describe_launch_templates").paginate(
        PaginationConfig={"PageSize": 10}
    )
    assert [len(page["LaunchTemplates"]) for page in pages] == [10, 7]


def _make(account, builder, how, **asked):
    if how == "create":
        return account.ec2.create_image(InstanceId=builder, **asked)["ImageId"]
    if how == "register":
        return account.ec2.register_image(**asked)["ImageId"]
    found = account.ec2.describe_images(Owners=["self"])["Images"]
    able = [each["ImageId"] for each in found if each["State"] == "available"]
    return _copy(account, able[0], **asked)


def _copy(account, source, **asked):
    return account.ec2.copy_image(
        SourceImageId=source, SourceRegion="eu-west-1", **asked
    )["ImageId"]


def _snapshot(account, image):
    found = account.ec2.describe_images(ImageIds=[image])["Images"][0]
    return image, found["BlockDeviceMappings"][0]["Ebs"]["SnapshotId"]
