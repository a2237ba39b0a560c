"""Large fleets, and trouble at their ends: pages, evidence, and what holds a group up."""

import time
from datetime import timedelta

import attrs
import pytest
from specs import LEDGER, NAME, SERVICE, TOKEN, Quickened, spec_of

from immutable.authoring import wait_until
from immutable.errors import Ambiguous, BackendError, NotEnough, Taken, Unavailable
from immutable.host import ThisHost, running_on
from immutable.model import (
    ImageId,
    LedgerId,
    ServiceName,
    Token,
)
from immutable_aws.config import AwsConfig
from immutable_aws.fleet import AwsFleets
from immutable_aws.inventory import inventory
from immutable_aws.session import Aws, aws_of

MANY = 300


class Leaping(ThisHost):
    """A machine where every pause is a minute, over in a moment."""

    def __init__(self):
        super().__init__()
        self._leapt = timedelta()

    def now(self):
        """Return the time, with all the minutes."""
        return super().now() + self._leapt

    def sleep(self, pause, stop):
        """Let a minute pass."""
        super().sleep(timedelta(seconds=0.02), stop)
        self._leapt += max(pause, timedelta(minutes=1))


@pytest.fixture
def fleets(account, hurried):
    """Return the fleets of an empty account."""
    config = AwsConfig(region=account.region)
    return AwsFleets(config, aws_of(config.place))


def test_no_call_is_made_for_each_instance(account, fleets, ran):
    """Launching and looking take for 300 instances the calls that they take for two."""
    # health is probed every five seconds, as it is in earnest
    account.emulator.configure(scale=1)
    account.emulator.calls(clear=True)
    fleets.launch(spec_of(account, size=MANY), token=TOKEN)
    began = time.process_time()
    view = fleets.observe(NAME)
    assert len(view.alive) == MANY
    assert all(i.address and i.digest and i.document for i in view.instances)
    ran(
        f"looking at {MANY} instances of AWS: {time.process_time() - began:.2f} s of CPU"
    )
    counts = account.emulator.calls(clear=True).counts
    once = {
        "autoscaling:CreateAutoScalingGroup",
        "autoscaling:SuspendProcesses",
        "ec2:CreateLaunchTemplate",
        "ec2:DescribeInstances",
    }
    assert {name: counts[name] for name in once} == dict.fromkeys(once, 1)
    fleets.observe(NAME)
    assert account.emulator.calls().counts == {
        "autoscaling:DescribeAutoScalingGroups": 1
    }


def test_a_group_that_does_not_end_says_what_holds_it(account):
    """A retirement that is over time names what is left, and goes on when called again."""
    config = AwsConfig(region=account.region)
    fleets = AwsFleets(config, aws_of(config.place))
    spec = spec_of(account)
    fleets.launch(spec, token=TOKEN)
    account.displace(spec.place)
    account.emulator.configure(halt_s=3600)
    with (
        running_on(Leaping()),
        pytest.raises(Ambiguous, match="there is still") as caught,
    ):
        fleets.retire(NAME, token=TOKEN)
    assert "i-" in str(caught.value)
    assert "again" in caught.value.hint
    assert "within 8m" in str(caught.value)


@pytest.mark.parametrize("size", [2, 3])
def test_what_there_was_room_for_stays_and_is_found(account, fleets, size):
    """The quota admits one instance: the launch says so, and retiring leaves nothing."""
    account.emulator.configure(vcpus=2)
    spec = spec_of(account, size=size)
    with running_on(Quickened()), pytest.raises(NotEnough, match="limit") as caught:
        fleets.launch(spec, token=TOKEN)
    assert not caught.value.retryable
    (view,) = fleets.list(service=SERVICE, ledger=LEDGER)
    assert view.desired_size == size
    assert len(view.alive) < size
    account.displace(spec.place)
    fleets.retire(NAME, token=TOKEN)
    assert fleets.list(service=SERVICE, ledger=LEDGER) == ()


def test_an_image_that_is_not_there_is_said_by_the_launch(account, fleets):
    """What the provider says of it is the evidence."""
    spec = spec_of(account)
    image = attrs.evolve(spec.image, id=ImageId("ami-0123456789abcdef0"))
    with (
        running_on(Quickened()),
        pytest.raises(BackendError, match="ami-0123456789abcdef0"),
    ):
        fleets.launch(attrs.evolve(spec, image=image), token=TOKEN)


def test_consoles_are_kept_before_instances_go(account, fleets):
    """Of those that are removed, and of all when the fleet is retired."""
    spec = spec_of(account, size=3)
    fleets.launch(spec, token=TOKEN)
    ids = [i.id for i in fleets.observe(NAME).instances]
    smaller = attrs.evolve(spec, size=2)
    account.emulator.calls(clear=True)
    fleets.resize(smaller, remove=(ids[0],), token=TOKEN)
    trace = [str(call["name"]) for call in account.emulator.calls(clear=True).trace]
    ended = trace.index("autoscaling:TerminateInstanceInAutoScalingGroup")
    assert trace.count("ec2:GetConsoleOutput") == 1
    assert trace.index("ec2:GetConsoleOutput") < ended
    account.displace(spec.place)
    fleets.retire(NAME, token=TOKEN)
    trace = [str(call["name"]) for call in account.emulator.calls().trace]
    assert trace.count("ec2:GetConsoleOutput") == 2
    deleted = trace.index("autoscaling:DeleteAutoScalingGroup")
    assert trace.index("ec2:GetConsoleOutput") < deleted


