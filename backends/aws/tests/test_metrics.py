"""Metrics of CloudWatch, and validators that judge by them."""

from datetime import UTC, datetime, timedelta

import pytest

from immutable.errors import InvalidInput, PermissionDenied
from immutable.host import ThisHost, running_on
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
from immutable.validators.run import run_validator
from immutable_aws import metrics
from immutable_aws.judging import no_more_5xx_than
from immutable_aws.metrics import Balanced, Metric, Sample
from immutable_aws.session import Place, aws_of

_PLACE = Place(region="eu-west-1")
_FLEET = FleetName("shop-v3-3f9a1c")
_ARNS = "arn:aws:elasticloadbalancing:eu-west-1:123456789012"
_FOUND = Balanced(
    target_group=f"{_ARNS}:targetgroup/{_FLEET}/73e2d6bc24d8a067",
    load_balancer=f"{_ARNS}:loadbalancer/app/shop/50dc6c495c0c9188",
)
_NOON = datetime(2026, 11, 23, 12, 0, 30, tzinfo=UTC)
_AT = "aws://eu-west-1"


class _Noon(ThisHost):
    """A host on which it is a given time."""

    def now(self):
        return _NOON


@pytest.fixture(autouse=True)
def noon():
    """Let it be half a minute past twelve."""
    with running_on(_Noon()):
        yield


@pytest.fixture
def aws(wire):
    """Return an account in which nothing was ever measured."""
    return aws_of(_PLACE)


@pytest.fixture
def balanced(aws, wire):
    """Return the target group of a fleet at a load balancer."""
    ec2, elbv2 = aws.changes.ec2, aws.changes.elbv2
    vpc = ec2.create_vpc(CidrBlock="10.0.0.0/16")["Vpc"]["VpcId"]
    subnets = [
        ec2.create_subnet(
            VpcId=vpc, CidrBlock=f"10.0.{n}.0/24", AvailabilityZone=f"eu-west-1{zone}"
        )["Subnet"]["SubnetId"]
        for n, zone in enumerate("ab")
    ]
    arn = elbv2.create_load_balancer(Name="shop", Subnets=subnets)["LoadBalancers"][0]
    group = elbv2.create_target_group(
        Name=_FLEET, Protocol="HTTP", Port=8080, VpcId=vpc
    )["TargetGroups"][0]["TargetGroupArn"]
    elbv2.create_listener(
        LoadBalancerArn=arn["LoadBalancerArn"],
        Protocol="HTTP",
        Port=80,
        DefaultActions=[{"Type": "forward", "TargetGroupArn": group}],
    )
    found = metrics.balanced(aws, _FLEET)
    wire.clear()
    return found


@pytest.fixture
def measured(aws, wire):
    """Return what reports a number as the load balancer does, at a time before now."""

    def report(metric, value, *, ago=timedelta(minutes=1)):
        aws.changes.cloudwatch.put_metric_data(
            Namespace=metric.namespace,
            MetricData=[
                {
                    "MetricName": metric.name,
                    "Dimensions": [
                        {"Name": n, "Value": v} for n, v in metric.dimensions
                    ],
                    "Timestamp": _NOON - ago,
                    "Value": value,
                }
            ],
        )
        wire.clear()

    return report


def _target(*, live=True, fleet=_FLEET):
    digest = Digest(digest_of("image"))
    return Target(
        endpoint=Endpoint(host="127.0.0.1", port=1),
        release=Release(
            number=ReleaseNumber(3),
            image=Image(id=ImageId("ami-1"), digest=digest, backend="aws"),
            ports=(8080,),
            health=HealthCheck(port=8080),
        ),
        fleet=fleet,
        instances=(),
        live=live,
        port=8080,
    )


# -- reading --------------------------------------------------------------------


def test_samples_come_oldest_first_with_their_times(aws, measured):
    """One metric, a value for each minute that has one."""
    measured(_FOUND.requests, 5, ago=timedelta(minutes=1))
    measured(_FOUND.requests, 3, ago=timedelta(minutes=3))
    found = metrics.metric(aws, _FOUND.requests)
    minute = datetime(2026, 11, 23, 11, 57, tzinfo=UTC)
    assert found == (Sample(minute, 3), Sample(minute + timedelta(minutes=2), 5))


def test_many_metrics_are_one_call(aws, measured, wire):
    """Requests, errors, latency and health of a fleet are asked for together."""
    wanted = [
        _FOUND.requests,
        _FOUND.errors,
        _FOUND.refusals,
        _FOUND.healthy,
        _FOUND.latency(),
    ]
    measured(_FOUND.errors, 2)
    found = metrics.read(aws, wanted)
    assert wire.operations == ["GetMetricData"]
    assert [series.metric for series in found] == wanted
    assert [series.total for series in found] == [0, 2, 0, 0, 0]
    assert found[0].highest is None


