"""A listener's priorities as slots, which are fencing tokens: what is read from them. Pure.

Rules are asked "in priority order, from the lowest value to the highest value", and "a
listener can't have multiple rules with the same priority" (botocore's model of
``elbv2:CreateRule``, which declares `PriorityInUse`). So the n-th routing of a service is
a rule of its own, at ``band.last - n``:

    first … +98   a place for each attached fleet: a rule with its nonce, for previews
    first + 99    the guard: a preview with a wrong nonce is nobody's business
    …
    last - 2      the 2nd routing: it serves
    last - 1      the 1st routing: nobody asks it any more

Making the rule is the atomic switch. Of two writers who have read the same version one
finds the priority in use. A rule that is made late lands below the newer ones, so that
nobody asks it. What decides upon this is in `writing`.
"""

from collections.abc import Iterable
from functools import cached_property
from typing import ClassVar

import attrs

from immutable.errors import InvalidInput, Taken
from immutable.model import (
    WHOLE,
    FleetName,
    LedgerId,
    Routing,
    ServiceName,
    Version,
)
from immutable_aws.errors import NAME
from immutable_aws.rules.rule import HEADER, Condition, Nonce, Rule, fleet_of

SERVICE, LEDGER = "immutable-service", "immutable-ledger"
ROLE, FLEET = "immutable-role", "immutable-fleet"
PREVIEW, WRITE, AFTER = "immutable-preview", "immutable-write", "immutable-after"
WRITTEN = "immutable-written"
PREVIEW_HEADER = "X-Immutable-Preview"
_PLACES = 99
_LEAST = 1000


@attrs.frozen(kw_only=True)
class Band:
    """Priorities of one service: places, the guard, then slots from the last one down."""

    HIGHEST: ClassVar[int] = 50_000

    first: int
    last: int

    def __attrs_post_init__(self) -> None:
        if not (self.first >= 1 and self.last <= self.HIGHEST) or (
            self.last - self.first < _LEAST
        ):
            raise InvalidInput(
                f"the band {self.first}-{self.last} is too small, or out of range",
                hint=f"priorities are 1 to {self.HIGHEST}; give it {_LEAST} at least",
            )

    def __contains__(self, priority: int) -> bool:
        return self.first <= priority <= self.last

    @property
    def places(self) -> range:
        """Return the priorities of places."""
        return range(self.first, self.first + _PLACES)

    @property
    def guard(self) -> int:
        """Return the guard's priority."""
        return self.first + _PLACES

    @property
    def slots(self) -> int:
        """Return how many routings there can be."""
        return self.last - self.guard - 1

    def slot(self, number: int) -> int:
        """Return the priority of the n-th routing."""
        return self.last - number

    def number(self, rule: Rule) -> int:
        """Return which routing a rule in a slot is."""
        return self.last - rule.priority


@attrs.frozen(kw_only=True)
class Layout:
    """What of a listener is one service's."""

    service: ServiceName
    band: Band
    conditions: tuple[Condition, ...]
    """Of the requests that it gets."""
    sources: tuple[str, ...]
    """Networks from which previews are allowed."""

    def header(self, value: str) -> Condition:
        """Return the condition of a preview: the header is this service's alone.

        Headers are compared without case, and a dot is in no service's name.
        """
        values = [Nonce(f"{self.service}.{value}")]
        return Condition(field=HEADER, name=PREVIEW_HEADER, values=values)


