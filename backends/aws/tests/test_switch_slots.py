"""The switch's pure part against a model of a listener's rules."""

import itertools
from datetime import timedelta

import attrs
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from rule_lists import (
    BLUE,
    GREEN,
    LAYOUT,
    LEDGER,
    NOW,
    Listener,
    Writer,
    group_of,
    rule_for,
)

from immutable.errors import Conflict, InvalidInput, NotEnough, Taken, Unsupported
from immutable.model import FleetName, Routing, Version
from immutable_aws.rules import writing
from immutable_aws.rules.rule import HEADER, PATH, Condition, Nonce, Rule, rule_from
from immutable_aws.rules.slots import AFTER, SERVICE, WRITE, WRITTEN, Band, sort_rules

FLEETS = [FleetName(f"shop-v{n}-{n:06d}") for n in range(5)]


def routings(fleets):
    """Draw routings among some fleets."""

    def build(parts, preview):
        names, cuts = parts
        bounds = [0, *sorted(cuts), 100]
        weights = [b - a for a, b in itertools.pairwise(bounds)]
        return Routing(weights=dict(zip(names, weights, strict=True)), preview=preview)

    parts = st.integers(1, len(fleets)).flatmap(
        lambda n: st.tuples(
            st.permutations(fleets).map(lambda names: names[:n]),
            st.lists(st.integers(0, 100), min_size=n - 1, max_size=n - 1),
        )
    )
    preview = st.none() | st.sampled_from(fleets)
    return st.builds(build, parts, preview) | st.builds(Routing, preview=preview)


def attached(*fleets):
    """Return a listener with places for fleets."""
    listener = Listener()
    for fleet in fleets:
        listener.attach(fleet)
    return listener


@given(routing=routings(FLEETS))
def test_what_is_written_is_what_is_read(routing):
    """Every routing that can be written is read again, with the next version."""
    listener = attached(*FLEETS)
    before = listener.read()
    listener.make(rule_for(before, routing, write="w"))
    after = listener.read()
    assert after.routing == routing
    assert (before.version, after.version) == ("0", "1")
    assert after.owner == LEDGER


def test_a_switch_that_was_never_written_is_empty():
    """No rules at all, or only other people's outside the band, are an empty switch."""
    other = Rule(arn="r", priority=9, conditions=(), tags=())
    reading = sort_rules([other], LAYOUT)
    reading.check()
    assert (reading.routing, reading.version, reading.owner) == (Routing(), "0", None)
    assert reading.groups == {}


# An idle fleet that is detached and attached again has older slots cleared away.
BUSY, IDLE = FLEETS[:2], FLEETS[2]
steps = st.tuples(
    st.sampled_from(
        ["write", "write", "hold", "send", "land", "land", "look", "clear", "detach"]
    ),
    st.integers(0, 1),
    st.integers(0, 4),
    st.sampled_from([Routing(weights={fleet: 100}) for fleet in BUSY]),
)


@settings(max_examples=300)
@given(schedule=st.lists(steps, min_size=8, max_size=30))
def test_no_schedule_lets_an_older_routing_serve(schedule):
    """What serves only gets newer, and every write that never served is seen to be lost.

    Two writers, whose rules land late or never; of two with one version one is served.
    """
    listener = attached(*BUSY, IDLE)
    writers = [Writer(name=str(n), listener=listener) for n in range(2)]
    served: list[str] = []
    for what, who, which, routing in schedule:
        do(what, writers[who], which, routing)
        rule = listener.serving
        if rule is not None and rule.arn not in served:
            served.append(rule.arn)
            numbers = [LAYOUT.band.number(rule), *listener.served]
            assert max(numbers) == numbers[0] not in numbers[1:]
            listener.served.append(numbers[0])
    for writer in writers:
        writer.look()
        for rule, verdict in writer.verdicts:
            assert verdict == (rule.arn in served)


