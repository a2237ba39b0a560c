"""Calls on the rules of one listener: read them all, make one, delete one."""

from collections.abc import Iterable
from typing import TYPE_CHECKING

from immutable.errors import Ambiguous, BackendError, Unavailable
from immutable_aws.errors import NAME, said
from immutable_aws.rules.listening import Listener
from immutable_aws.rules.rule import (
    NewRule,
    Rule,
    actions_for,
    conditions_for,
    rule_from,
)
from immutable_aws.rules.slots import WRITE, Layout, Reading, sort_rules
from immutable_aws.rules.writing import moved
from immutable_aws.session import Aws

if TYPE_CHECKING:
    from mypy_boto3_elbv2.type_defs import RuleTypeDef, TagTypeDef

_PAGE = 400
"""The most that DescribeRules returns at once."""
_TAGGED = 20
"""The most resources that DescribeTags takes at once."""
_QUOTA = "rules-per-application-load-balancer"
_DEFAULT_QUOTA = 100
_FULL = 0.8
_GONE = "RuleNotFound"


class Rulebook:
    """The rules of a service's listener, by calls.

    A rule's tags are written with it and never changed, so that they are read once: a
    reading is one call, and one more where there are rules that this object has not seen.
    """

    def __init__(self, aws: Aws, listener: Listener, layout: Layout) -> None:
        self._aws = aws
        self._listener = listener
        self.layout = layout
        self._tags: dict[str, dict[str, str]] = {}

    def prepare(self) -> None:
        """Make what asks: that takes longer than asking, and makes no answer older."""
        _ = self._aws.reads.elbv2

    def read(self) -> Reading:
        """Return all rules of the listener, sorted.

        Raises:
            InvalidInput: there is no such listener.
            Unavailable: a rule went away between two calls; to be repeated.
            Unsupported: the listener has no rules.
        """
        listener = self._listener.with_rules()
        with self._listener.expected():
            found = self._rows(listener)
        rows = [row for row in found if not row.get("IsDefault")]
        inside = [
            row["RuleArn"] for row in rows if int(row["Priority"]) in self.layout.band
        ]
        self._learn(inside)
        return sort_rules(
            [rule_from(row, self._tags.get(row["RuleArn"], {})) for row in rows],
            self.layout,
        )

    def names(self, group: str, *, but: Iterable[Rule]) -> bool:
        """Look whether a rule in the band names a group, apart from some.

        Raises:
            As `read`.
        """
        apart = {rule.arn for rule in but}
        return any(
            group in dict(rule.shares)
            for rule in self.read().rules
            if rule.arn not in apart
        )

    def count(self, listeners: Iterable[str]) -> int:
        """Return how many rules other listeners have, without their default ones.

        One call for each. One that has gone meanwhile has none.
        """
        return sum(map(self._count, listeners))

    def make(self, new: NewRule, operation: str) -> Rule:
        """Make a rule, and return it.

        Raises:
            Conflict: its priority is in use, or a group that it names is gone.
            Ambiguous: it may have been made.
        """
        arn = self._listener.with_rules()
        try:
            answer = self._aws.change(
                "elbv2.CreateRule",
                f"priority {new.priority}",
                lambda: self._aws.changes.elbv2.create_rule(
                    ListenerArn=arn,
                    Priority=new.priority,
                    Conditions=conditions_for(new),
                    Actions=actions_for(new.shares),
                    Tags=_tag_list(new),
                ),
            )
        except BackendError as exc:
            return self._met(exc, new, operation)
        return self._made(new, answer["Rules"][0]["RuleArn"])

    def delete(self, rule: Rule) -> None:
        """Delete a rule; one that is gone is no error."""
        try:
            self._aws.change(
                "elbv2.DeleteRule",
                f"priority {rule.priority}",
                lambda: self._aws.changes.elbv2.delete_rule(RuleArn=rule.arn),
            )
        except BackendError as exc:
            if said(exc) != _GONE:
                raise

    def move(self, rule: Rule, priority: int) -> None:
        """Give a rule another priority."""
        wanted = [{"RuleArn": rule.arn, "Priority": priority}]
        self._aws.change(
            "elbv2.SetRulePriorities",
            f"priority {priority}",
            lambda: self._aws.changes.elbv2.set_rule_priorities(
                RulePriorities=wanted  # type: ignore[arg-type]  # a literal of the same shape
            ),
        )

    def most(self, wanted: int) -> int:
        """Return how many rules a load balancer may have; asked only where it matters."""
        if wanted <= _DEFAULT_QUOTA * _FULL:
            return _DEFAULT_QUOTA
        limits = self._aws.reads.elbv2.describe_account_limits
        rows = self._aws.read("elbv2.DescribeAccountLimits", _QUOTA, limits)["Limits"]
        found = (int(row.get("Max", 0)) for row in rows if row.get("Name") == _QUOTA)
        return next(found, _DEFAULT_QUOTA)

    def _met(self, error: BackendError, new: NewRule, operation: str) -> Rule:
        """Say what a refusal to make a rule means."""
        code, what = said(error), f"priority {new.priority}"
        if code == "TargetGroupNotFound":
            raise moved(operation, what, "a fleet has no place here") from error
        if code != "PriorityInUse":
            raise error
        holder = self._holder(new, operation, error)
        write = new.tag(WRITE)
        if write is not None and holder.tag(WRITE) == write:
            # something on the way has sent it twice
            return holder
        raise moved(operation, what, f"{what} is taken: the switch moved") from error

    def _holder(self, new: NewRule, operation: str, error: BackendError) -> Rule:
        try:
            reading = self.read()
        except BackendError as exc:
            raise _unknown(new, operation) from exc
        holders = [*reading.strangers, *filter(None, [reading.at(new.priority)])]
        found = next((h for h in holders if h.priority == new.priority), None)
        if found is None:
            raise _unknown(new, operation) from error
        return found

    def _made(self, new: NewRule, arn: str) -> Rule:
        self._tags[arn] = dict(new.tags)
        return Rule(
            arn=arn,
            priority=new.priority,
            conditions=new.conditions,
            shares=new.shares,
            tags=new.tags,
        )

    def _rows(self, listener: str) -> "list[RuleTypeDef]":
        pages = self._aws.reads.elbv2.get_paginator("describe_rules")
        settings = {"PageSize": _PAGE}
        return self._aws.read(
            "elbv2.DescribeRules",
            listener,
            lambda: [
                row
                for page in pages.paginate(
                    ListenerArn=listener,
                    PaginationConfig=settings,  # type: ignore[arg-type]  # as above
                )
                for row in page["Rules"]
            ],
        )

    def _count(self, listener: str) -> int:
        try:
            rows = self._rows(listener)
        except BackendError as exc:
            if said(exc) != "ListenerNotFound":
                raise
            return 0
        return sum(not row.get("IsDefault") for row in rows)

    def _learn(self, arns: list[str]) -> None:
        """Read the tags of rules that were not seen before, and forget what is gone."""
        known = self._tags
        # what has no tags may only not show them yet
        unknown = [arn for arn in arns if not known.get(arn)]
        fresh: dict[str, dict[str, str]] = {}
        for start in range(0, len(unknown), _TAGGED):
            fresh |= self._described(unknown[start : start + _TAGGED])
        self._tags = {arn: known.get(arn) or fresh.get(arn, {}) for arn in arns}

    def _described(self, arns: list[str]) -> dict[str, dict[str, str]]:
        try:
            answer = self._aws.read(
                "elbv2.DescribeTags",
                arns[0],
                lambda: self._aws.reads.elbv2.describe_tags(ResourceArns=arns),
            )
        except BackendError as exc:
            if said(exc) != _GONE:
                raise
            message = "the rules changed while they were read"
            raise Unavailable(message, retryable=True, backend=NAME) from exc
        rows = answer["TagDescriptions"]
        return {
            row["ResourceArn"]: {t["Key"]: t.get("Value", "") for t in row["Tags"]}
            for row in rows
        }


def _tag_list(new: NewRule) -> "list[TagTypeDef]":
    return [{"Key": key, "Value": value} for key, value in new.tags]


def _unknown(new: NewRule, operation: str) -> Ambiguous:
    return Ambiguous(
        f"priority {new.priority} is taken, by whom could not be read",
        hint="read the switch to know",
        operation=operation,
        backend=NAME,
    )