def test_a_call_asks_for_five_hundred_at_most(aws, wire):
    """What is more goes into another call, and nothing is lost."""
    wanted = [Metric(namespace="Own", name=f"m{number}") for number in range(501)]
    assert [series.metric for series in metrics.read(aws, wanted)] == wanted
    assert wire.operations == ["GetMetricData"] * 2
    assert metrics.read(aws, ()) == ()


def test_statistics_and_dimensions_are_the_load_balancers(aws, wire, monkeypatch):
    """What is sent names the target group and load balancer as CloudWatch does."""
    sent = []
    aws.reads.cloudwatch.meta.events.register_first(
        "before-parameter-build.cloudwatch.GetMetricData",
        lambda params, **_: sent.append(params),
    )
    metrics.read(aws, (_FOUND.latency(), _FOUND.healthy))
    latency, healthy = (q["MetricStat"] for q in sent[0]["MetricDataQueries"])
    assert latency["Stat"] == "p95"
    assert healthy["Stat"] == "Minimum"
    assert latency["Metric"] == {
        "Namespace": "AWS/ApplicationELB",
        "MetricName": "TargetResponseTime",
        "Dimensions": [
            {"Name": "LoadBalancer", "Value": "app/shop/50dc6c495c0c9188"},
            {"Name": "TargetGroup", "Value": f"targetgroup/{_FLEET}/73e2d6bc24d8a067"},
        ],
    }


@pytest.mark.parametrize(
    ("over", "period", "begin", "end"),
    [
        ("5m", "1m", "11:56", "12:01"),
        ("90s", "1m", "11:59", "12:01"),
        ("10m", "5m", "11:55", "12:05"),
        ("0s", "1m", "12:00", "12:01"),
    ],
)
def test_times_are_whole_periods(aws, over, period, begin, end):
    """The period that now is in is the last, and what is asked for is rounded up."""
    sent = []
    aws.reads.cloudwatch.meta.events.register_first(
        "before-parameter-build.cloudwatch.GetMetricData",
        lambda params, **_: sent.append(params),
    )
    metrics.read(aws, (_FOUND.requests,), over=over, period=period)
    assert f"{sent[0]['StartTime']:%H:%M}" == begin
    assert f"{sent[0]['EndTime']:%H:%M}" == end


@pytest.mark.parametrize("period", ["0s", "30s", "90s"])
def test_a_period_is_whole_minutes(aws, wire, period):
    """The load balancer reports each minute."""
    with pytest.raises(InvalidInput):
        metrics.read(aws, (_FOUND.requests,), period=period)
    assert wire.requests == []


def test_pages_are_one_series(aws, monkeypatch):
    """Parts of a series are put together; the last says whether it is whole."""
    pages = [
        _page("NextPage", "PartialData", 1, minute=56),
        _page(None, "Complete", 2, minute=58),
    ]
    _answer(aws, monkeypatch, pages)
    (found,) = metrics.read(aws, (_FOUND.requests,))
    assert (found.total, found.complete) == (3, True)


@pytest.mark.parametrize("status", ["PartialData", "InternalError", "Forbidden"])
def test_a_series_that_is_not_whole_says_so(aws, monkeypatch, status):
    """CloudWatch may answer with a part."""
    _answer(aws, monkeypatch, [_page(None, status, 1, minute=58)])
    (found,) = metrics.read(aws, (_FOUND.requests,))
    assert not found.complete


def _page(token, status, value, *, minute, number=0):
    at = datetime(2026, 11, 23, 11, minute, tzinfo=UTC)
    row = {"Id": f"m{number}", "Timestamps": [at], "Values": [value]}
    page = {"MetricDataResults": [{**row, "StatusCode": status}]}
    return {**page, "NextToken": token} if token else page


def _answer(aws, monkeypatch, pages):
    """Let CloudWatch's client answer with pages: moto has none of these."""
    left = list(pages)
    monkeypatch.setattr(aws.reads.cloudwatch, "_make_api_call", lambda *_: left.pop(0))


def test_a_fleets_target_group_is_found_by_its_name(balanced):
    """With the load balancer whose metrics tell of it."""
    assert f"targetgroup/{_FLEET}/" in balanced.target_group
    assert "loadbalancer/app/shop/" in balanced.load_balancer


# -- judging --------------------------------------------------------------------


@pytest.mark.parametrize(
    ("answered", "errors", "refusals", "status"),
    [
        (200, 0, 0, VerdictStatus.PASSED),
        (198, 2, 0, VerdictStatus.PASSED),
        (197, 3, 0, VerdictStatus.FAILED),
        (197, 1, 2, VerdictStatus.FAILED),
        (99, 0, 0, VerdictStatus.UNDECIDED),
        (98, 1, 0, VerdictStatus.UNDECIDED),
        (8, 2, 0, VerdictStatus.FAILED),
        (0, 0, 0, VerdictStatus.UNDECIDED),
        (None, None, None, VerdictStatus.UNDECIDED),
    ],
)
def test_a_fleet_is_judged_by_its_requests(
    balanced, measured, answered, errors, refusals, status
):
    """At most one in a hundred may fail; too few requests decide nothing but failure."""
    asked = sum(filter(None, (answered, errors, refusals)))
    rows = (balanced.answers[0], balanced.errors, balanced.refusals, balanced.requests)
    for metric, value in zip(rows, (answered, errors, refusals, asked), strict=True):
        if value is not None:
            measured(metric, value)
    verdict = no_more_5xx_than(1, at=_AT)(_target())
    assert verdict.status is status
    assert f"{(errors or 0) + (refusals or 0)} of {asked}" in verdict.evidence


