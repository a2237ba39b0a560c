"""Retention and random histories: nothing that is needed is ever in a plan, or deleted."""

import contextlib
from datetime import UTC, datetime, timedelta
from itertools import count

import attrs
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

import immutable
from immutable import errors
from immutable.deploying.opening import open_engine
from immutable.host import Never
from immutable.images.catalogue import channelling, revoking
from immutable.images.catalogue.retention import RetentionPolicy, retention
from immutable.images.catalogue.state import Catalogue, Channel, Lease, Mark
from immutable.images.catalogue.uses import RetentionFacts, Served, ServiceFacts, Use
from immutable.model import Image, digest_of
from immutable.retaining import retain
from immutable.strategies import BlueGreen
from immutable.testing import Killed, forget, world

NOW = datetime(2026, 6, 1, tzinfo=UTC)
IDS = [f"i{number}" for number in range(8)]
HOURS = st.integers(-48, 48).map(lambda hours: NOW + timedelta(hours=hours))
PAST = st.integers(0, 96).map(lambda hours: NOW - timedelta(hours=hours))


@st.composite
def some_images(draw):
    """Return images, some of them layered upon others."""
    return tuple(
        Image(
            id=name,
            digest=digest_of(name, draw(st.booleans())),
            backend="x",
            parent=draw(st.none() | st.sampled_from(IDS)),
            built_at=draw(st.none() | PAST),
        )
        for name in draw(st.lists(st.sampled_from(IDS), unique=True))
    )


@st.composite
def some_service(draw):
    """Return what a service needs."""
    served = tuple(
        Served(number=number, image=draw(st.sampled_from(IDS)), until=draw(PAST))
        for number in sorted(draw(st.sets(st.integers(1, 20), max_size=8)))
    )
    numbers = [each.number for each in served]
    return ServiceFacts(
        service="shop",
        live=draw(st.none() | st.sampled_from(numbers)) if numbers else None,
        uses=tuple(
            Use(image=image, why="it runs")
            for image in draw(st.lists(st.sampled_from(IDS), max_size=2))
        ),
        served=served,
        released=frozenset(draw(st.sets(st.sampled_from(IDS)))),
    )


@st.composite
def some_catalogue(draw):
    """Return channels, leases and marks."""
    return Catalogue(
        channels=tuple(
            Channel(
                name=f"c/{number}",
                image=Image(id=image, digest="", backend="x"),
                at=NOW,
                by="",
            )
            for number, image in enumerate(
                draw(st.lists(st.sampled_from(IDS), max_size=2))
            )
        ),
        leases=tuple(
            Lease(image=image, holder="h", until=draw(HOURS))
            for image in draw(st.lists(st.sampled_from(IDS), max_size=2))
        ),
        marks=tuple(
            Mark(
                image=image,
                digest=digest_of(image, draw(st.booleans())),
                at=draw(PAST),
                deleting=(run := draw(st.sampled_from(["", "", "r"]))),
                deleting_at=draw(PAST) if run else None,
            )
            for image in draw(st.lists(st.sampled_from(IDS), unique=True))
        ),
    )


POLICIES = st.builds(
    RetentionPolicy,
    keep_last=st.integers(1, 3),
    keep_younger=st.integers(0, 72).map(lambda hours: timedelta(hours=hours)),
    grace=st.integers(1, 48).map(lambda hours: timedelta(hours=hours)),
    most=st.integers(1, 4),
    unreleased=st.booleans(),
)


def roots(services, catalogues, images, policy):
    """Yield what is needed for its own sake, as the guide says it."""
    for service in services:
        yield from (use.image for use in service.uses)
        numbers = [s.number for s in service.served]
        latest = numbers[-policy.keep_last :]
        below = [n for n in numbers if service.live and n < service.live]
        for each in service.served:
            lately = NOW - each.until < policy.keep_younger
            if each.number in {*latest, *below[-policy.keep_last :]} or lately:
                yield each.image
    for catalogue in catalogues:
        yield from (channel.image.id for channel in catalogue.channels)
        yield from (held.image for held in catalogue.leases if held.until > NOW)
    released = {image for service in services for image in service.released}
    for image in images:
        if image.built_at and NOW - image.built_at < policy.keep_younger:
            yield image.id
        if not policy.unreleased and image.id not in released:
            yield image.id


def closed(needed, images):
    """Return what is needed together with everything that it was built upon."""
    parents = {image.id: image.parent for image in images}
    found = set(needed)
    while more := {parents[i] for i in found if parents.get(i)} - found:
        found |= more
    return found


@settings(max_examples=100, deadline=None)
@given(
    st.lists(some_service(), min_size=1, max_size=2),
    st.lists(some_catalogue(), min_size=1, max_size=2),
    some_images(),
    POLICIES,
)
def test_nothing_that_is_needed_is_in_the_plan(services, catalogues, images, policy):
    """Whatever the history: what goes is needed by nothing, and was marked long ago."""
    facts = RetentionFacts(services=tuple(services), catalogues=tuple(catalogues))
    plan = retention(facts, images, policy, NOW)
    needed = closed(roots(services, catalogues, images, policy), images)
    for image in (*plan.delete, *plan.mark, *(w.image for w in plan.waiting)):
        assert image.id not in needed
    for image in plan.delete:
        for catalogue in catalogues:
            mark = catalogue.mark(image.id)
            assert mark is not None
            assert mark.digest == image.digest
            assert mark.deleting or NOW - mark.at >= policy.grace
    assert len(plan.delete) <= policy.most
    # nothing is in two places, and nothing is forgotten
    places = [i.id for i in (*plan.delete, *plan.mark, *plan.later)]
    places += [w.image.id for w in plan.waiting] + [k.image.id for k in plan.kept]
    assert sorted(places) == sorted(image.id for image in images)


