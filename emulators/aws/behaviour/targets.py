"""Targets: registering, draining, and their health as the probes have seen it."""

from collections.abc import Iterator

from moto.elbv2.models import FakeTargetGroup, elbv2_backends

from emulators.aws.hooks import Call, handles, refuse
from emulators.aws.params import Params
from emulators.plane.pools import Member, Pool

_NOT_REGISTERED = (
    "unused",
    "Target.NotRegistered",
    "Target is not registered to the target group",
)
_NOT_IN_USE = (
    "unused",
    "Target.NotInUse",
    "Target group is not configured to receive traffic from the load balancer",
)
_STOPPED = ("unused", "Target.InvalidState", "Target is in the stopped state")
_INITIAL = ("initial", "Elb.InitialHealthChecking", "Initial health checks in progress")
_DRAINING = (
    "draining",
    "Target.DeregistrationInProgress",
    "Target deregistration is in progress",
)
_HEALTHY = ("healthy", None, None)
Health = tuple[str, str | None, str | None]


@handles("elbv2", "RegisterTargets")
def registered(call: Call) -> object:
    """Register running instances, and addresses.

    Source: botocore, RegisterTargets: *"If the target is an EC2 instance, it must be in the
    running state when you register it."*
    """
    group, pool = _found(call)
    for target in call.params.bags("Targets"):
        name = target.text("Id")
        if name.startswith("i-"):
            _must_run(call, name)
        pool.register(name, _port(target, group))
    return {}


@handles("elbv2", "DeregisterTargets")
def deregistered(call: Call) -> object:
    """Let targets drain; those that are not there are no error.

    Source: botocore, DeregisterTargets: *"The load balancer stops sending requests to
    targets that are deregistering, but uses connection draining to ensure that in-flight
    traffic completes on the existing connections."* And: *"If the specified target does
    not exist, the action returns successfully."* moto answers InvalidTarget.
    """
    _, pool = _found(call)
    for target in call.params.bags("Targets"):
        pool.deregister(target.text("Id"), target.number("Port"))
    return {}


@handles("elbv2", "DescribeTargetHealth")
def health_is_what_probes_saw(call: Call) -> object:
    """Tell each target's health: unused, initial, healthy, unhealthy or draining.

    Source: botocore, ``TargetHealth``, states and reason codes; Application Load Balancers,
    "Target health status".
    """
    group, pool = _found(call)
    pool.settle()
    asked = call.params.bags("Targets")
    rows = _asked(call, pool, group, asked) if asked else _all(call, pool)
    port = str(group.health_check_port or "traffic-port")
    return {"TargetHealthDescriptions": [_row(*row, health_port=port) for row in rows]}


def _asked(
    call: Call, pool: Pool, group: FakeTargetGroup, asked: tuple[Params, ...]
) -> Iterator[tuple[str, int, Health]]:
    for target in asked:
        key = target.text("Id"), _port(target, group)
        member = pool.members.get(key)
        yield *key, _health(call, pool, member) if member else _NOT_REGISTERED


def _all(call: Call, pool: Pool) -> Iterator[tuple[str, int, Health]]:
    for member in list(pool.members.values()):
        yield member.id, member.port, _health(call, pool, member)


def _health(call: Call, pool: Pool, member: Member) -> Health:
    if member.state == "draining":
        return _DRAINING
    instance = call.world.instances.get(member.id)
    if instance and instance.state in {"stopping", "stopped"}:
        return _STOPPED
    if not pool.used:
        return _NOT_IN_USE
    if member.state == "initial":
        return _INITIAL
    return _HEALTHY if member.state == "healthy" else _unhealthy(member.reason)


def _unhealthy(reason: str) -> Health:
    kind, _, code = reason.partition(":")
    if kind == "code":
        said = f"Health checks failed with these codes: [{code}]"
        return "unhealthy", "Target.ResponseCodeMismatch", said
    if kind == "timeout":
        return "unhealthy", "Target.Timeout", "Request timed out"
    return "unhealthy", "Target.FailedHealthChecks", "Health checks failed"


def _row(
    name: str, port: int, health: Health, *, health_port: str
) -> dict[str, object]:
    state, reason, description = health
    told: dict[str, object] = {"State": state}
    if reason:
        told |= {"Reason": reason, "Description": description}
    return {
        "Target": {"Id": name, "Port": port},
        "HealthCheckPort": str(port) if health_port == "traffic-port" else health_port,
        "TargetHealth": told,
    }


def _must_run(call: Call, instance: str) -> None:
    found = call.world.instances.get(instance)
    if found is None or found.state != "running":
        message = (
            f"The following targets are not in a running state and cannot be registered: "
            f"'{instance}'"
        )
        raise refuse("InvalidTarget", message)


def _port(target: Params, group: FakeTargetGroup) -> int:
    return target.number("Port") or int(group.port)


def _found(call: Call) -> tuple[FakeTargetGroup, Pool]:
    arn = call.params.text("TargetGroupArn")
    group = elbv2_backends[call.account][call.region].target_groups.get(arn)
    if group is None:
        raise refuse("TargetGroupNotFound", "One or more target groups not found")
    return group, call.world.pools[arn]
