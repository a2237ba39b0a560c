"""What a backend knows already is not asked for again: calls that are not made."""

from datetime import timedelta

import pytest
from specs import NAME, TOKEN, spec_of

from immutable.errors import BackendError
from immutable.model import ImageId
from immutable_aws.config import AwsConfig
from immutable_aws.fleet import AwsFleets
from immutable_aws.images import AwsImages
from immutable_aws.rules.balancers import Placed, balancing_of
from immutable_aws.session import Place, aws_of

pytestmark = pytest.mark.usefixtures("hurried")


@pytest.fixture
def fleets(account):
    """Return the fleets of an empty account."""
    config = AwsConfig(region=account.region)
    return AwsFleets(config, aws_of(config.place))


@pytest.fixture
def balancing(account):
    """Return what is known in this process of the account's load balancers."""
    return balancing_of(aws_of(Place(region=account.region)))


def sent(account, act):
    """Return what is called during an act, and how often."""
    account.emulator.calls(clear=True)
    act()
    return dict(account.emulator.calls().counts)


def test_where_a_place_is_is_asked_for_once_in_a_process(account, fleets, balancing):
    """The switch has told where it made it, and load balancers stay where they are."""
    spec = spec_of(account)
    balancing.find(account.load_balancer)
    where = Placed(vpc=account.vpc, balancer=account.load_balancer)
    balancing.placed(spec.place, where)
    costs = sent(account, lambda: fleets.launch(spec, token=TOKEN))
    assert not [name for name in costs if name.startswith("elbv2")]
    group = account.described(NAME)
    assert set(group["VPCZoneIdentifier"].split(",")) == set(account.subnets)


def test_a_load_balancer_is_asked_for_by_its_name_each_time(account, balancing):
    """Another may have that name by now; by its ARN it is known for a while."""
    name = account.load_balancer.split("/")[2]
    for _ in range(2):
        assert sent(account, lambda: balancing.find(name)) == {
            "elbv2:DescribeLoadBalancers": 1
        }
    assert sent(account, lambda: balancing.find(account.load_balancer)) == {}


def test_a_place_that_was_deleted_is_not_deleted_again(account, fleets, balancing):
    """Whoever detached it in this process has told: its ARN is never given again."""
    spec = spec_of(account)
    fleets.launch(spec, token=TOKEN)
    for rule in account.rules():
        account.elbv2.delete_rule(RuleArn=rule["RuleArn"])
    balancing.delete(spec.place)
    costs = sent(account, lambda: fleets.retire(NAME, token=TOKEN))
    assert "elbv2:DeleteTargetGroup" not in costs


def test_a_place_that_could_not_be_deleted_is_tried_again(account, balancing):
    """Only what was acknowledged is remembered."""
    place = account.place(NAME)
    with pytest.raises(BackendError, match="ResourceInUse"):
        balancing.delete(place)
    account.displace(place)

    def twice():
        balancing.delete(place)
        balancing.delete(place)

    assert sent(account, twice) == {"elbv2:DeleteTargetGroup": 2}
    again = account.place(NAME)
    for rule in account.rules():
        account.elbv2.delete_rule(RuleArn=rule["RuleArn"])

    def once():
        balancing.delete(again)
        balancing.delete(again)

    assert sent(account, once) == {"elbv2:DeleteTargetGroup": 1}


def _origin(instance):
    assert instance.document
    return instance.id, instance.document, instance.digest, instance.image


def test_who_did_not_launch_a_fleet_reads_what_it_was_launched_from(account, fleets):
    """The same comes of the launch itself and of a reading: document, digest, image."""
    fleets.launch(spec_of(account), token=TOKEN)
    others = AwsFleets(
        AwsConfig(region=account.region), aws_of(Place(region=account.region))
    )
    costs = sent(account, lambda: others.observe(NAME))
    assert costs["ec2:DescribeLaunchTemplateVersions"] == 1
    assert list(map(_origin, others.observe(NAME).instances)) == list(
        map(_origin, fleets.observe(NAME).instances)
    )


@pytest.mark.parametrize(
    "change",
    [
        lambda fleets, spec: fleets.freeze(spec.name, token=TOKEN),
        lambda fleets, spec: fleets.thaw(spec.name, like=None, token=TOKEN),
    ],
)
def test_a_group_that_was_changed_since_it_was_read_is_read_again(
    account, fleets, change
):
    """What the launch has read at its end is of before."""
    spec = spec_of(account)
    fleets.launch(spec, token=TOKEN)
    change(fleets, spec)
    costs = sent(account, lambda: fleets.observe(NAME))
    assert costs["autoscaling:DescribeAutoScalingGroups"] == 1


def test_what_was_read_is_no_answer_where_readings_may_not_be_old(account):
    """Without staleness nothing is remembered, and what it was is read for each look."""
    config = AwsConfig(region=account.region, staleness=timedelta())
    fleets = AwsFleets(config, aws_of(config.place))
    fleets.launch(spec_of(account), token=TOKEN)
    costs = sent(account, lambda: fleets.observe(NAME))
    assert costs["autoscaling:DescribeAutoScalingGroups"] == 1


def test_a_retirement_looks_when_there_may_be_something_to_see(account, fleets):
    """Not at once; then for the group, once for its instances, and the template goes."""
    spec = spec_of(account)
    fleets.launch(spec, token=TOKEN)
    account.displace(spec.place)
    account.emulator.calls(clear=True)
    fleets.retire(NAME, token=TOKEN)
    trace = [str(call["name"]) for call in account.emulator.calls().trace]
    deleted = trace.index("autoscaling:DeleteAutoScalingGroup")
    after = trace[deleted + 1 :]
    looks = after[:-2]
    assert set(looks) == {"autoscaling:DescribeAutoScalingGroups"}
    assert after[-2:] == ["ec2:DescribeInstances", "ec2:DeleteLaunchTemplate"]


def test_an_image_that_is_found_twice_in_a_moment_is_asked_for_once(account):
    """Once only: whoever waits for something to happen to it is told the truth."""
    config = AwsConfig(region=account.region)
    images = AwsImages(aws=aws_of(config.place), config=config)
    image = ImageId(account.plain_image)
    costs = [sent(account, lambda: images.find(image)) for _ in range(3)]
    assert costs == [{"ec2:DescribeImages": 1}, {}, {"ec2:DescribeImages": 1}]
    images.delete(image)
    assert images.find(image) is None


def test_an_image_is_asked_for_each_time_where_readings_may_not_be_old(account):
    """Without staleness nothing is remembered."""
    config = AwsConfig(region=account.region, staleness=timedelta())
    images = AwsImages(aws=aws_of(config.place), config=config)
    image = ImageId(account.plain_image)
    costs = [sent(account, lambda: images.find(image)) for _ in range(2)]
    assert costs == [{"ec2:DescribeImages": 1}] * 2
