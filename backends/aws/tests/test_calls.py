"""What a backend knows already is not asked for again: calls that are not made."""

import pytest
from specs import NAME, TOKEN, spec_of

from immutable.errors import BackendError
from immutable_aws.balancing import Placed, balancing_of
from immutable_aws.config import AwsConfig
from immutable_aws.fleet import AwsFleets
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