@pytest.mark.parametrize(
    ("answered", "unanswered", "status"),
    [
        (0, 200, VerdictStatus.FAILED),
        (190, 10, VerdictStatus.FAILED),
        (190, 1, VerdictStatus.PASSED),
        (190, 0, VerdictStatus.PASSED),
        (200, 500, VerdictStatus.PASSED),
        (0, 0, VerdictStatus.UNDECIDED),
    ],
)
def test_who_never_answers_does_not_pass(
    balanced, measured, answered, unanswered, status
):
    """Hanging up and silence are told of the load balancer, not of its target groups.

    Others there may fail for reasons of their own, and clients may go away.
    """
    measured(balanced.requests, 200)
    measured(balanced.answers[0], answered)
    measured(balanced.unanswered[1], unanswered)
    assert no_more_5xx_than(1, at=_AT)(_target()).status is status


def test_judging_is_two_calls(balanced, measured, wire):
    """The target group is looked up, and all numbers are asked for at once."""
    no_more_5xx_than(1, at=_AT)(_target())
    assert wire.operations == ["DescribeTargetGroups", "GetMetricData"]


def test_part_of_the_data_is_no_pass(balanced, aws, monkeypatch):
    """Two hundred good requests pass nobody while CloudWatch holds something back."""
    pages = [
        {
            "MetricDataResults": [
                *_page(None, "Complete", 200, minute=58)["MetricDataResults"],
                *_page(None, "PartialData", 0, minute=58, number=1)[
                    "MetricDataResults"
                ],
            ]
        }
    ]
    validator = no_more_5xx_than(1, at=_AT)
    monkeypatch.setattr(metrics, "balanced", lambda *_: balanced)
    _answer(aws, monkeypatch, pages)
    verdict = validator(_target())
    assert verdict.status is VerdictStatus.UNDECIDED
    assert "has not told all" in verdict.evidence


def test_before_it_serves_nothing_is_decided(balanced, wire):
    """On the preview route there is no traffic to judge, and nobody is asked."""
    verdict = no_more_5xx_than(1, at=_AT)(_target(live=False))
    assert verdict.status is VerdictStatus.UNDECIDED
    assert wire.requests == []


def test_a_fleet_without_a_place_is_not_judged(aws, balanced):
    """There is nothing that could have been measured."""
    other = _target(fleet=FleetName("shop-v4-3f9a1d"))
    verdict = no_more_5xx_than(1, at=_AT)(other)
    assert verdict.status is VerdictStatus.UNDECIDED
    assert "no target group" in verdict.evidence


def test_a_target_group_that_nobody_asks_is_not_judged(aws, balanced):
    """A target group that no load balancer has measures nothing."""
    elbv2 = aws.changes.elbv2
    for listener in elbv2.describe_listeners(LoadBalancerArn=balanced.load_balancer)[
        "Listeners"
    ]:
        elbv2.delete_listener(ListenerArn=listener["ListenerArn"])
    verdict = no_more_5xx_than(1, at=_AT)(_target())
    assert verdict.status is VerdictStatus.UNDECIDED


def test_a_refusal_decides_nothing(balanced, wire):
    """Who may not read the numbers does not know them; the message is one line."""
    wire.refuse(403, "AccessDenied", "GetMetricData")
    verdict = no_more_5xx_than(1, at=_AT)(_target())
    assert verdict.status is VerdictStatus.UNDECIDED
    assert verdict.evidence.isprintable()
    wire.refuse(403, "AccessDenied", "GetMetricData")
    with pytest.raises(PermissionDenied):
        metrics.metric(aws_of(_PLACE), balanced.requests)


def test_it_is_a_validator_as_any_other(balanced, measured):
    """The core runs it, and knows it by a name."""
    measured(balanced.requests, 500)
    measured(balanced.answers[0], 500)
    verdict = run_validator(
        no_more_5xx_than(1, at=_AT), _target(), timeout=timedelta(seconds=60)
    )
    assert verdict.status is VerdictStatus.PASSED
    assert verdict.validator == "no_more_5xx_than(1)"


@pytest.mark.parametrize(
    "arguments",
    [
        {"percent": -1},
        {"percent": 101},
        {"requests": 0},
        {"at": "aws://nowhere"},
        {"at": "aws://eu-west-1?subnets=subnet-1"},
        {"over": "soon"},
    ],
)
def test_terms_that_cannot_be_are_refused(arguments):
    """When the validator is made, not in the middle of a deployment."""
    terms = {"percent": 1, "at": _AT} | arguments
    with pytest.raises(InvalidInput):
        no_more_5xx_than(terms.pop("percent"), **terms)
