"""Metrics of CloudWatch, for people and for validators: many of them in one call.

What an Application Load Balancer measures, and when it reports nothing, is in
https://docs.aws.amazon.com/elasticloadbalancing/latest/application/load-balancer-cloudwatch-metrics.html
"""

from collections.abc import Iterator, Mapping, Sequence
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING

import attrs

from immutable import host
from immutable.durations import duration
from immutable.errors import InvalidInput
from immutable.model import FleetName, pairs
from immutable_aws.session import Aws

if TYPE_CHECKING:
    from mypy_boto3_cloudwatch.type_defs import (
        MetricDataQueryTypeDef,
        MetricDataResultTypeDef,
    )

MINUTE = timedelta(minutes=1)
_AT_ONCE = 500
"""The most that one call of GetMetricData answers."""
_LOAD_BALANCER = "AWS/ApplicationELB"
_COMPLETE = "Complete"


@attrs.frozen(kw_only=True)
class Metric:
    """One series: what is measured, of what, and how a period's values become one.

    Args:
        namespace: such as ``AWS/ApplicationELB``.
        name: such as ``RequestCount``.
        statistic: as CloudWatch names it: ``Sum``, ``Average``, ``p95`` …
        dimensions: all of those that it is reported with, and no others.
    """

    namespace: str
    name: str
    statistic: str = "Sum"
    dimensions: tuple[tuple[str, str], ...] = attrs.field(default=(), converter=pairs)


@attrs.frozen
class Sample:
    """The value of one period, which began at this time."""

    at: datetime
    value: float


@attrs.frozen(kw_only=True)
class Series:
    """What CloudWatch has of one metric.

    ``complete`` is False where it says that it could not return all of it. No samples are
    no data: whether that means nought differs from metric to metric.
    """

    metric: Metric
    samples: tuple[Sample, ...]
    complete: bool = True

    @property
    def total(self) -> float:
        """Return the sum of the samples."""
        return sum(sample.value for sample in self.samples)

    @property
    def highest(self) -> float | None:
        """Return the highest sample; None: there is none."""
        return max((sample.value for sample in self.samples), default=None)


@attrs.frozen(kw_only=True)
class Balanced:
    """A target group at its load balancer, by their ARNs: what a fleet's metrics are of."""

    target_group: str
    load_balancer: str

    def metric(self, name: str, statistic: str = "Sum") -> Metric:
        """Return one of the load balancer's metrics of this target group."""
        whole = self._whole(name, statistic)
        group = self.target_group.rpartition(":")[2]
        dimensions = {"TargetGroup": group, **dict(whole.dimensions)}
        return attrs.evolve(whole, dimensions=dimensions)

    def _whole(self, name: str, statistic: str = "Sum") -> Metric:
        """Return one of the load balancer's metrics of all that it does."""
        return Metric(
            namespace=_LOAD_BALANCER,
            name=name,
            statistic=statistic,
            dimensions={
                "LoadBalancer": self.load_balancer.partition("loadbalancer/")[2]
            },
        )

    @property
    def requests(self) -> Metric:
        """Return how many requests were given to a target."""
        return self.metric("RequestCount")

    @property
    def errors(self) -> Metric:
        """Return how many answers of targets were 5xx; reported only where there are."""
        return self.metric("HTTPCode_Target_5XX_Count")

    @property
    def refusals(self) -> Metric:
        """Return how many connections to targets failed; reported only where some did."""
        return self.metric("TargetConnectionErrorCount")

    @property
    def answers(self) -> tuple[Metric, ...]:
        """Return how many answers of targets were 2xx, 3xx and 4xx."""
        return tuple(self.metric(f"HTTPCode_Target_{n}XX_Count") for n in (2, 3, 4))

    @property
    def unanswered(self) -> tuple[Metric, ...]:
        """Return how often the load balancer answered because no target did: 502 and 504.

        Of all its target groups: it does not tell of which.
        """
        return tuple(self._whole(f"HTTPCode_ELB_{n}_Count") for n in (502, 504))

    @property
    def healthy(self) -> Metric:
        """Return how many targets were healthy, at the worst moment of a period."""
        return self.metric("HealthyHostCount", "Minimum")

    def latency(self, percentile: float = 95) -> Metric:
        """Return within how many seconds so many percent of the answers began."""
        return self.metric("TargetResponseTime", f"p{percentile:g}")


