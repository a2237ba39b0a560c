"""CloudWatch's metrics of load balancers, of the requests that were really made."""

import time
from collections import Counter
from typing import TYPE_CHECKING

from moto.cloudwatch.models import cloudwatch_backends
from moto.core.utils import utcnow
from moto.elbv2.models import FakeTargetGroup, elbv2_backends

from emulators.plane.pools import Pool

if TYPE_CHECKING:
    from emulators.aws.world import World

_LEAST_S, _PERIOD_S = 1.0, 60.0
_NAMESPACE = "AWS/ApplicationELB"


def tick(world: "World") -> None:
    """Publish, once a minute of AWS's, what has happened since the last time.

    Source: Application Load Balancers, "CloudWatch metrics": RequestCount,
    HTTPCode_Target_*, TargetResponseTime, HealthyHostCount, UnHealthyHostCount, once
    for each 60 seconds in which there were requests. moto has none.
    """
    kept, now = world.keep("metering"), time.monotonic()
    last = kept.setdefault("last", now)
    period = max(_LEAST_S, world.scaled(_PERIOD_S))
    if not isinstance(last, float) or now - last < period:
        return
    kept["last"] = now
    for pool_arn, pool in world.pools.items():
        if pool.answered:
            _publish(pool_arn, pool)


def _publish(arn: str, pool: Pool) -> None:
    answered, took = pool.answered, pool.took_s
    pool.answered, pool.took_s = Counter(), 0.0
    region, account = arn.split(":")[3:5]
    group = elbv2_backends[account][region].target_groups[arn]
    total = answered.total()
    states = Counter(member.state for member in list(pool.members.values()))
    values = {
        "RequestCount": float(total),
        "TargetResponseTime": took / total,
        "HealthyHostCount": float(states["healthy"]),
        "UnHealthyHostCount": float(states["unhealthy"]),
    }
    for status, count in answered.items():
        name = f"HTTPCode_Target_{status // 100}XX_Count"
        values[name] = values.get(name, 0.0) + count
    _put(group, values)


def _put(group: FakeTargetGroup, values: dict[str, float]) -> None:
    dimensions = [{"Name": "TargetGroup", "Value": group.arn.rpartition(":")[2]}]
    for balancer in group.load_balancer_arns[:1]:
        value = balancer.partition("loadbalancer/")[2]
        dimensions.append({"Name": "LoadBalancer", "Value": value})
    data = [
        {
            "MetricName": name,
            "Value": value,
            "Timestamp": utcnow(),
            "Dimensions": dimensions,
            "Unit": "Seconds" if name == "TargetResponseTime" else "Count",
        }
        for name, value in values.items()
    ]
    backend = cloudwatch_backends[group.account_id][group.region_name]
    backend.put_metric_data(_NAMESPACE, data)
