"""Rules as moto keeps them, as the tables by which real requests are routed."""

from collections.abc import Iterator
from typing import TYPE_CHECKING

from moto.elbv2.models import FakeAction, FakeRule

from emulators.aws.params import Params
from emulators.plane.routing import Action, Condition, Rule, Share, Table
from emulators.plane.wire import Response

if TYPE_CHECKING:
    from emulators.aws.world import World

_FIELDS = {
    "path-pattern": ("path", "PathPatternConfig"),
    "host-header": ("host", "HostHeaderConfig"),
    "http-request-method": ("method", "HttpRequestMethodConfig"),
    "source-ip": ("source", "SourceIpConfig"),
}


def table_of(world: "World", rules: list[FakeRule]) -> Table:
    """Return the table of a listener's rules, the first to be asked first."""
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
