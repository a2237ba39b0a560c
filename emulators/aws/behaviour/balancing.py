"""Target groups are pools that are probed, and listeners really listen."""

from typing import TYPE_CHECKING

from moto.elbv2.models import FakeLoadBalancer, FakeTargetGroup, elbv2_backends

from emulators.aws.behaviour.probing import drain_s, probe
from emulators.aws.behaviour.tables import table_of
from emulators.aws.hooks import Call, handles, result_of
from emulators.plane.balancer import Listener
from emulators.plane.routing import Table

if TYPE_CHECKING:
    from emulators.aws.world import World


@handles("elbv2", "CreateLoadBalancer")
def balancers_have_an_address(call: Call) -> object:
    """Give it a loopback address for a name, and let it be provisioned for a while.

    Source: botocore, ``LoadBalancerState``: *"The initial state of the load balancer is
    provisioning. After the load balancer is fully set up and ready to route traffic, its
    state is active."* CreateLoadBalancer, ``Scheme``: *"The default is an Internet-facing
    load balancer."* moto tells none. An address instead of a name is ours: nothing resolves
    names here.
    """
    answer = call.proceed()
    for balancer in _listed(answer, "LoadBalancers"):
        if isinstance(balancer, FakeLoadBalancer):
            balancer.dns_name = call.world.addresses.spare()
            balancer.scheme = balancer.scheme or "internet-facing"
            balancer.state = "provisioning"
            call.at(call.world.settings.halt_s, balancer.activate)
            _tell_network(call, balancer)
    return answer


def _tell_network(call: Call, balancer: FakeLoadBalancer) -> None:
    """Let the ARN of a Network Load Balancer, and so those of its listeners, say what it is.

    Source: Service Authorization Reference, "Elastic Load Balancing V2", resource types:
    ``loadbalancer/net/…``. moto calls every one ``app``.
    """
    if balancer.type != "network":
        return
    backend = elbv2_backends[call.account][call.region]
    del backend.load_balancers[balancer.arn]
    tags = backend.tagging_service.list_tags_for_resource(balancer.arn)["Tags"]
    balancer.arn = balancer.arn.replace(":loadbalancer/app/", ":loadbalancer/net/")
    backend.load_balancers[balancer.arn] = balancer
    backend.tagging_service.tag_resource(balancer.arn, tags)


@handles("elbv2", "CreateTargetGroup", "ModifyTargetGroup")
def groups_are_probed(call: Call) -> object:
    """Keep a pool for the group, probed as its health check says.

    Source: Application Load Balancers, "Health checks for target groups". moto calls every
    target healthy.
    """
    answer = call.proceed()
    for group in _listed(answer, "TargetGroups"):
        if isinstance(group, FakeTargetGroup):
            probe(call.world, group)
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
    call.world.pools[arn].drain_s = drain_s(call.world, group)
    return answer


@handles("elbv2", "DeleteTargetGroup")
def deleted_groups_are_not_probed(call: Call) -> object:
    """Forget the pool.

    Source: botocore, DeleteTargetGroup: *"Deleting a target group also deletes any
    associated health checks."*
    """
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

    Source: Application Load Balancers, "Listener rules": from the lowest priority to
    the highest; botocore, CreateRule: *"If the conditions for no rules are met, the
    actions for the default rule are performed."*
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
            kept[listener.arn] = table_of(world, list(listener.rules.values()))
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


def _listed(answer: object, name: str) -> list[object]:
    found = result_of(answer).get(name)
    return found if isinstance(found, list) else []
