"""The pure parts by themselves: what a reading shows, and what is no question."""

from datetime import UTC, datetime, timedelta

import attrs
import pytest

from immutable import errors
from immutable.deploying import looking
from immutable.deploying.decide import decide
from immutable.deploying.facts import FleetFact, HealthFact, SwitchFact, VerdictsFact
from immutable.deploying.facts import World as Known
from immutable.deploying.spoiling import shows, spoilt_by
from immutable.deploying.steps import (
    Attach,
    Detach,
    Freeze,
    Join,
    Launch,
    Replace,
    Resize,
    Retire,
    Route,
    Thaw,
)
from immutable.deploying.undoing import undo
from immutable.deploying.view import Scene
from immutable.ledger.state import EMPTY
from immutable.model import (
    Attachment,
    FleetView,
    Health,
    HealthCheck,
    InstanceState,
    Member,
    Outcome,
    Probe,
    Routing,
    SwitchView,
    Version,
)

NOON = datetime(2026, 1, 1, 12, tzinfo=UTC)
FIRST = Version("1")


def members(*names):
    """Return members of these names."""
    return tuple(Member(instance=name, address=name, port=80) for name in names)


def placed(*names):
    """Return a switch at which the fleet has a place with these members."""
    place = Attachment(fleet="shop-v1-a", place="slot", members=members(*names))
    return SwitchView(routing=Routing(), version=FIRST, attachments=(place,))


BARE = SwitchView(routing=Routing(), version=FIRST, attachments=())
HERE = Routing(weights={"shop-v1-a": 100})


@pytest.fixture
def live(stage):
    """Return the live fleet of two as it is shown, and what it was launched with."""
    stage.deploy("one")
    (name,) = stage.world.fleets
    return stage.world.fleets[name], stage.world.specs[name]


@pytest.mark.parametrize(
    ("view", "effect", "shown"),
    [
        (BARE, Route(fleet="shop-v1-a", routing=HERE, expected=FIRST), False),
        (BARE, Route(fleet="shop-v1-a", routing=Routing(), expected=FIRST), True),
        (BARE, Detach(fleet="shop-v1-a", expected=FIRST), True),
        (placed(), Detach(fleet="shop-v1-a", expected=FIRST), False),
        (
            placed("a", "b"),
            Join(fleet="shop-v1-a", members=members("b", "a"), drain=timedelta()),
            True,
        ),
        (
            placed("a"),
            Join(fleet="shop-v1-a", members=members("a", "b"), drain=timedelta()),
            False,
        ),
        (
            BARE,
            Join(fleet="shop-v1-a", members=(), drain=timedelta()),
            False,
        ),
        (
            placed(),
            Attach(fleet="shop-v1-a", health=HealthCheck(port=80), expected=FIRST),
            True,
        ),
        (
            BARE,
            Attach(fleet="shop-v1-a", health=HealthCheck(port=80), expected=FIRST),
            False,
        ),
    ],
)
def test_a_reading_of_the_switch_shows_what_was_written_or_is_older(
    view, effect, shown
):
    """Every write leaves a mark that a younger reading has, and an older one lacks."""
    assert shows(view, effect) is shown


def test_a_reading_of_a_fleet_shows_what_was_done_or_is_older(live):
    """Servers that were made are there, and those that were destroyed are not."""
    view, spec = live
    first, second = (i.id for i in view.instances)
    larger = attrs.evolve(spec, size=3)
    smaller = attrs.evolve(spec, size=1)
    assert shows(view, Launch(spec=spec))
    assert not shows(view, Launch(spec=larger))
    assert shows(view, Resize(spec=spec))
    assert not shows(view, Resize(spec=larger))
    assert not shows(view, Resize(spec=smaller, remove=(first,)))
    assert shows(view, Replace(spec=spec, instance="another"))
    assert not shows(view, Replace(spec=spec, instance=second))
    dead = attrs.evolve(view.instances[1], state=InstanceState.GONE)
    half = attrs.evolve(view, instances=(view.instances[0], dead))
    assert not shows(half, Replace(spec=spec, instance=second))
    assert shows(half, Resize(spec=smaller, remove=(second,)))


def test_only_the_absence_of_a_fleet_shows_that_it_was_retired(live):
    """A fleet that is still shown is an old reading; none at all is no launch."""
    view, spec = live
    assert shows(None, Retire(fleet=view.name))
    assert not shows(view, Retire(fleet=view.name))
    assert not shows(FleetView(name=view.name, instances=()), Retire(fleet=view.name))
    assert not shows(None, Launch(spec=spec))


def test_a_reading_says_whether_a_fleet_is_held_back(live):
    """Frozen and thawed are seen; one that is gone needs neither."""
    view, _ = live
    freeze, thaw = Freeze(fleet=view.name), Thaw(fleet=view.name)
    frozen = attrs.evolve(view, frozen=True)
    thawed = attrs.evolve(view, frozen=False)
    for seen, shown in ((frozen, True), (thawed, False), (None, True)):
        assert shows(seen, freeze) is shown
    for seen, shown in ((frozen, False), (thawed, True), (None, True)):
        assert shows(seen, thaw) is shown
    # what does nothing by itself shows neither
    assert not shows(view, freeze)
    assert not shows(view, thaw)
    assert spoilt_by(freeze) == spoilt_by(thaw) == (FleetFact(fleet=view.name),)


def test_nothing_is_decided_when_nothing_has_begun(stage):
    """Without an attempt there is no question."""
    with pytest.raises(ValueError, match="nothing has begun"):
        decide(EMPTY, Known(now=NOON), stage.engine().context)


def test_validators_are_asked_only_about_fleets_that_the_ledger_knows(stage):
    """A fleet of which nothing is recorded has no release to be judged."""
    stage.deploy("one")
    engine = stage.engine()
    stranger = VerdictsFact(fleet="shop-v9-b", live=False)
    with pytest.raises(errors.InvalidInput, match="shop-v9-b"):
        looking.look(engine, engine.journal.load(), stranger)


def test_an_old_side_of_which_the_ledger_knows_nothing_is_not_healed(stage):
    """What is no longer in the ledger is waited for, and never launched again."""
    stage.deploy("one")
    seen = []

    def note(target):
        if target.live and not seen:
            seen.append(stage.engine().journal.load())
        return True

    assert stage.deploy("two", validators=(note,)).outcome is Outcome.LIVE
    (state,) = seen
    attempt, now = state.attempt, state.attempt.staged_at
    old, new = state.fleet(attempt.goal.incumbent), state.fleet(attempt.goal.fleet)
    known = Known(now=now)
    for fact, value in (
        (SwitchFact(), attrs.evolve(BARE, routing=attempt.routed)),
        (HealthFact(fleet=old.name), (Probe(instance="a", health=Health.UNREADY),)),
        (FleetFact(fleet=old.name), None),
    ):
        known = known.learn(fact, value)
    scene = Scene(
        state=attrs.evolve(state, fleets=(new,)),
        attempt=attrs.evolve(attempt, aborting_at=now),
        entry=new,
        world=known,
        context=stage.engine().context,
    )
    step = undo(scene, attempt.goal, exhausted=False)
    assert step.on == f"{old.name} to be ready"
    with_both = attrs.evolve(scene, state=state)
    step = undo(with_both, attempt.goal, exhausted=False)
    assert (step.fleet, step.spec.size) == (old.name, 2)