def do(what, writer, which, routing):
    """Let a writer take one step."""
    listener = writer.listener
    if what in {"write", "hold"}:
        writer.read()
    if what in {"write", "hold", "send"}:
        writer.send(routing)
    if what == "write" and writer.sent:
        writer.land(-1)
    if what == "land" and writer.sent:
        writer.land(which)
    if what in {"write", "look"}:
        writer.look()
    if what in {"clear", "detach"} and writer.reading is not None:
        fleet = IDLE if what == "clear" else BUSY[which % 2]
        reading = listener.read() if what == "clear" else writer.reading
        detach(listener, reading, fleet)
        if fleet not in listener.read().groups:
            listener.attach(fleet)


def detach(listener, reading, fleet):
    """Detach upon a reading, however old it is."""
    try:
        rules = writing.leaving(reading, fleet)
    except Conflict:
        return
    listener.delete(*rules)
    listener.delete_group(fleet)


@given(schedule=st.lists(st.tuples(st.integers(0, 1), st.integers(0, 3)), max_size=40))
def test_what_serves_is_never_deleted(schedule):
    """Detaching upon old readings leaves the rule that serves, and the groups it names."""
    listener = attached(*FLEETS[:4])
    old = listener.read()
    for number, (how, which) in enumerate(schedule):
        fleet = FLEETS[which]
        if how and group_of(fleet) in listener.groups:
            routing = Routing(weights={fleet: 100})
            if fleet in listener.read().groups:
                listener.make(rule_for(listener.read(), routing, write=str(number)))
        else:
            before = listener.serving
            detach(listener, old if which % 2 else listener.read(), fleet)
            assert listener.serving == before
        if serving := listener.serving:
            assert {arn for arn, _ in serving.shares} <= listener.groups
            assert {f for f, _ in listener.read().routing.weights} <= set(
                listener.read().groups
            )


def test_of_two_writers_one_finds_the_slot_taken():
    """The second rule of one version cannot be made."""
    listener = attached(BLUE, GREEN)
    reading = listener.read()
    blue = rule_for(reading, Routing(weights={BLUE: 100}), write="a")
    green = rule_for(reading, Routing(weights={GREEN: 100}), write="b")
    assert blue.priority == green.priority == LAYOUT.band.last - 1
    assert listener.make(blue) is not None
    assert listener.make(green) is None


def test_a_late_rule_lands_below_and_is_known_to_be_lost():
    """A slot that was cleared away can be made again: nobody is served by it."""
    listener = attached(BLUE, GREEN)
    late = rule_for(listener.read(), Routing(weights={GREEN: 100}), write="late")
    for number in range(3):
        new = rule_for(listener.read(), Routing(weights={BLUE: 100}), write=str(number))
        listener.make(new)
    listener.delete(listener.rules[late.priority])
    landed = listener.make(late)
    assert landed is not None
    assert listener.read().routing == Routing(weights={BLUE: 100})
    assert writing.is_served(listener.read(), landed) is False


def test_a_write_that_was_followed_was_served():
    """That somebody has written since, upon what this one wrote, is no conflict."""
    listener = attached(BLUE)
    mine = listener.make(rule_for(listener.read(), Routing(), write="mine"))
    next_one = rule_for(listener.read(), Routing(), write="next")
    listener.make(next_one)
    assert next_one.tag(AFTER) == mine.tag(WRITE)
    assert writing.is_served(listener.read(), mine) is True


def test_an_old_reading_proves_nothing():
    """A reading that does not show the rule says neither that it serves nor that it does not."""
    listener = attached(BLUE)
    before = listener.read()
    mine = listener.make(rule_for(before, Routing(), write="mine"))
    assert writing.is_served(before, mine) is None


def test_a_write_upon_another_version_is_refused():
    """What was read must be what is there."""
    listener = attached(BLUE)
    routing = Routing(weights={BLUE: 100})
    listener.make(rule_for(listener.read(), routing, write="a"))
    for version in ("0", "2", "no-such-version"):
        with pytest.raises(Conflict):
            rule_for(listener.read(), routing, expected=Version(version), write="b")


