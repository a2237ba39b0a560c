"""Rules and target groups: what is refused, and what is the same again."""

import time
from collections.abc import Iterable, Iterator

from moto.elbv2.models import (
    ELBv2Backend,
    FakeListener,
    FakeTargetGroup,
    elbv2_backends,
)

from emulators.aws.hooks import Call, handles, refuse
from emulators.aws.params import Params

_RULES, _POOLS, _VALUES, _EACH, _WEIGHT = 100, 5, 5, 3, 999
_LOWEST, _TAGGED = 50000, 20
_RELEASED = "released"
_SETTINGS = {
    "Protocol": "protocol",
    "Port": "port",
    "VpcId": "vpc_id",
    "HealthCheckProtocol": "health_check_protocol",
    "HealthCheckPort": "health_check_port",
    "HealthCheckPath": "health_check_path",
    "HealthCheckIntervalSeconds": "health_check_interval_seconds",
    "HealthCheckTimeoutSeconds": "health_check_timeout_seconds",
    "HealthyThresholdCount": "healthy_threshold_count",
    "UnhealthyThresholdCount": "unhealthy_threshold_count",
    "Matcher": "matcher",
    "TargetType": "target_type",
}


@handles("elbv2", "CreateTargetGroup")
def the_same_group_again(call: Call) -> object:
    """Answer with the group there is, if it has the same settings.

    Source: botocore, CreateTargetGroup: *"This operation is idempotent, which means that it
    completes at most one time. If you attempt to create multiple target groups with the same
    settings, each call succeeds."* With other settings, ``DuplicateTargetGroupName``. That
    tags are no settings is an assumption. moto refuses both.
    """
    name = call.params.text("Name")
    for group in _backend(call).target_groups.values():
        if group.name == name:
            if not _is_same(call.params, group):
                message = (
                    f"A target group with the same name '{name}' exists, but with "
                )
                raise refuse("DuplicateTargetGroupName", message + "different settings")
            return {"TargetGroups": [group]}
    return call.proceed()


@handles("elbv2", "CreateRule")
def rules_are_limited(call: Call) -> object:
    """Refuse a priority out of range, and the rule that is one too many.

    Source: botocore, CreateRule, ``Priority`` (1 to 50000); Application Load Balancers,
    "Quotas": 100 rules per load balancer, default rules not counted;
    ``TooManyRules``. moto has no limit.
    """
    priority = call.params.number("Priority") or 0
    if not 1 <= priority <= _LOWEST:
        message = f"Priority '{priority}' must be between 1 and {_LOWEST}"
        raise refuse("ValidationError", message)
    backend, arn = _backend(call), call.params.text("ListenerArn")
    for balancer in backend.load_balancers.values():
        if arn in balancer.listeners:
            count = sum(len(each.rules) - 1 for each in balancer.listeners.values())
            if count >= _RULES:
                message = "The maximum number of rules has been reached"
                raise refuse("TooManyRules", message)
    return call.proceed()


@handles("elbv2", "CreateRule", "ModifyRule")
def conditions_are_limited(call: Call) -> object:
    """Refuse more than three values of one condition, or five in all.

    Source: Application Load Balancers, "Listener rules": up to three comparison strings per
    condition and up to five per rule.
    """
    counts = [len(list(_values(each))) for each in call.params.bags("Conditions")]
    if max(counts, default=0) > _EACH:
        message = f"A condition can only have '{_EACH}' values"
        raise refuse("ValidationError", message)
    if sum(counts) > _VALUES:
        message = f"A rule can only have '{_VALUES}' condition values"
        raise refuse("ValidationError", message)
    return call.proceed()


@handles("elbv2", "CreateRule", "ModifyRule", "CreateListener", "ModifyListener")
def forwards_are_limited(call: Call) -> object:
    """Refuse weights over 999, and more than five target groups of one action.

    Source: botocore, ``TargetGroupTuple.Weight``: *"The weight. The range is 0 to
    999."*; Application Load Balancers, "Quotas": target groups per action. The codes
    are not documented for these; both are taken to be ValidationError. moto takes a
    weight of 5000.
    """
    actions = [*call.params.bags("Actions"), *call.params.bags("DefaultActions")]
    for action in actions:
        shares = action.bag("ForwardConfig").bags("TargetGroups")
        if len(shares) > _POOLS:
            message = f"An action can have at most {_POOLS} target groups"
            raise refuse("ValidationError", message)
        for share in shares:
            weight = share.number("Weight")
            if weight is not None and not 0 <= weight <= _WEIGHT:
                message = f"Weight '{weight}' must be between 0 and {_WEIGHT}"
                raise refuse("ValidationError", message)
    return call.proceed()


@handles("elbv2", "CreateRule", "CreateListener", "ModifyRule", "ModifyListener")
def one_balancer_for_each_group(call: Call) -> object:
    """Refuse a target group that another load balancer names.

    Source: botocore, ``TargetGroupAssociationLimitException``; Application Load Balancers,
    "Quotas": load balancers per target group.
    """
    own = _balancer_of(call)
    for named in _named_in(call.params):
        for balancer in _backend(call).load_balancers.values():
            if balancer.arn != own and named in _groups_of(balancer.listeners.values()):
                message = (
                    "The following target groups cannot be associated with more than one "
                    f"load balancer: {named}"
                )
                raise refuse("TargetGroupAssociationLimit", message)
    return call.proceed()


