"""A listener's rule as a value: what requests it takes, and what becomes of them. Pure.

https://docs.aws.amazon.com/elasticloadbalancing/latest/application/listener-rules.html
"""

from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING

import attrs

from immutable.model import FleetName

if TYPE_CHECKING:
    from mypy_boto3_elbv2.type_defs import (
        ActionOutputTypeDef,
        ActionTypeDef,
        RuleConditionOutputTypeDef,
        RuleConditionTypeDef,
        RuleTypeDef,
        TargetGroupTupleTypeDef,
    )

HEADER, HOST, PATH, SOURCE = "http-header", "host-header", "path-pattern", "source-ip"
_HIDDEN = "***"


class Nonce(str):
    """What opens a preview route: sent to the load balancer, and shown to nobody."""

    __slots__ = ()

    def __repr__(self) -> str:
        return _HIDDEN


def _values(given: Iterable[str]) -> tuple[str, ...]:
    return tuple(sorted(given))


@attrs.frozen(kw_only=True)
class Condition:
    """One of a rule's conditions: any of its values will do."""

    field: str
    """As AWS names it."""
    values: tuple[str, ...] = attrs.field(converter=_values)
    name: str = ""
    """Of the header."""


@attrs.frozen(kw_only=True)
class NewRule:
    """What a rule is to be made of.

    ``shares`` is target group's ARN → weight; without any, requests are answered with 503.
    """

    priority: int
    conditions: tuple[Condition, ...]
    shares: tuple[tuple[str, int], ...] = ()
    tags: tuple[tuple[str, str], ...] = ()

    def tag(self, key: str) -> str | None:
        """Return a tag's value."""
        return dict(self.tags).get(key)


@attrs.frozen(kw_only=True)
class Rule(NewRule):
    """A rule that is there."""

    arn: str


def fleet_of(group_arn: str) -> FleetName:
    """Return the fleet whose target group this is: they are called alike.

    An ARN ends in ``targetgroup/<name>/<id>``.
    """
    return FleetName(group_arn.rpartition(":")[2].split("/")[1])


def rule_from(row: "RuleTypeDef", tags: Mapping[str, str]) -> Rule:
    """Return a rule as DescribeRules tells it; not the default one: it has no priority."""
    conditions = (_condition(each) for each in row.get("Conditions", []))
    return Rule(
        arn=row.get("RuleArn", ""),
        priority=int(row.get("Priority", "0")),
        conditions=tuple(sorted(conditions, key=lambda c: (c.field, c.name))),
        shares=shares_of(row.get("Actions", [])),
        tags=tuple(sorted(tags.items())),
    )


def shares_of(actions: "Iterable[ActionOutputTypeDef]") -> tuple[tuple[str, int], ...]:
    """Return target groups with their weights; none of anything but a forward."""
    forwards = (action for action in actions if action["Type"] == "forward")
    for action in forwards:
        groups = action.get("ForwardConfig", {}).get("TargetGroups", [])
        if not groups and "TargetGroupArn" in action:
            return ((action["TargetGroupArn"], 1),)
        pairs = ((g.get("TargetGroupArn", ""), g.get("Weight", 1)) for g in groups)
        return tuple(sorted(pairs))
    return ()


def _condition(row: "RuleConditionOutputTypeDef") -> Condition:
    """Read either of two forms: a config for the field, or plain values."""
    field = row.get("Field", "")
    header = row.get("HttpHeaderConfig", {})
    told = (
        header.get("Values", [])
        or row.get("HostHeaderConfig", {}).get("Values", [])
        or row.get("PathPatternConfig", {}).get("Values", [])
        or row.get("SourceIpConfig", {}).get("Values", [])
        or row.get("Values", [])
    )
    values = [Nonce(value) for value in told] if field == HEADER else told
    return Condition(field=field, values=values, name=header.get("HttpHeaderName", ""))


def conditions_for(rule: NewRule) -> "list[RuleConditionTypeDef]":
    """Return the conditions as CreateRule wants them."""
    return [_request(condition) for condition in rule.conditions]


def _request(condition: Condition) -> "RuleConditionTypeDef":
    values = [str(value) for value in condition.values]
    match condition.field:
        case "http-header":
            return {
                "Field": HEADER,
                "HttpHeaderConfig": {
                    "HttpHeaderName": condition.name,
                    "Values": values,
                },
            }
        case "host-header":
            return {"Field": HOST, "HostHeaderConfig": {"Values": values}}
        case "source-ip":
            return {"Field": SOURCE, "SourceIpConfig": {"Values": values}}
        case _:
            return {"Field": PATH, "PathPatternConfig": {"Values": values}}


def actions_for(shares: tuple[tuple[str, int], ...]) -> "list[ActionTypeDef]":
    """Return the one action of a rule: forward by weight, or say that nobody serves."""
    if not shares:
        nobody: ActionTypeDef = {
            "Type": "fixed-response",
            "FixedResponseConfig": {"StatusCode": "503", "ContentType": "text/plain"},
        }
        return [nobody]
    groups: list[TargetGroupTupleTypeDef] = [
        {"TargetGroupArn": arn, "Weight": weight} for arn, weight in shares
    ]
    return [{"Type": "forward", "ForwardConfig": {"TargetGroups": groups}}]
