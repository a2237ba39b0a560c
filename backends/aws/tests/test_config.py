"""What an ``aws://`` URL says, and that saying it costs nothing."""

import subprocess
import sys
from datetime import timedelta

import botocore.session
import pytest

from immutable.errors import InvalidInput
from immutable.urls import Url
from immutable_aws.config import AwsConfig, Spot


def parsed(text: str) -> AwsConfig:
    """Return what a URL says."""
    return AwsConfig.parse(Url.parse(text))


def test_a_region_is_enough():
    """Everything else is found, or has a default that one can live with."""
    config = parsed("aws://eu-west-1")
    assert (config.region, config.subnets, config.spot) == ("eu-west-1", (), None)
    assert config.instance_types == ("t3.micro",)


def test_options_are_typed():
    """Commas separate, durations have units, and a percentage is one."""
    config = parsed(
        "aws://us-gov-west-1?profile=ci&account=123456789012&subnets=subnet-1,subnet-2"
        "&instance_types=t3.small,t3a.small&spot=20&drain=2m&load_balancer=web"
        "&security_groups=sg-1&image_owners=amazon&bucket=b&instance_profile=shop"
        "&grace=15m"
    )
    assert config.grace == timedelta(minutes=15)
    assert config.subnets == ("subnet-1", "subnet-2")
    assert config.spot == Spot(on_demand_percent=20)
    assert config.drain == timedelta(minutes=2)
    assert (config.place.profile, config.place.account) == ("ci", "123456789012")
    assert config.image_owners == ("amazon",)


def test_every_region_that_the_sdk_knows_is_one():
    """Those of China, the government and the sovereign cloud, too."""
    session = botocore.session.get_session()
    for partition in session.get_available_partitions():
        for region in session.get_available_regions("ec2", partition):
            assert parsed(f"aws://{region}").region == region


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("aws://", "names no region"),
        ("aws://eu-west", "names no region"),
        ("aws://eu-west-1/shop", "names no region"),
        ("aws://EU-WEST-1", "names no region"),
        ("aws://eu-west-1?acount=123456789012", "unknown option acount"),
        ("aws://eu-west-1?account=12345", "'12345' is no account"),
        ("aws://eu-west-1?spot=half", "spot='half' is no percentage"),
        ("aws://eu-west-1?spot=101", "spot='101' is no percentage"),
        ("aws://eu-west-1?drain=soon", "soon"),
        ("aws://eu-west-1?secret=abc", "must not hold a secret"),
        ("aws://eu-west-1?subnets=vpc-1", "'vpc-1' is no subnet"),
        ("aws://eu-west-1?security_groups=web", "'web' is no security group"),
        ("aws://eu-west-1?image_owners=*", r"'\*' is no account"),
        ("aws://eu-west-1?listener=web", "'web' is no listener"),
        ("aws://eu-west-1?pace=0s", "a pace of zero"),
    ],
)
def test_what_cannot_be_meant_is_refused(text, said):
    """Before anybody is called; the message repeats the word, the hint says what to do."""
    with pytest.raises(InvalidInput, match=said) as caught:
        parsed(text)
    assert caught.value.hint


def test_importing_and_opening_load_no_sdk():
    """boto3 takes longer to load than all the rest: the first call does it."""
    program = (
        "import sys, immutable_aws\n"
        "from immutable.registry import open_backend\n"
        "open_backend('aws://eu-west-1').fleets\n"
        "sys.exit(bool({'boto3', 'botocore'} & set(sys.modules)))"
    )
    assert subprocess.run([sys.executable, "-c", program], check=False).returncode == 0