@handles("elbv2", "DeleteRule", "DeleteListener", "ModifyRule", "ModifyListener")
def groups_are_released_late(call: Call) -> object:
    """Note when a target group was last named, where ``in_use_s`` says that it matters.

    Source: kubernetes-sigs/aws-load-balancer-controller, issue 4848, a maintainer on deleting
    target groups after rules: "There is some eventual consistency at play here, so we may
    need to try a couple times before the listener rule is officially deleted".
    """
    before = _named_now(call)
    answer = call.proceed()
    for arn in before - _named_now(call):
        call.world.keep(arn)[_RELEASED] = time.monotonic()
    return answer


@handles("elbv2", "DeleteTargetGroup")
def groups_stay_in_use(call: Call) -> object:
    """Refuse to delete a group that a rule has named until a while ago.

    Source: as of ``groups_are_released_late``; hashicorp/terraform-provider-aws,
    internal/service/elbv2/target_group.go, which repeats what was refused as
    ``ResourceInUse`` for two minutes. How long it takes is documented nowhere.
    """
    arn = call.params.text("TargetGroupArn")
    released = call.world.keep(arn).get(_RELEASED)
    if isinstance(released, float):
        age_s = time.monotonic() - released
        if age_s < call.world.settings.in_use_s:
            message = (
                f"Target group '{arn}' is currently in use by a listener or a rule"
            )
            raise refuse("ResourceInUse", message)
    return call.proceed()


@handles("elbv2", "SetRulePriorities")
def priorities_change_together(call: Call) -> object:
    """Change the priorities of several rules at once: they may trade places.

    Source: botocore, SetRulePriorities: *"You can reorder the rules as long as there are no
    priority conflicts in the new order. Any existing rules that you do not specify retain
    their current priority."* moto compares with the old order.
    """
    wanted = {
        each.text("RuleArn"): each.number("Priority") or 0
        for each in call.params.bags("RulePriorities")
    }
    rules = _backend(call).describe_rules(None, list(wanted))
    for rule in rules:
        listener = _backend(call).describe_listeners(None, [rule.listener_arn])[0]
        others = [r for r in listener.rules.values() if r.arn not in wanted]
        taken = {str(other.priority) for other in others}
        if str(wanted[rule.arn]) in taken or _twice(wanted):
            raise refuse("PriorityInUse", "The specified priority is in use.")
    for rule in rules:
        rule.priority = wanted[rule.arn]
    return {"Rules": rules}


@handles("elbv2", "DescribeTags")
def tags_of_what_exists(call: Call) -> object:
    """Describe at most 20 resources, all of which exist.

    Source: botocore, DescribeTags, ``ResourceArns``: *"You can specify up to 20 resources in a
    single call."*; RuleNotFound and the like. moto answers for any ARN.
    """
    arns = call.params.texts("ResourceArns")
    if len(arns) > _TAGGED:
        message = f"Up to {_TAGGED} resource ARNs can be described in one call"
        raise refuse("ValidationError", message)
    for arn in arns:
        # what raises NotFound for each kind of ARN has no public name
        _backend(call)._get_resource_by_arn(arn)  # noqa: SLF001
    return call.proceed()


def _backend(call: Call) -> ELBv2Backend:
    return elbv2_backends[call.account][call.region]


def _is_same(params: Params, group: FakeTargetGroup) -> bool:
    """Compare what was asked for; what was not is the default, which moto has filled in."""
    for name, attribute in _SETTINGS.items():
        asked, has = params.values.get(name), getattr(group, attribute, None)
        if asked is not None and str(asked) != str(has):
            return False
    return True


def _values(condition: Params) -> Iterator[object]:
    yield from condition.texts("Values")
    for value in condition.values.values():
        if isinstance(value, dict):
            found = value.get("Values")
            yield from found if isinstance(found, list) else ()


def _twice(wanted: dict[str, int]) -> bool:
    return len(set(wanted.values())) < len(wanted)


def _named_in(params: Params) -> Iterator[str]:
    for action in [*params.bags("Actions"), *params.bags("DefaultActions")]:
        yield from _groups_in(action)


def _groups_in(action: Params) -> Iterator[str]:
    if "TargetGroupArn" in action:
        yield action.text("TargetGroupArn")
    for share in action.bag("ForwardConfig").bags("TargetGroups"):
        yield share.text("TargetGroupArn")


def _balancer_of(call: Call) -> str:
    named = ("LoadBalancerArn", "ListenerArn", "RuleArn")
    arn = next(call.params.text(name) for name in named if name in call.params)
    plain = arn.replace(":listener-rule/", ":loadbalancer/")
    plain = plain.replace(":listener/", ":loadbalancer/")
    return "/".join(plain.split("/")[:4])


def _named_now(call: Call) -> set[str]:
    balancers = _backend(call).load_balancers.values()
    return {arn for each in balancers for arn in _groups_of(each.listeners.values())}


def _groups_of(listeners: Iterable[FakeListener]) -> set[str]:
    rules = [rule for each in listeners for rule in each.rules.values()]
    actions = [action for rule in rules for action in rule.actions]
    return {arn for action in actions for arn in _groups_in(Params(action.data))}