WORLDS = count()
POLICY = RetentionPolicy(keep_last=2, keep_younger="0s", grace="1h", most=2)


class Histories(RuleBasedStateMachine):
    """Deployers, promoters and retention at work on the same images, and killed."""

    def __init__(self):
        super().__init__()
        self.where = f"memory://histories-{next(WORLDS)}"
        self.lab = world(self.where)
        self.shop = immutable.Service(
            "shop",
            backend=self.where,
            ports=80,
            strategy=BlueGreen(bake="0s", keep_warm="30m"),
        )
        self.built = 0
        self.leased = {}

    def teardown(self):
        """End the world."""
        forget(self.where)

    def images(self):
        """Return every image that there is."""
        return tuple(self.lab._cloud.images.values())

    @rule(onto=st.integers(0, 5))
    def deploy_something_new(self, onto):
        """Build an image, upon another or none, and deploy it."""
        self.built += 1
        image = self.lab.image(f"i{self.built}")
        there = [i.id for i in self.images() if i.id != image.id]
        if onto < len(there):
            image = attrs.evolve(image, parent=there[onto])
            self.lab._cloud.images[image.id] = image
        immutable.deploy(self.shop, image)

    @precondition(lambda self: self.built)
    @rule(which=st.integers(0, 20))
    def deploy_something_old(self, which):
        """Deploy an image that is there."""
        there = self.images()
        if there:
            immutable.deploy(self.shop, there[which % len(there)])

    @precondition(lambda self: self.built > 1)
    @rule(to=st.none() | st.integers(1, 10))
    def roll_back(self, to):
        """Go back to some release, if there is such a one."""
        try:
            immutable.rollback(self.shop, to=to)
        except errors.UnknownRelease:
            assert to is None or to >= 1

    @precondition(lambda self: self.built)
    @rule(at=st.integers(1, 120), which=st.integers(0, 20))
    def die_while_deploying(self, at, which):
        """Kill the deployer somewhere; nobody recovers yet."""
        there = self.images()
        if not there:
            return
        self.lab.kill_deployer(at=at)
        try:
            immutable.deploy(self.shop, there[which % len(there)])
        except Killed:
            pass
        finally:
            self.lab.host.kill_at = None

    @rule()
    def recover(self):
        """Finish what was left."""
        immutable.recover(self.shop)

    @precondition(lambda self: self.built)
    @rule(which=st.integers(0, 20), name=st.sampled_from(["a/x", "a/y"]))
    def promote(self, which, name):
        """Promote an image that is there."""
        there = self.images()
        if there:
            # it may have been revoked, or be about to go
            with contextlib.suppress(errors.Refused):
                channelling.promote(there[which % len(there)], name, ledger=self.shop)

    @precondition(lambda self: self.built)
    @rule(which=st.integers(1, 10))
    def revoke(self, which):
        """Revoke an image, there or not: what is unknown here may be in another pool."""
        there = f"i{which}" in {image.id for image in self.images()}
        where = self.shop if there else self.where
        revoking.revoke(f"i{which}", "bad", ledger=where)

    @rule(hours=st.integers(0, 30))
    def wait(self, hours):
        """Let time pass, and what is due be retired."""
        self.lab.wait(timedelta(hours=hours))
        immutable.heal(self.shop)

    @rule()
    def mark_wait_and_delete(self):
        """Let a grace pass between two runs."""
        self.retain()
        self.lab.wait("2h")
        self.retain()

    @rule()
    def retain(self):
        """Mark and delete: nothing that can be gone back to from where we are now."""
        before, reach = {image.id for image in self.images()}, self.within_reach()
        images = self.images()
        report = retain([self.shop], images=images, policy=POLICY, dry_run=False)
        gone = before - {image.id for image in self.images()}
        assert gone == {image.id for image in report.deleted}
        assert gone.isdisjoint(reach)

    def within_reach(self):
        """Return what the policy keeps for going back: going back itself moves it on."""
        state = open_engine(self.shop, tell=None, stop=Never()).journal.load()
        live = state.live.release.number if state.live else 0
        below = [r for r in state.releases if r.number < live]
        return {r.image.id for r in (*state.releases[-2:], *below[-2:])}

    @invariant()
    def what_is_needed_is_there(self):
        """See that everything live, warm, open or promoted has its image."""
        there = {image.id for image in self.images()}
        engine = open_engine(self.shop, tell=None, stop=Never())
        state = engine.journal.load()
        assert {entry.release.image.id for entry in state.fleets} <= there
        goal = getattr(state.attempt, "goal", None)
        release = getattr(goal, "release", None)
        assert release is None or release.image.id in there
        assert {c.image.id for c in channelling.channels(ledger=self.shop)} <= there


Histories.TestCase.settings = settings(
    max_examples=25,
    stateful_step_count=25,
    deadline=None,
    suppress_health_check=list(HealthCheck),
)
TestHistories = Histories.TestCase
