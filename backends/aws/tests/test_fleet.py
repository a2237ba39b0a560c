"""Fleets on Auto Scaling: what is asked for, how often, and what is seen of it."""

import base64
from datetime import timedelta

import attrs
import pytest
from specs import LEDGER, NAME, SERVICE, TOKEN, Quickened, spec_of

from immutable.authoring import wait_until
from immutable.errors import Conflict, InvalidInput, NotEnough, Taken
from immutable.host import running_on
from immutable.model import (
    FleetName,
    InstanceState,
    LedgerId,
    Token,
)
from immutable_aws.config import AwsConfig, Spot
from immutable_aws.fleet import AwsFleets
from immutable_aws.groups.requesting import template_data
from immutable_aws.session import aws_of

pytestmark = pytest.mark.usefixtures("hurried")


@pytest.fixture
def config(account):
    """Return where fleets are launched."""
    return AwsConfig(region=account.region)


@pytest.fixture
def fleets(config):
    """Return the fleets of an empty account."""
    return AwsFleets(config, aws_of(config.place))


def counts(account):
    """Return what was called since the last time that this was asked."""
    return dict(account.emulator.calls(clear=True).counts)


def group_of(account, name=NAME):
    """Return a group as the provider lists it."""
    found = account.autoscaling.describe_auto_scaling_groups(
        AutoScalingGroupNames=[name]
    )["AutoScalingGroups"]
    return found[0] if found else None


def ids_of(fleets, name=NAME):
    """Return the ids of a fleet's living instances, in order."""
    return [i.id for i in fleets.observe(name).alive]


def test_a_launch_pins_everything_and_marks_everything(account, fleets):
    """Image, version, metadata service, tags and user data are what was asked for."""
    spec = spec_of(account, size=3)
    fleets.launch(spec, token=TOKEN)
    version = account.ec2.describe_launch_template_versions(
        LaunchTemplateName=NAME, Versions=["$Latest"]
    )["LaunchTemplateVersions"][0]
    data = version["LaunchTemplateData"]
    assert data["ImageId"] == account.plain_image
    options = data["MetadataOptions"]
    assert options["HttpTokens"] == "required"
    assert options["HttpPutResponseHopLimit"] == 1
    assert options["InstanceMetadataTags"] == "disabled"
    assert base64.b64decode(data["UserData"]).decode() == spec.document
    kinds = {tags["ResourceType"] for tags in data["TagSpecifications"]}
    assert kinds >= {"instance", "volume", "network-interface"}
    group = group_of(account)
    assert group["LaunchTemplate"]["Version"] == "1"
    assert group["TargetGroupARNs"] == [spec.place]
    assert group["HealthCheckType"] == "ELB"
    wanted = set(spec.tags.to_mapping().items())
    assert wanted <= {(t["Key"], t["Value"]) for t in group["Tags"]}
    instances = account.instances()
    assert len(instances) == 3
    for instance in instances:
        assert wanted <= {(t["Key"], t["Value"]) for t in instance["Tags"]}
    assert {i["SubnetId"] for i in instances} == set(account.subnets)


def test_a_launched_fleet_is_frozen_and_seen(account, fleets):
    """It says what it was launched from, and holds still."""
    spec = spec_of(account)
    fleets.launch(spec, token=TOKEN)
    view = fleets.observe(NAME)
    assert view is not None
    assert view.frozen is True
    assert view.desired_size == 2
    assert len(view.alive) == 2
    for instance in view.instances:
        assert instance.digest == spec.tags.digest[:16]
        assert instance.document == spec.document
        assert instance.image == account.plain_image
        assert instance.address
        assert instance.launched_at.utcoffset() == timedelta()


def test_looking_at_a_fleet_is_one_call_when_nothing_is_new(account, fleets):
    """The first look reads the instances, too, and none depends on the size.

    The group the launch has read a moment ago, and the template it has made.
    """
    fleets.launch(spec_of(account, size=5), token=TOKEN)
    counts(account)
    fleets.observe(NAME)
    first = counts(account)
    fleets.observe(NAME)
    assert first == {"ec2:DescribeInstances": 1}
    assert counts(account) == {"autoscaling:DescribeAutoScalingGroups": 1}