@pytest.mark.parametrize(
    "routing", [Routing(weights={GREEN: 100}), Routing(preview=GREEN)]
)
def test_a_fleet_without_a_place_is_refused(routing):
    """Neither traffic nor preview go where no rule of ours leads."""
    with pytest.raises(Conflict, match="no place"):
        rule_for(attached(BLUE).read(), routing, write="w")


def test_a_rule_names_five_groups():
    """More would be refused by AWS, whose error says less."""
    fleets = [FleetName(f"shop-v{n}-000000") for n in range(6)]
    weights = dict.fromkeys(fleets, 16) | {fleets[0]: 20}
    with pytest.raises(Unsupported, match="6 fleets"):
        rule_for(attached(*fleets).read(), Routing(weights=weights), write="w")


def test_a_band_that_is_used_up_says_what_to_do():
    """The last slot is followed by an error that names renumber()."""
    band = Band(first=1, last=1100)
    listener = Listener(layout=attrs.evolve(LAYOUT, band=band))
    new = rule_for(listener.read(), Routing(), write="w")
    listener.make(attrs.evolve(new, priority=band.slot(band.slots)))
    assert band.slot(band.slots) == band.guard + 1
    with pytest.raises(NotEnough, match="slots") as caught:
        rule_for(listener.read(), Routing(), write="x")
    assert "renumber()" in caught.value.hint


def test_a_band_is_not_begun_anew_while_something_may_be_in_flight():
    """Within the lateness of a write it is refused; afterwards the serving rule moves."""
    listener = attached(BLUE)
    new = rule_for(listener.read(), Routing(weights={BLUE: 100}), write="w")
    top = listener.make(new)
    assert top.tag(WRITTEN) == str(int(NOW.timestamp()))
    late = timedelta(minutes=6)
    with pytest.raises(Conflict, match="a short while ago"):
        writing.renumbering(listener.read(), now=NOW + late / 2, late=late)
    assert writing.renumbering(listener.read(), now=NOW + late, late=late) == top


def test_somebody_elses_rule_in_the_band_is_taken():
    """Also one that another service of ours has put there."""
    for tags in ((), ((SERVICE, "other"),)):
        rule = Rule(arn="r", priority=20_000, conditions=(), tags=tags)
        with pytest.raises(Taken, match="20000"):
            sort_rules([rule], LAYOUT).check()


def test_other_hosts_than_those_that_serve_are_refused():
    """A new rule that took fewer requests would leave the rest to the old release."""
    listener = attached(BLUE)
    listener.make(rule_for(listener.read(), Routing(weights={BLUE: 100}), write="w"))
    narrow = (Condition(field=PATH, values=["/api/*"]),)
    listener.layout = attrs.evolve(LAYOUT, conditions=narrow)
    with pytest.raises(Taken, match="hosts and paths"):
        listener.read().check()


def test_weights_that_somebody_has_changed_are_seen():
    """A rule that was edited by hand is read as it is, or refused where it is no routing."""
    listener = attached(BLUE, GREEN)
    made = listener.make(rule_for(listener.read(), Routing(), write="w"))
    for shares, seen in (
        (((group_of(GREEN), 7),), {GREEN: 100}),
        (((group_of(BLUE), 50), (group_of(GREEN), 50)), {BLUE: 50, GREEN: 50}),
    ):
        listener.rules[made.priority] = attrs.evolve(made, shares=shares)
        assert listener.read().routing == Routing(weights=seen)
    odd = ((group_of(BLUE), 1), (group_of(GREEN), 2))
    listener.rules[made.priority] = attrs.evolve(made, shares=odd)
    with pytest.raises(Taken, match="weights"):
        _ = listener.read().routing