def test_a_place_of_somebody_else_is_not_deleted_by_a_retirement(account, fleets):
    """A target group of the fleet's name that nobody of ours has marked."""
    place = account.place(NAME)
    account.elbv2.delete_rule(
        RuleArn=next(
            rule["RuleArn"]
            for rule in account.elbv2.describe_rules(ListenerArn=account.listener)[
                "Rules"
            ]
            if place in str(rule["Actions"])
        )
    )
    with pytest.raises(Taken):
        fleets.retire(NAME, token=TOKEN)
    owner = {"Key": "immutable-ledger", "Value": LEDGER}
    account.elbv2.add_tags(ResourceArns=[place], Tags=[owner])
    fleets.retire(NAME, token=TOKEN)
    assert account.elbv2.describe_target_groups()["TargetGroups"] == []


def test_what_exists_is_named_by_kind(account, fleets):
    """And nothing of another ledger, or of another service."""
    spec = spec_of(account, size=1)
    fleets.launch(spec, token=TOKEN)
    (instance,) = fleets.observe(NAME).instances
    tags = [{"Key": k, "Value": v} for k, v in spec.tags.to_mapping().items()]
    account.elbv2.add_tags(ResourceArns=[spec.place], Tags=tags)
    rule = next(
        rule
        for rule in account.elbv2.describe_rules(ListenerArn=account.listener)["Rules"]
        if spec.place in str(rule["Actions"])
    )
    account.elbv2.add_tags(ResourceArns=[rule["RuleArn"]], Tags=tags)
    group = account.ec2.create_security_group(
        GroupName="web",
        Description="web",
        VpcId=account.vpc,
        TagSpecifications=[{"ResourceType": "security-group", "Tags": tags}],
    )["GroupId"]
    account.ec2.create_tags(Resources=[account.plain_image], Tags=tags)
    wanted = {
        f"group {NAME}",
        f"template {NAME}",
        f"instance {instance.id}",
        f"place {NAME}",
        f"rule fleet {rule['Priority']}",
        f"security group {group}",
        f"image {account.plain_image}",
    }
    aws = aws_of(AwsConfig(region=account.region).place)
    assert inventory(aws, service=SERVICE, ledger=LEDGER) == wanted
    assert inventory(aws, service=SERVICE) == wanted
    assert inventory(aws, service=SERVICE, ledger=LedgerId("other")) == set()
    assert inventory(aws, service=ServiceName("other")) == set()


class Blind(Aws):
    """Lists are old: what has just been made is in none of them, as long as it is blind."""

    is_blind = False

    def read(self, operation, resource, call):
        """Read, or see the list of before."""
        if self.is_blind and "DescribeAutoScalingGroups" in operation:
            return []
        if self.is_blind and "DescribeLaunchTemplates" in operation:
            return ()
        return super().read(operation, resource, call)


def test_what_is_not_listed_yet_is_retired_all_the_same(account, hurried):
    """Who has just launched a fleet and retires it knows better than the lists."""
    config = AwsConfig(region=account.region, staleness=timedelta())
    aws = Blind(config.place)
    fleets = AwsFleets(config, aws)
    spec = spec_of(account)
    fleets.launch(spec, token=TOKEN)
    account.displace(spec.place)
    aws.is_blind = True
    assert fleets.observe(NAME) is None
    fleets.retire(NAME, token=TOKEN)
    aws.is_blind = False
    found = inventory(aws, service=SERVICE, ledger=LEDGER)
    assert not {name for name in found if name.startswith(("group ", "template "))}
    fleets.retire(NAME, token=TOKEN)


def test_what_is_there_and_not_listed_yet_is_tried_again(account, hurried):
    """Another launch of it finds that it is there, and cannot see whose it is."""
    config = AwsConfig(region=account.region)
    aws = Blind(config.place)
    fleets = AwsFleets(config, aws)
    spec = spec_of(account)
    fleets.launch(spec, token=TOKEN)
    aws.is_blind = True
    with pytest.raises(Unavailable, match="not listed") as caught:
        fleets.launch(spec, token=TOKEN)
    assert caught.value.retryable
    with pytest.raises(Unavailable, match="not listed"):
        fleets.launch(spec, token=Token("1" * 32))
    aws.is_blind = False
    fleets.launch(spec, token=TOKEN)
    assert len(fleets.observe(NAME).alive) == 2


def test_lists_that_are_old_delay_a_launch_and_no_more(account, fleets):
    """Readings are up to two seconds old; what they show in the end is what was launched."""
    spec = spec_of(account)
    account.emulator.configure(stale_s=2)
    assert fleets.observe(NAME) is None

    def launched():
        """Launch, as often as the provider says that it may be repeated."""
        try:
            fleets.launch(spec, token=TOKEN)
        except Unavailable as exc:
            if not exc.retryable:
                raise
            return None
        return True

    for _ in range(2):
        wait_until(launched, "the launch", within=timedelta(seconds=60))
    account.emulator.configure(stale_s=0)
    assert len(fleets.observe(NAME).alive) == 2