def test_a_launch_takes_four_calls_whatever_the_size(account, fleets):
    """Beside two readings, once in a process, of where the load balancer is."""
    first = spec_of(account, name=FleetName("shop-v1-aaaaaa"))
    second = spec_of(account, name=FleetName("shop-v2-bbbbbb"), size=20, number=2)
    fleets.launch(first, token=TOKEN)
    counts(account)
    fleets.launch(second, token=Token("1" * 32))
    assert counts(account) == {
        "autoscaling:CreateAutoScalingGroup": 1,
        "autoscaling:DescribeAutoScalingGroups": 1,
        "autoscaling:SuspendProcesses": 1,
        "ec2:CreateLaunchTemplate": 1,
    }


def test_the_same_launch_again_changes_nothing(account, fleets):
    """The group, the template and the instances are those of the first time."""
    spec = spec_of(account)
    fleets.launch(spec, token=TOKEN)
    before = ids_of(fleets)
    fleets.launch(spec, token=TOKEN)
    fleets.launch(spec, token=Token("1" * 32))
    assert ids_of(fleets) == before
    assert len(before) == 2
    assert len(account.ec2.describe_launch_templates()["LaunchTemplates"]) == 1


def test_a_launch_of_more_completes_the_fleet(account, fleets):
    """One instance first, then three: the first is among them."""
    spec = spec_of(account, size=1)
    fleets.launch(spec, token=TOKEN)
    (first,) = fleets.observe(NAME).instances
    fleets.launch(attrs.evolve(spec, size=3), token=TOKEN)
    ids = {i.id for i in fleets.observe(NAME).alive}
    assert len(ids) == 3
    assert first.id in ids
    fleets.launch(spec, token=TOKEN)
    assert {i.id for i in fleets.observe(NAME).alive} == ids


def test_what_was_launched_otherwise_is_not_taken_over(account, fleets):
    """The same name with another document is somebody else's, or a mistake."""
    spec = spec_of(account)
    fleets.launch(spec, token=TOKEN)
    with pytest.raises(Taken, match=NAME):
        fleets.launch(attrs.evolve(spec, document='{"a":2}'), token=Token("1" * 32))


def test_a_group_of_that_name_that_is_not_ours_is_left_alone(account, fleets):
    """Launching refuses, and so does retiring."""
    spec = spec_of(account)
    template = account.ec2.create_launch_template(
        LaunchTemplateName="theirs",
        LaunchTemplateData={"ImageId": account.plain_image, "InstanceType": "t3.micro"},
    )["LaunchTemplate"]["LaunchTemplateId"]
    account.autoscaling.create_auto_scaling_group(
        AutoScalingGroupName=NAME,
        MinSize=0,
        MaxSize=1,
        LaunchTemplate={"LaunchTemplateId": template, "Version": "1"},
        VPCZoneIdentifier=account.subnets[0],
    )
    with pytest.raises(Taken):
        fleets.launch(spec, token=TOKEN)
    with pytest.raises(Taken):
        fleets.retire(NAME, token=TOKEN)
    assert group_of(account) is not None


def test_only_those_named_are_removed(account, fleets):
    """A smaller size by itself removes nobody."""
    spec = spec_of(account, size=3)
    fleets.launch(spec, token=TOKEN)
    ids = [i.id for i in fleets.observe(NAME).instances]
    smaller = attrs.evolve(spec, size=2)
    fleets.resize(smaller, remove=(), token=TOKEN)
    assert [i.id for i in fleets.observe(NAME).alive] == ids
    fleets.resize(smaller, remove=(ids[1],), token=TOKEN)
    fleets.resize(smaller, remove=(ids[1],), token=TOKEN)
    view = fleets.observe(NAME)
    assert [i.id for i in view.alive] == [ids[0], ids[2]]
    assert view.desired_size == 2
    group = group_of(account)
    assert (group["MinSize"], group["MaxSize"]) == (2, 2)


def test_an_exchange_keeps_the_others(account, fleets):
    """One goes, two come; under the same token nothing more."""
    spec = spec_of(account)
    fleets.launch(spec, token=TOKEN)
    leaving, staying = (i.id for i in fleets.observe(NAME).instances)
    grown = attrs.evolve(spec, size=3)
    fleets.resize(grown, remove=(leaving,), token=TOKEN)
    ids = {i.id for i in fleets.observe(NAME).alive}
    assert len(ids) == 3
    assert staying in ids
    assert leaving not in ids
    fleets.resize(grown, remove=(leaving,), token=TOKEN)
    assert {i.id for i in fleets.observe(NAME).alive} == ids


