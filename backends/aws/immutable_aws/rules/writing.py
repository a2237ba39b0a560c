"""What is to be done to a listener's rules: from a reading and a wish to requests. Pure.

write    a rule in the slot after the one that was expected; then one look
             mine is on top, or the next one says it followed mine: it is served
             another is on top and did not follow mine: it landed below, Conflict
attach   a rule with a nonce; detach: all rules that name the group, oldest first
"""

from datetime import datetime, timedelta

from immutable.errors import Conflict, NotEnough, Unsupported
from immutable.model import (
    FleetName,
    LedgerId,
    Routing,
    Version,
    digest_of,
)
from immutable_aws.errors import NAME
from immutable_aws.rules.rule import SOURCE, Condition, NewRule, Rule
from immutable_aws.rules.slots import (
    AFTER,
    FLEET,
    LEDGER,
    PREVIEW,
    ROLE,
    SERVICE,
    WRITE,
    WRITTEN,
    Layout,
    Reading,
)

# https://docs.aws.amazon.com/elasticloadbalancing/latest/application/load-balancer-limits.html
MOST_GROUPS = 5
_KEPT = 2
_MANY = 8
_RENUMBER = (
    "when nobody deploys, call renumber() of the switch: docs/reference/aws-switch.md"
)


def moved(operation: str, resource: str, what: str) -> Conflict:
    """Return the error of a write that somebody else overtook."""
    return Conflict(
        what,
        hint="read the switch again and decide anew",
        operation=operation,
        resource=resource,
        backend=NAME,
    )


def next_rule(
    reading: Reading,
    routing: Routing,
    *,
    owner: LedgerId,
    expected: Version,
    write: str,
    now: datetime,
) -> NewRule:
    """Return the rule that makes a routing served.

    Args:
        reading: of the version that is expected.
        routing: what is to be served.
        owner: the writer's ledger.
        expected: the version that the writer has read.
        write: names this write; no other ever has it.
        now: the time, for `renumbering`.

    Raises:
        Conflict: the version is another, or a fleet has no place.
        Unsupported: more fleets than a rule can name.
        NotEnough: the band is used up.
        Taken: see `Reading.check`.
    """
    reading.check()
    layout = reading.layout
    if reading.version != expected:
        what = f"the version is {reading.version}, not {expected}"
        raise moved("switch.write", layout.service, what)
    named = {WRITE: write, WRITTEN: str(int(now.timestamp()))}
    return NewRule(
        priority=_next_slot(reading),
        conditions=layout.conditions,
        shares=_shares(reading, routing),
        tags=_tags(layout, owner, "routing", named | _told(reading, routing)),
    )


def _told(reading: Reading, routing: Routing) -> dict[str, str]:
    """Return what tags say of a routing: after which other it comes, and who is previewed."""
    after = (reading.top.tag(WRITE) or "") if reading.top else ""
    return {AFTER: after, **({PREVIEW: routing.preview} if routing.preview else {})}


def _next_slot(reading: Reading) -> int:
    layout, number = reading.layout, reading.number + 1
    if number > layout.band.slots:
        raise NotEnough(
            f"all {layout.band.slots} slots of {layout.service} were used",
            hint=_RENUMBER,
            operation="switch.write",
            resource=layout.service,
            backend=NAME,
        )
    return layout.band.slot(number)


def is_served(reading: Reading, mine: Rule) -> bool | None:
    """Return whether a write was ever served; None: the reading does not show it yet.

    A reading that shows the rule was taken after it landed. The rule above it names the
    write that it followed; where that one has gone, so had the slot when mine came: older
    slots are deleted first.
    """
    if all(rule.arn != mine.arn for rule in reading.slots):
        return None
    above = reading.at(mine.priority - 1)
    if reading.top is not None and reading.top.arn == mine.arn:
        return True
    return above is not None and above.tag(AFTER) == mine.tag(WRITE)