def balanced(aws: Aws, fleet: FleetName) -> Balanced | None:
    """Return what a fleet's metrics are of; None: it has no place at a load balancer.

    Raises:
        ImmutableError: that cannot be read, or there is no such target group.
    """
    found = aws.read(
        "elbv2.DescribeTargetGroups",
        fleet,
        lambda: aws.reads.elbv2.describe_target_groups(Names=[fleet]),
    )["TargetGroups"]
    for group in found:
        for balancer in group.get("LoadBalancerArns", []):
            return Balanced(
                target_group=group["TargetGroupArn"], load_balancer=balancer
            )
    return None


def metric(
    aws: Aws,
    wanted: Metric,
    *,
    over: timedelta | str = "5m",
    period: timedelta | str = MINUTE,
) -> tuple[Sample, ...]:
    """Return what CloudWatch has of one metric until now, oldest first.

    Raises:
        InvalidInput: the period is no multiple of a minute.
        ImmutableError: it cannot be read.
    """
    return read(aws, (wanted,), over=over, period=period)[0].samples


def read(
    aws: Aws,
    wanted: Sequence[Metric],
    *,
    over: timedelta | str = "5m",
    period: timedelta | str = MINUTE,
) -> tuple[Series, ...]:
    """Return what CloudWatch has of many metrics until now, in their order.

    One call for each 500 of them. The load balancer reports each minute, and a minute
    may take some more until it is there.

    Args:
        aws: where.
        wanted: the metrics.
        over: how far to look back, rounded up to whole periods.
        period: of each sample; a multiple of a minute.

    Raises:
        InvalidInput: the period is no multiple of a minute.
        ImmutableError: they cannot be read.
    """
    step = duration(period)
    if not step or step % MINUTE:
        raise InvalidInput(f"period={period!r}", hint="give whole minutes")
    until = _ceiling(host.current().now(), step)
    since = until - max(-(-duration(over) // step), 1) * step
    found: list[Series] = []
    for at in range(0, len(wanted), _AT_ONCE):
        chunk = wanted[at : at + _AT_ONCE]
        found += _series(chunk, _rows(aws, chunk, since, until, step))
    return tuple(found)


def _ceiling(now: datetime, step: timedelta) -> datetime:
    """Return the end of the period that now is in: such ends are answered fastest."""
    begun = now - (now - datetime.fromtimestamp(0, UTC)) % step
    return begun + step


def _series(
    wanted: Sequence[Metric], rows: Mapping[str, "list[MetricDataResultTypeDef]"]
) -> Iterator[Series]:
    for number, one in enumerate(wanted):
        parts = rows.get(_id(number), [])
        samples = [
            Sample(at.astimezone(UTC), float(value))
            for part in parts
            for at, value in zip(
                part.get("Timestamps", []), part.get("Values", []), strict=True
            )
        ]
        # of a series in several pages the last one says whether it is whole
        whole = bool(parts) and parts[-1].get("StatusCode") == _COMPLETE
        ordered = sorted(samples, key=lambda sample: sample.at)
        yield Series(metric=one, samples=tuple(ordered), complete=whole)


def _rows(
    aws: Aws,
    wanted: Sequence[Metric],
    since: datetime,
    until: datetime,
    step: timedelta,
) -> dict[str, "list[MetricDataResultTypeDef]"]:
    """Return the parts of each series, by its number."""
    queries = [_query(n, one, step) for n, one in enumerate(wanted)]
    pages = aws.reads.cloudwatch.get_paginator("get_metric_data").paginate(
        MetricDataQueries=queries, StartTime=since, EndTime=until
    )
    found: dict[str, list[MetricDataResultTypeDef]] = {}
    parts = aws.read(
        "cloudwatch.GetMetricData",
        wanted[0].name,
        lambda: [part for page in pages for part in page["MetricDataResults"]],
    )
    for part in parts:
        found.setdefault(part.get("Id", ""), []).append(part)
    return found


def _query(number: int, wanted: Metric, step: timedelta) -> "MetricDataQueryTypeDef":
    return {
        "Id": _id(number),
        "MetricStat": {
            "Metric": {
                "Namespace": wanted.namespace,
                "MetricName": wanted.name,
                "Dimensions": [{"Name": n, "Value": v} for n, v in wanted.dimensions],
            },
            "Period": int(step.total_seconds()),
            "Stat": wanted.statistic,
        },
    }


def _id(number: int) -> str:
    return f"m{number}"
