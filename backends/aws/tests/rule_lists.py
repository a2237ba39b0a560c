"""A model of a listener's rules, for the pure part of the switch: no calls, no time."""

import itertools
from datetime import UTC, datetime

import attrs

from immutable.errors import Conflict
from immutable.model import FleetName, LedgerId, Routing, ServiceName, Version
from immutable_aws.rules import writing
from immutable_aws.rules.rule import PATH, Condition, NewRule, Rule
from immutable_aws.rules.slots import Band, Layout, Reading, sort_rules

SERVICE, LEDGER = ServiceName("shop"), LedgerId("6f3c")
NOW = datetime(2026, 11, 23, tzinfo=UTC)
LAYOUT = Layout(
    service=SERVICE,
    band=Band(first=10_000, last=40_000),
    conditions=(Condition(field=PATH, values=["*"]),),
    sources=("10.0.0.0/8",),
)
BLUE, GREEN = FleetName("shop-v1-aaaaaa"), FleetName("shop-v2-bbbbbb")
_ids = itertools.count()


def group_of(fleet: str) -> str:
    """Return the ARN of a fleet's target group."""
    return f"arn:aws:elasticloadbalancing:eu-west-1:1:targetgroup/{fleet}/0123"


@attrs.define(kw_only=True)
class Listener:
    """What AWS keeps: rules by priority, and which target groups there are."""

    layout: Layout = LAYOUT
    rules: dict[int, Rule] = attrs.field(factory=dict)
    groups: set[str] = attrs.field(factory=set)
    served: list[int] = attrs.field(factory=list)
    """The numbers of the routings that have served."""

    def read(self) -> Reading:
        """Return what DescribeRules tells, sorted."""
        return sort_rules(self.rules.values(), self.layout)

    def make(self, new: NewRule) -> Rule | None:
        """Make a rule as CreateRule does: None where it refuses."""
        gone = {arn for arn, _ in new.shares} - self.groups
        if new.priority in self.rules or gone:
            return None
        fields = {a.name: getattr(new, a.name) for a in attrs.fields(NewRule)}
        made = Rule(arn=f"rule-{next(_ids)}", **fields)
        self.rules[new.priority] = made
        return made

    def delete(self, *rules: Rule) -> None:
        """Delete rules, as far as they are there."""
        for rule in rules:
            if self.rules.get(rule.priority) == rule:
                del self.rules[rule.priority]

    def delete_group(self, fleet: str) -> bool:
        """Delete a group as AWS does: not while a rule names it."""
        group = group_of(fleet)
        if any(group in dict(rule.shares) for rule in self.rules.values()):
            return False
        self.groups.discard(group)
        return True

    def attach(self, fleet: str) -> None:
        """Give a fleet a group and a place."""
        self.groups.add(group_of(fleet))
        new = writing.place_rule(
            self.read(), FleetName(fleet), group_of(fleet), owner=LEDGER, nonce="0" * 32
        )
        assert self.make(new) is not None

    @property
    def serving(self) -> Rule | None:
        """Return the rule that takes an ordinary request: the first that is asked."""
        ordinary = (
            rule
            for _, rule in sorted(self.rules.items())
            if rule.conditions == self.layout.conditions
        )
        return next(ordinary, None)


def rule_for(
    reading: Reading, routing: Routing, *, expected: Version | None = None, write: str
) -> NewRule:
    """Return the rule of a write."""
    return writing.next_rule(
        reading,
        routing,
        owner=LEDGER,
        expected=reading.version if expected is None else expected,
        write=write,
        now=NOW,
    )


@attrs.define(kw_only=True)
class Writer:
    """One who writes as the switch does: read, send, and look, each when it is told to."""

    name: str
    listener: Listener
    reading: Reading | None = None
    sent: list[NewRule] = attrs.field(factory=list)
    """On its way: it lands when it lands."""
    made: list[Rule] = attrs.field(factory=list)
    """Landed, and not looked at yet."""
    verdicts: list[tuple[Rule, bool]] = attrs.field(factory=list)

    def read(self) -> None:
        """Read the rules."""
        self.reading = self.listener.read()

    def send(self, routing: Routing) -> bool:
        """Send a rule, upon what was read; return whether that was possible."""
        if self.reading is None:
            return False
        write = f"{self.name}-{next(_ids)}"
        try:
            self.sent.append(rule_for(self.reading, routing, write=write))
        except Conflict:
            return False
        return True

    def land(self, at: int) -> Rule | None:
        """Let one of the rules on their way arrive; return it where it was made."""
        landed = self.listener.make(self.sent.pop(at % len(self.sent)))
        if landed is not None:
            self.made.append(landed)
        return landed

    def look(self) -> None:
        """Look what became of the rules that were made."""
        for rule in self.made:
            served = writing.is_served(self.listener.read(), rule)
            if served is not None:
                self.verdicts.append((rule, served))
        self.made.clear()
