"""Health checks as moto keeps them, as the probes that are really made."""

from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING

import attrs
from moto.elbv2.models import FakeTargetGroup

from emulators.plane.pools import Check, Pool

if TYPE_CHECKING:
    from emulators.aws.world import World

_PROBE_TIMEOUT_S = 0.5
_INTERVAL_S = 0.02


def probe(world: "World", group: FakeTargetGroup) -> None:
    """Begin to probe a group's targets, or go on as it says now."""
    pool = world.pools.get(group.arn)
    if pool is None:
        _open_pool(world, group)
    else:
        pool.check = _check_of(world, group)


def _open_pool(world: "World", group: FakeTargetGroup) -> None:
    def resolve(target: str, port: int) -> tuple[str, int] | None:
        return _where(world, target, port)

    pool = Pool(
        name=group.name,
        check=_check_of(world, group),
        resolve=resolve,
        port=int(group.port or 80),
        drain_s=drain_s(world, group),
    )
    world.pools[group.arn] = pool
    world.runner.run(pool.open())


def _where(world: "World", target: str, port: int) -> tuple[str, int] | None:
    if not target.startswith("i-"):
        return target, port
    machine = world.machines.get(target)
    instance = world.instances.get(target)
    if machine is None or instance is None or instance.state != "running":
        return None
    return machine.where(port)


def drain_s(world: "World", group: FakeTargetGroup) -> float:
    """Return how long a target of a group drains here."""
    seconds = group.attributes["deregistration_delay.timeout_seconds"]
    return world.scaled(float(str(seconds)))


def _check_of(world: "World", group: FakeTargetGroup) -> Check:
    scaled = world.scaled(float(group.health_check_interval_seconds))
    named = str(group.health_check_port or "traffic-port")
    check = Check(
        port=int(named) if named.isdigit() else None,
        interval_s=max(scaled, _INTERVAL_S),
        timeout_s=max(
            world.scaled(float(group.health_check_timeout_seconds)), _PROBE_TIMEOUT_S
        ),
        healthy=int(group.healthy_threshold_count),
        unhealthy=int(group.unhealthy_threshold_count),
    )
    if str(group.health_check_protocol) == "TCP":
        return attrs.evolve(check, protocol="TCP")
    matcher: Mapping[str, str] = getattr(group, "matcher", {})
    codes = tuple(_ranges(matcher.get("HttpCode", "200")))
    return attrs.evolve(check, path=group.health_check_path or "/", codes=codes)


def _ranges(text: str) -> Iterator[tuple[int, int]]:
    for part in text.split(","):
        low, _, high = part.partition("-")
        yield int(low), int(high or low)
