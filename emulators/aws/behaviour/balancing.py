"""Target groups are pools that are probed, and listeners really listen."""

from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING

import attrs
from moto.elbv2.models import (
    FakeAction,
    FakeLoadBalancer,
    FakeRule,
    FakeTargetGroup,
    elbv2_backends,
)

from emulators.aws.hooks import Call, handles, result_of
from emulators.aws.params import Params
from emulators.plane.balancer import Listener
from emulators.plane.pools import Check, Pool
from emulators.plane.routing import Action, Condition, Rule, Share, Table
from emulators.plane.wire import Response

if TYPE_CHECKING:
    from emulators.aws.world import World

_PROBE_TIMEOUT_S = 0.5
_INTERVAL_S = 0.02
_FIELDS = {
    "path-pattern": ("path", "PathPatternConfig"),
    "host-header": ("host", "HostHeaderConfig"),
    "http-request-method": ("method", "HttpRequestMethodConfig"),
    "source-ip": ("source", "SourceIpConfig"),
}


@handles("elbv2", "CreateLoadBalancer")
def balancers_have_an_address(call: Call) -> object:
    """Give it a loopback address for a name, and let it be provisioned for a while.

    Source: botocore, ``LoadBalancerState``: *"The initial state of the load balancer is
    provisioning. After the load balancer is fully set up and ready to route traffic, its
    state is active."* An address instead of a name is ours: nothing resolves names here.
    """
    answer = call.proceed()
    for balancer in _listed(answer, "LoadBalancers"):
        if isinstance(balancer, FakeLoadBalancer):
            balancer.dns_name = call.world.addresses.spare()
            balancer.state = "provisioning"
            call.at(call.world.settings.halt_s, balancer.activate)
    return answer


@handles("elbv2", "CreateTargetGroup", "ModifyTargetGroup")
def groups_are_probed(call: Call) -> object:
    """Keep a pool for the group, probed as its health check says.

    Source: Application Load Balancers, "Health checks for target groups". moto calls every
    target healthy.
    """
    answer = call.proceed()
    for group in _listed(answer, "TargetGroups"):
        if isinstance(group, FakeTargetGroup):
            _probe(call.world, group)
    return answer


@handles("elbv2", "ModifyTargetGroupAttributes")
def draining_takes_its_time(call: Call) -> object:
    """Drain for as long as the attribute says, scaled.

    Source: botocore, ``TargetGroupAttribute``: ``deregistration_delay.timeout_seconds``
    *"The amount of time, in seconds, for Elastic Load Balancing to wait before changing the
    state of a deregistering target from draining to unused."*
    """
    answer = call.proceed()
    arn = call.params.text("TargetGroupArn")
    group = elbv2_backends[call.account][call.region].target_groups[arn]
    call.world.pools[arn].drain_s = _drain_s(call.world, group)
    return answer


@handles("elbv2", "DeleteTargetGroup")
def deleted_groups_are_not_probed(call: Call) -> object:
    """Forget the pool."""
    answer = call.proceed()
    pool = call.world.pools.pop(call.params.text("TargetGroupArn"), None)
    if pool:
        call.world.runner.run(pool.close())
    return answer


@handles(
    "elbv2",
    "CreateListener",
    "ModifyListener",
    "DeleteListener",
    "CreateRule",
    "ModifyRule",
    "DeleteRule",
    "SetRulePriorities",
    "DeleteLoadBalancer",
)
def listeners_listen(call: Call) -> object:
    """Route real requests by the rules, as soon as the nodes have heard of them.

    Source: Application Load Balancers, "Listener rules": *"Rules are evaluated in priority
    order, from the lowest value to the highest value. The default rule is evaluated
    last."*
    """
    answer = call.proceed()
    publish(call)
    return answer


def publish(call: Call) -> None:
    """Tell every listener its rules, and every pool whether it is named by any."""
    world = call.world
    kept: dict[str, Table] = {}
    for balancer in elbv2_backends[call.account][call.region].load_balancers.values():
        for listener in balancer.listeners.values():
            kept[listener.arn] = _table(world, list(listener.rules.values()))
            _open_listener(world, balancer, listener.arn, int(listener.port))
    for arn in [each for each in world.listeners if _is_here(call, each)]:
        if arn in kept:
            world.listeners[arn].publish(kept[arn])
        else:
            world.runner.run(world.listeners.pop(arn).close())
    named = {id(p) for each in world.listeners.values() for p in each.table.pools}
    for pool in world.pools.values():
        pool.used = id(pool) in named
    _note_balancers(call)