@attrs.frozen(kw_only=True)
class Reading:
    """The rules of one listener, sorted for one service."""

    layout: Layout
    slots: tuple[Rule, ...]
    """The newest first: it serves."""
    places: tuple[Rule, ...]
    guard: Rule | None
    strangers: tuple[Rule, ...]
    """In the band, and not this service's."""
    total: int
    """How many rules the listener has, not counting the default one."""

    @property
    def top(self) -> Rule | None:
        """Return the rule that serves."""
        return self.slots[0] if self.slots else None

    @property
    def number(self) -> int:
        """Return how many routings were written, up to the one that serves."""
        return self.layout.band.number(self.slots[0]) if self.slots else 0

    @property
    def version(self) -> Version:
        """Return the version: the number of the routing that serves."""
        return Version(str(self.number))

    @property
    def routing(self) -> Routing:
        """Return what is served.

        Raises:
            Taken: somebody has changed the rule by hand.
        """
        if self.top is None:
            return Routing()
        shares = self.top.shares
        # of one group any weight is the whole
        whole = tuple((fleet_of(arn), WHOLE) for arn, _ in shares[:1])
        several = tuple((fleet_of(arn), weight) for arn, weight in shares)
        preview = self.top.tag(PREVIEW)
        try:
            return Routing(
                weights=several if len(shares) > 1 else whole,
                preview=FleetName(preview) if preview else None,
            )
        except InvalidInput as exc:
            raise _strange(self.top, "has weights that do not sum to 100") from exc

    @property
    def owner(self) -> LedgerId | None:
        """Return the ledger that is obeyed: the latest writer's, or who has a place."""
        ours = next(iter((*self.slots, *self.places)), None)
        ledger = ours.tag(LEDGER) if ours else None
        return LedgerId(ledger) if ledger else None

    @cached_property
    def groups(self) -> dict[FleetName, str]:
        """Return the target group of each fleet that any rule names: its place."""
        named = (arn for rule in (*self.slots, *self.places) for arn, _ in rule.shares)
        return {fleet_of(arn): arn for arn in sorted(named)}

    def place_of(self, fleet: FleetName) -> tuple[Rule, ...]:
        """Return the rules of a fleet's place: one, or two of attachers at once."""
        return tuple(rule for rule in self.places if rule.tag(FLEET) == fleet)

    @property
    def preview_header(self) -> tuple[str, str]:
        """Return what opens the preview route; where nobody is previewed, nothing does."""
        fleet = self.routing.preview
        places = self.place_of(fleet) if fleet else ()
        values = (v for p in places for c in p.conditions for v in c.values)
        nonces = (value for value in values if isinstance(value, Nonce))
        return PREVIEW_HEADER, next(nonces, Nonce(f"{self.layout.service}.none"))

    def at(self, priority: int) -> Rule | None:
        """Return the rule with a priority, if it is this service's."""
        return next((rule for rule in self._ours if rule.priority == priority), None)

    def with_rule(self, rule: Rule) -> "Reading":
        """Return what would have been read with a rule of this service more."""
        others = tuple(r for r in self._ours if r.arn != rule.arn)
        more = len(others) + 1 - len(self._ours)
        return self._having((*others, rule), total=self.total + more)

    def without(self, rule: Rule) -> "Reading":
        """Return what would have been read without a rule of this service."""
        staying = tuple(r for r in self._ours if r.arn != rule.arn)
        gone = len(self._ours) - len(staying)
        return self._having(staying, total=self.total - gone)

    def check(self) -> None:
        """Refuse what somebody else holds.

        Raises:
            Taken: a rule in the band is not this service's, or its requests are others.
        """
        if self.strangers:
            raise _strange(self.strangers[0], "is in the band and not this service's")
        if self.top and self.top.conditions != self.layout.conditions:
            raise _strange(self.top, "takes other hosts and paths than the URL says")

    @property
    def rules(self) -> tuple[Rule, ...]:
        """Return all rules in the band."""
        return (*self._ours, *self.strangers)

    @property
    def _ours(self) -> tuple[Rule, ...]:
        return (*self.slots, *self.places, *((self.guard,) if self.guard else ()))

    def _having(self, ours: Iterable[Rule], *, total: int) -> "Reading":
        found = sort_rules((*ours, *self.strangers), self.layout)
        return attrs.evolve(found, total=total)


def sort_rules(rules: Iterable[Rule], layout: Layout) -> Reading:
    """Return a listener's rules, without the default one, sorted for a service."""
    listed = sorted(rules, key=lambda rule: rule.priority)
    inside = [rule for rule in listed if rule.priority in layout.band]
    ours = [rule for rule in inside if rule.tag(SERVICE) == layout.service]
    guard, places = layout.band.guard, layout.band.places
    return Reading(
        layout=layout,
        slots=tuple(rule for rule in ours if rule.priority > guard),
        places=tuple(rule for rule in ours if rule.priority in places),
        guard=next((rule for rule in ours if rule.priority == guard), None),
        strangers=tuple(rule for rule in inside if rule not in ours),
        total=len(listed),
    )


def _strange(rule: Rule, what: str) -> Taken:
    return Taken(
        f"the rule at priority {rule.priority} {what}",
        hint="give each service a band of its own, and leave its rules alone; "
        "a change of hosts or paths needs shut_down() first",
        operation="switch.read",
        resource=rule.arn,
        backend=NAME,
    )