def test_a_fleet_leaves_with_its_older_rules():
    """All rules that name it go, and all older ones; the newest stays, the guard with it."""
    listener = attached(BLUE, GREEN)
    listener.make(writing.guard_rule(LAYOUT, owner=LEDGER))
    for number, fleet in enumerate((BLUE, BLUE, GREEN)):
        routing = Routing(weights={fleet: 100})
        listener.make(rule_for(listener.read(), routing, write=str(number)))
    before = listener.read()
    gone = writing.leaving(before, BLUE)
    assert gone == (*reversed(before.slots[1:]), *before.place_of(BLUE))
    listener.delete(*gone)
    assert listener.delete_group(BLUE)
    assert set(listener.read().groups) == {GREEN}


def test_the_last_to_leave_takes_the_guard():
    """Of a first deployment that failed nothing is left."""
    listener = attached(BLUE)
    listener.make(writing.guard_rule(LAYOUT, owner=LEDGER))
    listener.delete(*writing.leaving(listener.read(), BLUE))
    assert listener.rules == {}


def test_a_fleet_that_requests_reach_does_not_leave():
    """Neither with weight, nor on the preview route."""
    for routing in (Routing(weights={BLUE: 100}), Routing(preview=BLUE)):
        listener = attached(BLUE)
        listener.make(rule_for(listener.read(), routing, write="w"))
        with pytest.raises(Conflict):
            writing.leaving(listener.read(), BLUE)


def test_a_fleet_that_serves_is_attached_without_its_place():
    """What a half-done detach has left is still seen to have a place."""
    listener = attached(BLUE)
    listener.make(rule_for(listener.read(), Routing(weights={BLUE: 100}), write="w"))
    listener.delete(*listener.read().place_of(BLUE))
    assert listener.read().groups == {BLUE: group_of(BLUE)}


def test_places_do_not_collide():
    """Each fleet gets a priority of its own, until all are taken."""
    listener = Listener()
    fleets = [FleetName(f"shop-v{n}") for n in range(len(LAYOUT.band.places))]
    for fleet in fleets:
        listener.attach(fleet)
    assert sorted(listener.rules) == list(LAYOUT.band.places)
    with pytest.raises(NotEnough, match="places"):
        listener.attach("one-more")


def test_a_preview_needs_a_nonce_and_a_network():
    """Both conditions are in the rule, and the guard takes every other nonce."""
    listener = attached(BLUE)
    place = listener.read().places[0]
    fields = {c.field: c for c in place.conditions}
    assert fields["source-ip"].values == LAYOUT.sources
    assert fields[HEADER].values == ("shop." + "0" * 32,)
    guard = writing.guard_rule(LAYOUT, owner=LEDGER)
    assert guard.conditions == (LAYOUT.header("*"),)
    assert guard.priority > max(LAYOUT.band.places)
    assert guard.shares == ()


def test_a_nonce_is_shown_to_nobody():
    """Neither a rule nor a condition nor what is read of one says it."""
    secret = "5" * 32
    read = rule_from(
        {
            "RuleArn": "r",
            "Priority": "10000",
            "Conditions": [
                {
                    "Field": HEADER,
                    "HttpHeaderConfig": {"HttpHeaderName": "X", "Values": [secret]},
                }
            ],
            "Actions": [],
        },
        {},
    )
    for thing in (LAYOUT.header(secret), read, Nonce(secret), [Nonce(secret)]):
        assert secret not in repr(thing)


def test_many_old_slots_are_cleared_away():
    """Where nothing ever detaches, the oldest go when there are more than eight."""
    listener = attached(BLUE)
    for number in range(9):
        listener.make(rule_for(listener.read(), Routing(), write=str(number)))
        many = number == 8
        assert len(writing.surplus(listener.read())) == (7 if many else 0)
    priorities = [rule.priority for rule in writing.surplus(listener.read())]
    assert priorities == sorted(priorities, reverse=True)


@pytest.mark.parametrize(("first", "last"), [(0, 5000), (1, 50_001), (1, 500), (9, 8)])
def test_a_band_has_room_and_is_in_range(first, last):
    """What could not work is refused when it is read."""
    with pytest.raises(InvalidInput):
        Band(first=first, last=last)