def test_one_instance_gives_way_to_another_once(account, fleets):
    """The group launches the other; the second call with the token launches none."""
    spec = spec_of(account)
    fleets.launch(spec, token=TOKEN)
    leaving, staying = (i.id for i in fleets.observe(NAME).instances)
    fleets.replace(spec, instance=leaving, token=TOKEN)
    ids = {i.id for i in fleets.observe(NAME).alive}
    assert len(ids) == 2
    assert staying in ids
    assert leaving not in ids
    fleets.replace(spec, instance=leaving, token=TOKEN)
    assert {i.id for i in fleets.observe(NAME).alive} == ids


def test_retiring_leaves_nothing(account, fleets):
    """No group, template, target group or instance; again it is no error."""
    spec = spec_of(account)
    fleets.launch(spec, token=TOKEN)
    account.displace(spec.place)
    fleets.retire(NAME, token=TOKEN)
    assert group_of(account) is None
    assert account.ec2.describe_launch_templates()["LaunchTemplates"] == []
    states = {each["State"]["Name"] for each in account.instances()}
    assert states == {"terminated"}
    assert fleets.observe(NAME) is None
    fleets.retire(NAME, token=TOKEN)
    fleets.retire(FleetName("shop-v1-zzzzzz"), token=TOKEN)


def test_a_fleet_that_a_rule_names_is_not_retired(account, fleets):
    """The provider refuses to delete its target group, and nothing else is touched."""
    spec = spec_of(account)
    fleets.launch(spec, token=TOKEN)
    with pytest.raises(Conflict, match="place"):
        fleets.retire(NAME, token=TOKEN)
    assert len(fleets.observe(NAME).alive) == 2


def test_fleets_are_found_by_their_tags_alone(account, fleets):
    """Also one that has only its template; those of another ledger are not."""
    spec = spec_of(account)
    fleets.launch(spec, token=TOKEN)
    tags = {**spec.tags.to_mapping(), "immutable-launch": "0"}
    account.ec2.create_launch_template(
        LaunchTemplateName="shop-v2-half00",
        LaunchTemplateData={"ImageId": account.plain_image, "InstanceType": "t3.micro"},
        TagSpecifications=[
            {
                "ResourceType": "launch-template",
                "Tags": [{"Key": k, "Value": v} for k, v in tags.items()],
            }
        ],
    )
    found = fleets.list(service=SERVICE, ledger=LEDGER)
    assert [view.name for view in found] == [NAME, "shop-v2-half00"]
    assert [len(view.instances) for view in found] == [2, 0]
    assert fleets.list(service=SERVICE, ledger=LedgerId("other")) == ()
    fleets.retire(FleetName("shop-v2-half00"), token=TOKEN)
    assert [v.name for v in fleets.list(service=SERVICE, ledger=LEDGER)] == [NAME]


def test_a_dead_instance_is_seen_as_gone_and_replaced(account, fleets):
    """While the fleet is frozen its group leaves the evidence where it is."""
    spec = spec_of(account)
    fleets.launch(spec, token=TOKEN)
    dying, staying = (i.id for i in fleets.observe(NAME).instances)
    # one that dies before it is in service is a launch that failed: another is launched
    running = {InstanceState.RUNNING}
    wait_until(
        lambda: {i.state for i in fleets.observe(NAME).instances} == running or None,
        "both in service",
        within=timedelta(minutes=1),
    )
    account.ec2.terminate_instances(InstanceIds=[dying])
    account.autoscaling.set_instance_health(
        InstanceId=dying, HealthStatus="Unhealthy", ShouldRespectGracePeriod=False
    )
    (gone,) = wait_until(
        lambda: fleets.observe(NAME).dead or None,
        "its death",
        within=timedelta(minutes=1),
    )
    assert (gone.id, gone.state) == (dying, InstanceState.GONE)
    fleets.replace(spec, instance=dying, token=TOKEN)
    ids = {i.id for i in fleets.observe(NAME).alive}
    assert len(ids) == 2
    assert staying in ids
    assert dying not in ids