def place_rule(
    reading: Reading, fleet: FleetName, group: str, *, owner: LedgerId, nonce: str
) -> NewRule:
    """Return the rule that has a fleet's group probed, and reached by who knows the nonce.

    "The load balancer only checks targets of a group that is named in a rule": until then
    they are ``unused``. Two attachers of one fleet may make two such rules: both are gone
    after `leaving`.

    Raises:
        NotEnough: all places are taken.
    """
    layout = reading.layout
    taken = {r.priority for r in (*reading.places, *reading.strangers)}
    order = layout.band.places
    start = int(digest_of("place", fleet)[:8], 16) % len(order)
    free = next((p for p in (*order[start:], *order[:start]) if p not in taken), None)
    if free is None:
        message = f"all {len(order)} places of {layout.service} are taken"
        raise NotEnough(message, hint="detach fleets", backend=NAME)
    return NewRule(
        priority=free,
        conditions=(
            layout.header(nonce),
            Condition(field=SOURCE, values=layout.sources),
        ),
        shares=((group, 1),),
        tags=_tags(layout, owner, "place", {FLEET: fleet}),
    )


def guard_rule(layout: Layout, *, owner: LedgerId) -> NewRule:
    """Return the rule that answers 503 to a preview which no place has taken.

    Without it a wrong nonce, or a right one from elsewhere, would reach production: a
    validator would judge the wrong release.
    """
    return NewRule(
        priority=layout.band.guard,
        conditions=(layout.header("*"),),
        tags=_tags(layout, owner, "guard", {}),
    )


def leaving(reading: Reading, fleet: FleetName) -> tuple[Rule, ...]:
    """Return the rules to be deleted, in this order, so that nothing names a fleet.

    With the slots that name it go all older ones, and those beyond the two newest.

    Raises:
        Conflict: requests can reach the fleet.
    """
    if reading.routing.mentions(fleet):
        what = f"fleet {fleet} has traffic, or is previewed"
        raise moved("switch.detach", fleet, what)
    group = reading.groups.get(fleet)
    if group is None:
        return ()
    naming = (i for i, rule in enumerate(reading.slots) if group in dict(rule.shares))
    slots = tuple(reversed(reading.slots[min((*naming, _KEPT)) :]))
    places = reading.place_of(fleet)
    last = len(places) == len(reading.places) and not reading.routing.weights
    guard = (reading.guard,) if last and reading.guard else ()
    # the place last: as long as it is there, this is called again
    return (*slots, *guard, *places)


def surplus(reading: Reading) -> tuple[Rule, ...]:
    """Return old slots, the oldest first, where many have gathered."""
    many = len(reading.slots) > _MANY
    return tuple(reversed(reading.slots[_KEPT:])) if many else ()


def renumbering(reading: Reading, *, now: datetime, late: timedelta) -> Rule | None:
    """Return the rule that is to move to the first slot, all others being deleted.

    Raises:
        Conflict: the switch was written so lately that something may be in flight. What
            was sent under the old numbers would land on top of the new ones.
    """
    top = reading.top
    written = int(top.tag(WRITTEN) or 0) if top else 0
    if now.timestamp() - written < late.total_seconds():
        message = "the switch was written a short while ago"
        raise moved("switch.renumber", reading.layout.service, message)
    return top


def _shares(reading: Reading, routing: Routing) -> tuple[tuple[str, int], ...]:
    named = [fleet for fleet, _ in routing.weights]
    preview = [routing.preview] if routing.preview else []
    if strangers := sorted({*named, *preview} - set(reading.groups)):
        what = f"{', '.join(strangers)}: no place here"
        raise moved("switch.write", reading.layout.service, what)
    if len(named) > MOST_GROUPS:
        message = f"{len(named)} fleets with weight, and a rule takes {MOST_GROUPS}"
        raise Unsupported(message, backend=NAME)
    return tuple(
        sorted((reading.groups[fleet], weight) for fleet, weight in routing.weights)
    )


def _tags(
    layout: Layout, owner: LedgerId, role: str, more: dict[str, str]
) -> tuple[tuple[str, str], ...]:
    return tuple(
        sorted({SERVICE: layout.service, LEDGER: owner, ROLE: role, **more}.items())
    )