def _note_balancers(call: Call) -> None:
    """Tell each target group which load balancer names it. moto never forgets one."""
    backend = elbv2_backends[call.account][call.region]
    for group in backend.target_groups.values():
        pool = call.world.pools.get(group.arn)
        group.load_balancer_arns = [
            balancer.arn
            for balancer in backend.load_balancers.values()
            if any(
                pool in call.world.listeners[each].table.pools
                for each in balancer.listeners
            )
        ]


def _is_here(call: Call, arn: str) -> bool:
    return f":{call.region}:{call.account}:" in arn


def _open_listener(
    world: "World", balancer: FakeLoadBalancer, arn: str, port: int
) -> None:
    known = world.listeners.get(arn)
    if known and known.port == port:
        return
    if known:
        world.runner.run(known.close())
    settings = world.settings
    listener = Listener(
        address=balancer.dns_name,
        port=port,
        nodes=settings.nodes,
        spread_s=settings.spread_s,
        sticks=balancer.type == "network",
    )
    world.listeners[arn] = listener
    world.runner.run(listener.open())


def _table(world: "World", rules: list[FakeRule]) -> Table:
    ordered = sorted(rules, key=_priority)
    return Table(rules=tuple(_rule(world, rule) for rule in ordered))


def _priority(rule: object) -> int:
    found = str(getattr(rule, "priority", "default"))
    return int(found) if found.isdigit() else 1 << 20


def _rule(world: "World", rule: FakeRule) -> Rule:
    conditions = tuple(_conditions(rule.conditions))
    return Rule(conditions=conditions, action=_action(world, rule.actions))


def _conditions(found: list[dict[str, object]]) -> Iterator[Condition]:
    for each in map(Params, found):
        field = each.text("Field")
        if field == "http-header":
            config = each.bag("HttpHeaderConfig")
            name = config.text("HttpHeaderName")
            yield Condition(field="header", name=name, values=config.texts("Values"))
        elif field == "query-string":
            yield from _queries(each.bag("QueryStringConfig"))
        else:
            kind, config_name = _FIELDS[field]
            values = each.bag(config_name).texts("Values") or each.texts("Values")
            yield Condition(field=kind, values=values)


def _queries(config: Params) -> Iterator[Condition]:
    for each in config.bags("Values"):
        value = (each.text("Value"),)
        yield Condition(field="query", name=each.text("Key"), values=value)


def _action(world: "World", actions: list[FakeAction]) -> Action:
    last = Params(actions[-1].data) if actions else Params({})
    if last.text("Type") == "fixed-response":
        return Action(fixed=_fixed(last.bag("FixedResponseConfig")))
    if last.text("Type") == "redirect":
        return Action(fixed=_redirect(last.bag("RedirectConfig")))
    named = last.bag("ForwardConfig").bags("TargetGroups")
    shares = [(each.text("TargetGroupArn"), each.number("Weight")) for each in named]
    if not shares:
        shares = [(last.text("TargetGroupArn"), 1)]
    return Action(
        shares=tuple(
            Share(pool=world.pools[arn], weight=1 if weight is None else weight)
            for arn, weight in shares
            if arn in world.pools
        )
    )


def _fixed(config: Params) -> Response:
    kind = config.text("ContentType", "text/plain")
    return Response(
        status=int(config.text("StatusCode", "503")),
        headers={"content-type": kind},
        body=config.text("MessageBody").encode(),
    )


def _redirect(config: Params) -> Response:
    status = int(config.text("StatusCode", "HTTP_302").removeprefix("HTTP_"))
    return Response(status=status, headers={"location": config.text("Path", "/")})


def _probe(world: "World", group: FakeTargetGroup) -> None:
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
        drain_s=_drain_s(world, group),
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


def _drain_s(world: "World", group: FakeTargetGroup) -> float:
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


def _listed(answer: object, name: str) -> list[object]:
    found = result_of(answer).get(name)
    return found if isinstance(found, list) else []