def test_several_types_and_spot_are_a_mixed_policy_with_the_pinned_version(account):
    """The first type comes first; the rest is bought as the config says."""
    config = AwsConfig(
        region=account.region,
        instance_types=("t3.micro", "t3a.micro"),
        spot=Spot(on_demand_base=1, on_demand_percent=20),
        grace="15m",
    )
    fleets = AwsFleets(config, aws_of(config.place))
    fleets.launch(spec_of(account, size=3), token=TOKEN)
    assert group_of(account)["HealthCheckGracePeriod"] == 900
    policy = group_of(account)["MixedInstancesPolicy"]
    template = policy["LaunchTemplate"]
    assert template["LaunchTemplateSpecification"]["Version"] == "1"
    types = [o["InstanceType"] for o in template["Overrides"]]
    assert types == ["t3.micro", "t3a.micro"]
    bought = policy["InstancesDistribution"]
    assert bought["OnDemandBaseCapacity"] == 1
    assert bought["OnDemandPercentageAboveBaseCapacity"] == 20
    assert bought["SpotAllocationStrategy"] == "price-capacity-optimized"
    place = group_of(account)["TargetGroupARNs"][0]
    fleets.launch(spec_of(account, size=3, place=place), token=TOKEN)
    seen = fleets.observe(NAME).instances
    assert all(i.digest for i in seen)
    assert len(seen) == 3
    found = account.ec2.describe_instances()["Reservations"]
    markets = [i.get("InstanceLifecycle") for r in found for i in r["Instances"]]
    assert sorted(markets, key=str) == [None, None, "spot"]


def test_subnets_of_another_network_are_refused_before_any_effect(account):
    """The load balancer could never reach what is in them."""
    vpc = account.ec2.create_vpc(CidrBlock="10.0.0.0/16")["Vpc"]["VpcId"]
    other = account.ec2.create_subnet(VpcId=vpc, CidrBlock="10.0.0.0/24")["Subnet"]
    config = AwsConfig(region=account.region, subnets=(other["SubnetId"],))
    fleets = AwsFleets(config, aws_of(config.place))
    with pytest.raises(InvalidInput, match=other["SubnetId"]):
        fleets.launch(spec_of(account), token=TOKEN)
    unknown = attrs.evolve(config, subnets=("subnet-0123456789abcdef0",))
    with pytest.raises(InvalidInput, match="subnet-0123456789abcdef0"):
        AwsFleets(unknown, aws_of(config.place)).launch(
            spec_of(account, name=FleetName("shop-v2-bbbbbb"), number=2), token=TOKEN
        )
    assert account.ec2.describe_launch_templates()["LaunchTemplates"] == []


@pytest.mark.parametrize("name", ["shop-v1-" + "a" * 25, "-shop", "internal-shop"])
def test_names_that_no_target_group_can_have_are_refused(account, fleets, name):
    """Without a call."""
    spec = spec_of(account, place="arn:of:a:place")
    counts(account)
    with pytest.raises(InvalidInput, match="target group"):
        fleets.launch(attrs.evolve(spec, name=FleetName(name)), token=TOKEN)
    assert counts(account) == {}


def test_a_document_that_is_no_user_data_is_refused(account, fleets):
    """16,384 bytes can be handed over, one more cannot."""
    spec = spec_of(account, size=1)
    long = attrs.evolve(spec, document="x" * (16 * 1024 + 1))
    counts(account)
    with pytest.raises(InvalidInput, match="16385"):
        fleets.launch(long, token=TOKEN)
    assert counts(account) == {}
    fleets.launch(attrs.evolve(spec, document="x" * 16 * 1024), token=TOKEN)
    (instance,) = fleets.observe(NAME).instances
    assert instance.document == "x" * 16 * 1024


def test_no_room_is_said_by_the_launch(account, fleets):
    """The group's calls all succeed; only its activities tell of the quota."""
    account.emulator.configure(vcpus=1)
    with running_on(Quickened()), pytest.raises(NotEnough, match=NAME) as caught:
        fleets.launch(spec_of(account), token=TOKEN)
    assert "vCPU" in str(caught.value)


@pytest.mark.parametrize(("profile", "state"), [(None, "disabled"), ("web", "enabled")])
def test_only_instances_with_a_role_are_told_their_tags(account, profile, state):
    """By them their agent knows where its logs belong; without a role it writes none."""
    config = AwsConfig(region=account.region, instance_profile=profile)
    data = template_data(spec_of(account), config)
    assert data["MetadataOptions"]["InstanceMetadataTags"] == state
    assert data.get("IamInstanceProfile") == ({"Name": profile} if profile else None)
