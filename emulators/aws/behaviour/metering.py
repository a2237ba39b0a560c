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

    Source: Application Load Balancers, "CloudWatch metrics": RequestCount (of all requests
    for which a target was chosen), HTTPCode_Target_* (of answers by targets alone),
    HTTPCode_ELB_502_Count and the like (of answers by the load balancer, not told by target
    group), TargetResponseTime, HealthyHostCount, UnHealthyHostCount, once for each 60 seconds
    in which there were requests. moto has none.
    """
    kept, now = world.keep("metering"), time.monotonic()
    last = kept.setdefault("last", now)
    period = max(_LEAST_S, world.scaled(_PERIOD_S))
    if not isinstance(last, float) or now - last < period:
        return
    kept["last"] = now
    for pool_arn, pool in world.pools.items():
        if pool.answered or pool.unanswered:
            _publish(pool_arn, pool)


def _publish(arn: str, pool: Pool) -> None:
    region, account = arn.split(":")[3:5]
    group = elbv2_backends[account][region].target_groups[arn]
    lost, pool.unanswered = pool.unanswered, Counter()
    own = _measured(pool) | {
        "RequestCount": float(pool.answered.total() + lost.total())
    }
    pool.answered, pool.took_s = Counter(), 0.0
    _put(group, own, [{"Name": "TargetGroup", "Value": arn.rpartition(":")[2]}])
    ours = {f"HTTPCode_ELB_{status}_Count": float(n) for status, n in lost.items()}
    _put(group, ours, [])


def _measured(pool: Pool) -> dict[str, float]:
    """Return what is measured of a pool's members, and of their answers."""
    states = Counter(member.state for member in list(pool.members.values()))
    values = {
        "HealthyHostCount": float(states["healthy"]),
        "UnHealthyHostCount": float(states["unhealthy"]),
    }
    for status, count in pool.answered.items():
        name = f"HTTPCode_Target_{status // 100}XX_Count"
        values[name] = values.get(name, 0.0) + count
    if total := pool.answered.total():
        values["TargetResponseTime"] = pool.took_s / total
    return values


def _put(
    group: FakeTargetGroup, values: dict[str, float], dimensions: list[dict[str, str]]
) -> None:
    for balancer in group.load_balancer_arns[:1]:
        value = balancer.partition("loadbalancer/")[2]
        dimensions = [*dimensions, {"Name": "LoadBalancer", "Value": value}]
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
