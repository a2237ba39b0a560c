"""Logs, metrics and the ledger together, on an emulated AWS with real servers and traffic."""

import pytest

import immutable
from emulators.aws.account import REGION
from emulators.plane.traffic import Traffic
from immutable.judging import Target, VerdictStatus
from immutable.model import (
    Digest,
    Endpoint,
    FleetName,
    HealthCheck,
    Image,
    ImageId,
    Release,
    ReleaseNumber,
    digest_of,
)
from immutable_aws import no_more_5xx_than
from immutable_aws.metrics import balanced, metric
from immutable_aws.session import Place, aws_of

_AT = f"aws://{REGION}"
_PLACE = Place(region=REGION)
_LEDGER = f"s3://ledgers/team?region={REGION}"


@pytest.fixture
def account(account):
    """Return an account with a network, a load balancer and a bucket."""
    aws_of(_PLACE).changes.s3.create_bucket(
        Bucket="ledgers", CreateBucketConfiguration={"LocationConstraint": REGION}
    )
    return account


@pytest.fixture
def shop(account):
    """Return a service whose ledger is shared."""
    places = "drain=0s&propagation=0s&staleness=0s"
    return immutable.Service(
        "shop",
        backend=f"{_AT}?load_balancer=given&pace=50ms&staleness=0s&drain=0s",
        switch=f"alb://{REGION}?listener={account.listener}"
        f"&preview_from=127.0.0.0/8&{places}",
        ledger=_LEDGER,
        size=2,
        ports=8080,
        health="/health",
        strategy=immutable.BlueGreen(bake="100ms", keep_warm="0s"),
    )


def test_consoles_are_read_when_the_fleet_is_gone(account, shop, hurried):
    """Two releases later, the first one's instances still say what they printed."""
    for release in ("one", "two", "three"):
        assert immutable.deploy(shop, account.image(f"release={release}")).is_live
    gone = immutable.logs(shop, release=1)
    assert len(gone) == 2
    assert all(log.console for log in gone)
    alive = {log.instance for log in immutable.logs(shop, release=3)}
    assert alive.isdisjoint(log.instance for log in gone)
    states = account.ec2.describe_instances(InstanceIds=[log.instance for log in gone])
    found = {i["State"]["Name"] for r in states["Reservations"] for i in r["Instances"]}
    assert found <= {"terminated", "shutting-down"}


@pytest.mark.parametrize(
    ("behaviour", "status"),
    [("release=good", VerdictStatus.PASSED), ("fail=/shop", VerdictStatus.FAILED)],
)
def test_a_fleet_is_judged_by_what_it_really_served(account, behaviour, status):
    """Requests that are made through the load balancer are what the verdict counts."""
    name = FleetName("shop-v1-3f9a1c")
    account.serve(name, behaviour, 100, size=1)
    url = account.emulator.address_of(account.listener)
    judge = no_more_5xx_than(1, at=_AT, requests=20)
    with Traffic(url=f"{url}/shop"):
        verdict = account.until(lambda: _decided(judge(_serving(name))), 60)
    assert verdict.status is status
    aws = aws_of(_PLACE)
    assert metric(aws, balanced(aws, name).requests)


def _serving(fleet):
    digest = Digest(digest_of("image"))
    release = Release(
        number=ReleaseNumber(1),
        image=Image(id=ImageId("ami-1"), digest=digest, backend="aws"),
        ports=(8080,),
        health=HealthCheck(port=8080),
    )
    return Target(
        endpoint=Endpoint(host="127.0.0.1", port=1),
        release=release,
        fleet=fleet,
        instances=(),
        live=True,
        port=8080,
    )


def _decided(verdict):
    return None if verdict.status is VerdictStatus.UNDECIDED else verdict
