r"""What AWS itself does, asked of it: never without being told where, and never in CI.

    IMMUTABLE_LIVE_AWS=eu-west-1 \
    IMMUTABLE_LIVE_LISTENER=arn:aws:elasticloadbalancing:…:listener/app/… \
    IMMUTABLE_LIVE_IMAGE=ami-… \
    pytest -m live backends/aws/tests/live

``IMMUTABLE_LIVE_BUCKET`` names a bucket for the ledger and what it rests upon, and
``IMMUTABLE_LIVE_NETWORK`` a listener of a Network Load Balancer that nobody uses, for how
long it takes to be pointed elsewhere: one t3.micro more, and a quarter of an hour.
The account is the one of the SDK's credentials: use one in which nothing can be harmed. The
listener is of an Application Load Balancer that nobody uses; the image's server answers
200 to ``/`` on port 80. A run launches two t3.micro and takes some ten minutes. The
variable's value ``emulated`` runs the same against the emulator, without any of the others.
Whatever is made has the tag ``immutable-live``, and is deleted at the end, also of a test
that failed.
"""

import contextlib
import os
import sys
from collections.abc import Iterator
from pathlib import Path

import boto3
import pytest

sys.path.insert(0, str(Path(__file__).parent))

from asking import Live, refusal

_ASKED = "IMMUTABLE_LIVE_AWS"


@pytest.fixture(scope="session")
def place() -> Iterator[dict[str, str]]:
    """Return what is given, of AWS or of the emulator."""
    asked = os.environ.get(_ASKED, "")
    if not asked:
        pytest.skip(
            f"NOT RUN against AWS: {_ASKED} names no region; see live/conftest.py"
        )
    if asked != "emulated":
        yield _given(asked)
        return
    sys.path.append(str(Path(__file__).parents[4]))
    from emulators import aws
    from emulators.aws.account import Account, settings

    with aws.start() as emulator, pytest.MonkeyPatch.context() as patch:
        for name, value in settings(emulator.url).items():
            patch.setenv(name, value)
        account = Account.make(emulator)
        yield {
            "region": account.region,
            "listener": account.listener,
            "network": _network(account),
            "image": account.image("port=8080"),
            "port": "8080",
            "emulated": "yes",
        }


def _network(account) -> str:
    """Return a listener of an emulated Network Load Balancer, with an empty group."""
    above = account.elbv2.create_load_balancer(
        Name="network", Subnets=account.subnets, Type="network"
    )["LoadBalancers"][0]["LoadBalancerArn"]
    group = account.elbv2.create_target_group(
        Name="network", Protocol="TCP", Port=8080, VpcId=account.vpc
    )["TargetGroups"][0]["TargetGroupArn"]
    made = account.elbv2.create_listener(
        LoadBalancerArn=above,
        Protocol="TCP",
        Port=8001,
        DefaultActions=[{"Type": "forward", "TargetGroupArn": group}],
    )
    return str(made["Listeners"][0]["ListenerArn"])


def _given(region: str) -> dict[str, str]:
    names = ("listener", "image")
    told = {
        name: os.environ.get(f"IMMUTABLE_LIVE_{name.upper()}", "") for name in names
    }
    if missing := [name for name in names if not told[name]]:
        pytest.fail(f"IMMUTABLE_LIVE_{missing[0].upper()} is not set")
    return {"region": region, "port": "80", **told}


@pytest.fixture
def live(place) -> Iterator[Live]:
    """Return the account; all that a test makes is deleted when it ends."""
    with _opened(place, place["listener"]) as found:
        yield found


@pytest.fixture
def network(place) -> Iterator[Live]:
    """Return the account by a listener of a Network Load Balancer, as ``live`` is."""
    named = place.get("network") or os.environ.get("IMMUTABLE_LIVE_NETWORK", "")
    if not named:
        pytest.skip("NOT RUN: IMMUTABLE_LIVE_NETWORK names no listener")
    with _opened(place, named) as found:
        yield found


@contextlib.contextmanager
def _opened(place, arn: str) -> Iterator[Live]:
    session = boto3.Session(region_name=place["region"])
    elbv2 = session.client("elbv2")
    listener = elbv2.describe_listeners(ListenerArns=[arn])["Listeners"][0]
    balancer = elbv2.describe_load_balancers(
        LoadBalancerArns=[listener["LoadBalancerArn"]]
    )["LoadBalancers"][0]
    scheme = "https" if listener["Protocol"] in {"HTTPS", "TLS"} else "http"
    with contextlib.ExitStack() as cleanup:
        yield Live(
            session=session,
            listener=arn,
            image=place["image"],
            port=int(place["port"]),
            url=f"{scheme}://{balancer['DNSName']}:{listener['Port']}",
            vpc=balancer["VpcId"],
            subnet=balancer["AvailabilityZones"][0]["SubnetId"],
            cleanup=cleanup,
        )


@pytest.fixture
def bucket(live, place) -> str:
    """Return a bucket that may be written to, by ``IMMUTABLE_LIVE_BUCKET``."""
    name = os.environ.get("IMMUTABLE_LIVE_BUCKET", "")
    if "emulated" in place:
        name = "live"
        at = {"LocationConstraint": place["region"]}
        made = live.client("s3").create_bucket
        refusal(made, Bucket=name, CreateBucketConfiguration=at)
    return name or pytest.skip("NOT RUN: IMMUTABLE_LIVE_BUCKET names no bucket")
