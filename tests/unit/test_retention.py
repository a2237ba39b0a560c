"""Which images go and which stay: pure, carried out, raced and killed."""

from datetime import UTC, datetime, timedelta

import attrs
import pytest

import immutable
from immutable import errors
from immutable.deploying.needing import read_facts
from immutable.deploying.opening import open_engine
from immutable.host import Never
from immutable.images.catalogue import channelling
from immutable.images.catalogue.codec import encode
from immutable.images.catalogue.records import Marked, Snapshot
from immutable.images.catalogue.retention import (
    MARKS_KEPT,
    RetentionPolicy,
    retention,
)
from immutable.images.catalogue.shelf import Shelf
from immutable.images.catalogue.state import EMPTY, Catalogue, Channel, Mark
from immutable.images.catalogue.uses import RetentionFacts, Served, ServiceFacts
from immutable.model import Digest, FleetSpec, Image, ImageId, Tags, digest_of
from immutable.retaining import retain
from immutable.strategies import BlueGreen
from immutable.testing import Killed, forget, world

WHERE = "memory://retention"
NOW = datetime(2026, 6, 1, tzinfo=UTC)
DAY = timedelta(days=1)
POLICY = RetentionPolicy(keep_last=2, keep_younger="0s", grace="1h")


@pytest.fixture
def lab():
    """Return a world of its own, ended afterwards."""
    forget(WHERE)
    yield world(WHERE)
    forget(WHERE)


def a_service(backend=WHERE, ledger=None):
    """Return a service that keeps its old fleet for a minute only."""
    strategy = BlueGreen(bake="0s", keep_warm="1m")
    return immutable.Service(
        "shop", backend=backend, ledger=ledger, ports=80, strategy=strategy
    )


@pytest.fixture
def shop(lab):
    """Return a service with five releases, the fleet of the fourth retired."""
    service = a_service()
    for name in ("one", "two", "three", "four", "five"):
        immutable.deploy(service, lab.image(name)).raise_for_outcome()
    lab.wait("1h")
    immutable.heal(service)
    return service


def images(lab):
    """Return every image in a world."""
    return tuple(lab._cloud.images.values())


def names(found):
    """Return the names of images."""
    return [image.id for image in found]


def an_image(name, **more):
    """Return an image that was built long ago."""
    more = {"built_at": NOW - 100 * DAY} | more
    return Image(id=ImageId(name), digest=digest_of(name), backend="x", **more)


def facts_of(catalogue=EMPTY, **more):
    """Return the facts of one service that released everything once and needs nothing."""
    settings = {
        "service": "shop",
        "live": None,
        "uses": (),
        "served": (),
        "released": frozenset({"a", "b", "c", "d"}),
    } | more
    return RetentionFacts(services=(ServiceFacts(**settings),), catalogues=(catalogue,))


def marked(image, at, **more):
    """Return a catalogue with a mark."""
    mark = Mark(image=image.id, digest=image.digest, at=at, **more)
    return Catalogue(marks=(mark,))


# --- the pure plan


def test_what_nothing_needs_is_marked_then_deleted():
    """First a mark, then the grace, then the deletion."""
    image = an_image("a")
    assert names(retention(facts_of(), (image,), POLICY, NOW).mark) == ["a"]
    young = retention(facts_of(marked(image, NOW)), (image,), POLICY, NOW)
    assert (young.delete, young.mark) == ((), ())
    assert young.waiting[0].until == NOW + timedelta(hours=1)
    old = marked(image, NOW - timedelta(hours=1))
    assert names(retention(facts_of(old), (image,), POLICY, NOW).delete) == ["a"]


def test_so_many_are_marked_that_a_snapshot_holds_them(lab):
    """The rest is marked as these are gone; what is marked fits into one record."""
    images = tuple(
        an_image(f"i{number}-{'x' * 100}") for number in range(MARKS_KEPT + 100)
    )
    all_ = frozenset(image.id for image in images)
    found = retention(facts_of(released=all_), images, POLICY, NOW)
    assert found.mark == images[:MARKS_KEPT]
    assert found.later == images[MARKS_KEPT:]
    assert f"mark {len(found.later)} more later" in str(found)
    shelf = Shelf(lab.ledger, lab.host)
    chosen = tuple((image.id, image.digest) for image in found.mark)
    after = shelf.change(lambda _: Marked(images=chosen))
    full = retention(facts_of(after, released=all_), images, POLICY, NOW)
    assert (full.mark, full.later) == ((), found.later)
    # what died between two catalogues is finished, full as the first one is
    both = attrs.evolve(facts_of(released=all_), catalogues=(after, EMPTY))
    assert retention(both, images, POLICY, NOW).mark == found.mark
    (last,) = shelf.history()
    assert encode(attrs.evolve(last, entry=Snapshot(catalogue=after)))


def test_a_mark_of_other_bytes_does_not_count():
    """What was built anew under an old id begins anew."""
    image = an_image("a")
    other = attrs.evolve(image, digest=Digest(digest_of("other")))
    found = retention(facts_of(marked(other, NOW - DAY)), (image,), POLICY, NOW)
    assert (names(found.mark), found.spare, found.delete) == (["a"], ("a",), ())


def test_every_catalogue_has_to_agree():
    """An image is deleted only when it is marked wherever a service would look."""
    image = an_image("a")
    old = facts_of(marked(image, NOW - DAY))
    both = attrs.evolve(old, catalogues=(*old.catalogues, EMPTY))
    found = retention(both, (image,), POLICY, NOW)
    assert (names(found.mark), found.delete) == (["a"], ())


def test_parents_of_what_is_needed_stay():
    """However far up; a circle ends."""
    images = (
        an_image("a", parent="b"),
        an_image("b", parent="c"),
        an_image("c", parent="b"),
        an_image("d"),
    )
    served = (Served(number=1, image="a", until=NOW),)
    found = retention(facts_of(served=served, live=1), images, POLICY, NOW)
    assert [k.image.id for k in found.kept] == ["a", "b", "c"]
    assert found.kept[1].why == ("a was built upon it",)
    assert names(found.mark) == ["d"]


def test_parents_of_what_is_not_listed_stay():
    """Some are asked about; what is built upon them is known by channels and history."""
    images = (an_image("base"), an_image("under"), an_image("loose"))
    released = frozenset(image.id for image in images)
    served = (Served(number=1, image="a", parent="base", until=NOW),)
    facts = facts_of(served=served, live=1, released=released)
    meant = Channel(
        name="shop/stable", image=an_image("b", parent="under"), at=NOW, by="x"
    )
    facts = attrs.evolve(facts, catalogues=(Catalogue(channels=(meant,)),))
    found = retention(facts, images, POLICY, NOW)
    assert [k.image.id for k in found.kept] == ["base", "under"]
    assert names(found.mark) == ["loose"]


def test_what_no_service_released_is_left_alone_unless_asked():
    """A neighbour's images are not ours to delete."""
    stranger = an_image("z")
    assert retention(facts_of(), (stranger,), POLICY, NOW).mark == ()
    bold = attrs.evolve(POLICY, unreleased=True)
    assert names(retention(facts_of(), (stranger,), bold, NOW).mark) == ["z"]


def test_an_image_of_unknown_age_is_as_old_as_its_mark():
    """Where nobody says when it was built, the longer wait counts."""
    image = an_image("a", built_at=None)
    policy = attrs.evolve(POLICY, keep_younger=timedelta(days=2))
    at = marked(image, NOW - DAY)
    assert retention(facts_of(at), (image,), policy, NOW).delete == ()
    at = marked(image, NOW - 2 * DAY)
    assert names(retention(facts_of(at), (image,), policy, NOW).delete) == ["a"]


def test_one_run_deletes_no_more_than_its_most():
    """The oldest go first; the rest waits."""
    images = tuple(an_image(name) for name in "abcd")
    marks = tuple(
        Mark(image=i.id, digest=i.digest, at=NOW - (n + 1) * DAY)
        for n, i in enumerate(images)
    )
    policy = attrs.evolve(POLICY, most=2)
    found = retention(facts_of(Catalogue(marks=marks)), images, policy, NOW)
    assert names(found.delete) == ["d", "c"]
    assert [w.image.id for w in found.waiting] == ["a", "b"]
    assert "delete d" in str(found)


def test_an_image_that_another_run_is_deleting_is_left_to_it():
    """Until that one must have died; then it is finished."""
    image = an_image("a")
    at = NOW - timedelta(minutes=30)
    busy = marked(image, NOW - DAY, deleting="r", deleting_at=at)
    found = retention(facts_of(busy), (image,), POLICY, NOW)
    assert (found.delete, found.mark, found.spare) == ((), (), ())
    later = NOW + timedelta(minutes=31)
    assert names(retention(facts_of(busy), (image,), POLICY, later).delete) == ["a"]
    gone = retention(facts_of(busy), (), POLICY, later)
    assert gone.spare == ("a",)


@pytest.mark.parametrize(
    "change", [{"grace": "59m"}, {"keep_last": 0}, {"most": 0}, {"grace": "soon"}]
)
def test_a_policy_in_haste_is_refused(change):
    """No grace, nothing to go back to, or nothing to do cannot be meant."""
    with pytest.raises(errors.InvalidInput):
        RetentionPolicy(**change)


# --- carried out


def test_a_dry_run_is_the_default(lab, shop):
    """It says what it would do, and writes nothing."""
    before = lab.calls
    report = retain([shop], images=images(lab), policy=POLICY)
    assert report.dry_run
    assert names(report.plan.mark) == ["one", "two"]
    changed = lab.calls - before
    assert not changed["ledger.append"]
    assert not changed["images.delete"]


def test_what_may_be_rolled_back_to_stays(lab, shop):
    """Marked now, deleted by a later run; the window and what is live stay whole."""
    retain([shop], images=images(lab), policy=POLICY, dry_run=False)
    lab.wait("2h")
    report = retain([shop], images=images(lab), policy=POLICY, dry_run=False)
    # four can be gone back to, and so can three: two before the live one
    assert names(report.deleted) == ["one", "two"]
    assert sorted(lab._cloud.images) == ["five", "four", "three"]
    assert immutable.rollback(shop).release.number == 4
    assert immutable.rollback(shop).release.number == 3
    assert retain([shop], images=images(lab), policy=POLICY).plan.mark == ()


def test_what_channels_leases_and_people_need_stays(lab, shop):
    """Each reason is told, and the last one gone frees the image."""
    everything = images(lab)
    channelling.promote("one", "shop/stable", ledger=shop)
    channelling.lease("two", "the audit", lasting="5h", ledger=shop)
    plan = retain([shop], images=everything, policy=POLICY).plan
    kept = {k.image.id: k.why for k in plan.kept}
    assert "channel shop/stable means it" in kept["one"]
    assert "the audit has a lease" in kept["two"]
    lab.wait("6h")
    channelling.withdraw("shop/stable", ledger=shop)
    plan = retain([shop], images=everything, policy=POLICY).plan
    assert names(plan.mark) == ["one", "two"]


def test_a_marked_image_that_is_deployed_is_spared(lab, shop):
    """Needing it is enough: nobody has to know about marks."""
    retain([shop], images=images(lab), policy=POLICY, dry_run=False)
    immutable.rollback(shop, to=1).raise_for_outcome()
    shelf = Shelf(lab.ledger, lab.host)
    assert shelf.load().mark("one") is None
    lab.wait("2h")
    report = retain([shop], images=images(lab), policy=POLICY, dry_run=False)
    assert names(report.deleted) == ["two"]
    assert immutable.status(shop).release.number == 1


def test_an_open_deployment_keeps_its_image(lab, shop):
    """A deployer that died holds on to what it was launching."""
    lab.image("six")
    lab.kill_deployer(at=30)
    with pytest.raises(Killed):
        immutable.deploy(shop, "six")
    assert immutable.status(shop).interrupted
    plan = retain([shop], images=images(lab), policy=POLICY).plan
    (kept,) = [k for k in plan.kept if k.image.id == "six"]
    assert "a deployment of shop is open" in kept.why
    immutable.recover(shop)


def test_what_cannot_be_read_deletes_nothing(lab, shop):
    """A ledger that cannot be trusted stops retention before it deletes anything."""
    retain([shop], images=images(lab), policy=POLICY, dry_run=False)
    lab.wait("2h")
    lab.ledger.append("service/blog", 1, b"nonsense")
    blog = attrs.evolve(shop, name="blog")
    with pytest.raises(errors.NotALedger):
        retain([shop, blog], images=images(lab), policy=POLICY, dry_run=False)
    assert len(lab._cloud.images) == 5


def test_retention_needs_every_user_of_one_backend(lab, shop):
    """No service, or services of several backends, cannot be meant."""
    with pytest.raises(errors.InvalidInput, match="every service"):
        retain([])
    other = attrs.evolve(shop, backend="memory://elsewhere")
    with pytest.raises(errors.InvalidInput, match="several backends"):
        retain([shop, other])


def test_everything_that_the_backend_keeps_is_looked_at(lab, shop):
    """Without images of its own, a run asks the backend for them."""
    listed = retain([shop], policy=POLICY).plan
    assert listed == retain([shop], images=images(lab), policy=POLICY).plan
    backend = HookedBackend(lab, lambda _: None)
    backend.capabilities = attrs.evolve(lab.backend.capabilities, keeps_records=False)
    silent = attrs.evolve(shop, backend=backend, switch=lab.switch("shop"))
    with pytest.raises(errors.Unsupported, match="keeps_records"):
        retain([silent], policy=POLICY)


def test_an_image_that_changed_its_bytes_is_not_deleted(lab, shop):
    """What is there is not what was marked."""
    everything = images(lab)
    retain([shop], images=everything, policy=POLICY, dry_run=False)
    lab.wait("2h")
    other = attrs.evolve(lab._cloud.images["one"], digest=digest_of("other"))
    lab._cloud.images["one"] = other
    report = retain([shop], images=everything, policy=POLICY, dry_run=False)
    assert names(report.deleted) == ["two"]
    assert report.left[0].image == "one"
    assert "other bytes" in report.left[0].why


def test_a_failed_deletion_is_tried_again_by_a_later_run(lab, shop):
    """Meanwhile nobody may launch the image: what became of it is not known."""
    from immutable.testing import Fault, Script

    retain([shop], images=images(lab), policy=POLICY, dry_run=False)
    lab.wait("2h")
    lab.fail(Script(Fault.ERROR_BEFORE, "images.delete"))
    report = retain([shop], images=images(lab), policy=POLICY, dry_run=False)
    assert (names(report.deleted), report.left[0].image) == (["two"], "one")
    lab.fail()
    refused = immutable.rollback(shop, to=1)
    assert refused.outcome is immutable.Outcome.REFUSED
    assert "being deleted" in str(refused.error)
    with pytest.raises(errors.Refused, match="being deleted"):
        channelling.promote("one", "shop/stable", ledger=shop)
    with pytest.raises(errors.Refused, match="being deleted"):
        channelling.lease("one", "somebody", lasting="1h", ledger=shop)
    lab.wait("2h")
    report = retain([shop], images=images(lab), policy=POLICY, dry_run=False)
    assert names(report.deleted) == ["one"]


class Full:
    """A ledger store in which nothing can be written that an image is gone."""

    def __init__(self, store):
        self.store = store

    def append(self, stream, sequence, record):
        if b'"Deleted"' in record:
            raise errors.LedgerReadOnly("full")
        self.store.append(stream, sequence, record)

    def read(self, stream, *, after, limit):
        return self.store.read(stream, after=after, limit=limit)

    def last(self, stream):
        return self.store.last(stream)


def test_what_was_deleted_is_told_even_if_it_cannot_be_written(lab, shop):
    """Nothing needs the mark any more: a later run takes it away."""
    full = a_service(ledger=Full(lab.ledger))
    retain([full], images=images(lab), policy=POLICY, dry_run=False)
    lab.wait("2h")
    report = retain([full], images=images(lab), policy=POLICY, dry_run=False)
    assert names(report.deleted) == ["one", "two"]
    assert report.left == ()
    shelf = Shelf(lab.ledger, lab.host)
    assert [mark.image for mark in shelf.load().marks] == ["one", "two"]
    lab.wait("2h")
    retain([shop], images=images(lab), policy=POLICY, dry_run=False)
    assert shelf.load().marks == ()


def test_the_facts_of_a_service(lab, shop):
    """Each release once, with the end of its latest time; what runs is found by tags."""
    immutable.rollback(shop, to=4).raise_for_outcome()
    facts = read_facts([open_engine(shop, tell=None, stop=Never())])
    (found,) = facts.services
    assert [s.number for s in found.served] == [1, 2, 3, 4, 5]
    assert found.live == 4
    assert {u.image for u in found.uses} == {"four", "five"}
    assert any("runs it" in u.why for u in found.uses)
    assert found.released == {"one", "two", "three", "four", "five"}


# --- raced and killed


class Hooked:
    """Passes calls on to a part of a world, and lets something happen before one of them."""

    def __init__(self, part, before):
        self._part = part
        self._before = before

    def __getattr__(self, name):
        found = getattr(self._part, name)
        if not callable(found):
            return found

        def call(*args, **kwargs):
            self._before(name)
            return found(*args, **kwargs)

        return call


class HookedBackend:
    """A world's backend whose image and fleet calls can be preceded by something."""

    def __init__(self, lab, before):
        self._backend = lab.backend
        self.images = Hooked(self._backend.images, before)
        self.fleets = Hooked(self._backend.fleets, before)

    def __getattr__(self, name):
        return getattr(self._backend, name)


def interrupted(lab, at, deed):
    """Return a service in whose calls a deed happens once, before the call number ``at``."""
    count = [0]

    def before(_):
        count[0] += 1
        if count[0] == at:
            deed()

    backend = HookedBackend(lab, before)
    switch = lab.switch("shop")
    service = attrs.evolve(
        a_service(), backend=backend, switch=switch, ledger=Hooked(lab.ledger, before)
    )
    return service, count


def prepared():
    """Return a new world in which the image of the first release is due to be deleted."""
    forget(WHERE)
    lab = world(WHERE)
    service = a_service()
    for name in ("one", "two", "three", "four"):
        immutable.deploy(service, lab.image(name)).raise_for_outcome()
    lab.wait("1h")
    immutable.heal(service)
    retain([service], images=images(lab), policy=POLICY, dry_run=False)
    lab.wait("2h")
    return lab, service


def check_whole(lab, service):
    """See that what is live, warm, or meant by a channel has its image."""
    state = open_engine(service, tell=None, stop=Never()).journal.load()
    assert state.attempt is None
    for entry in state.fleets:
        assert entry.release.image.id in lab._cloud.images, entry
    for known in channelling.channels(ledger=service):
        assert known.image.id in lab._cloud.images


def every_point(first, second, *, most=60):
    """Let the second thing happen before each call of the first; return the outcomes.

    A deployment has begun long before its call number ``most``.
    """
    outcomes = []
    for at in range(1, most):
        lab, service = prepared()
        done = []
        hooked, count = interrupted(
            lab, at, lambda lab=lab, s=service, d=done: d.append(second(lab, s))
        )
        outcomes.append((first(lab, hooked), done))
        check_whole(lab, service)
        if count[0] < at:
            break
    return outcomes


def deploying(lab, service):
    """Go back to what is due to be deleted."""
    return immutable.rollback(service, to=1)


def promoting(lab, service):
    """Promote what is due to be deleted, unless it is too late."""
    try:
        return channelling.promote("one", "shop/stable", ledger=service)
    except errors.ImmutableError as exc:
        return exc


def deleting(lab, service):
    """Delete what is due."""
    everything = images(lab)
    return retain([service], images=everything, policy=POLICY, dry_run=False)


@pytest.mark.parametrize("rival", [deploying, promoting])
def test_whoever_needs_an_image_in_the_middle_of_retention_is_safe(rival):
    """At every call of a run: the image is there, or the rival was refused in time."""
    outcomes = every_point(deleting, rival)
    deleted = [
        "one" in names(report.deleted)
        for report, done in outcomes
        if done  # the rival came in
    ]
    assert True in deleted
    assert False in deleted


@pytest.mark.parametrize("rival", [deploying, promoting])
def test_retention_in_the_middle_of_needing_an_image_is_safe(rival):
    """At every call of a deployment: it lives with its image, or touched nothing."""
    outcomes = every_point(rival, deleting, most=25)
    raced = [(first, done[0]) for first, done in outcomes if done]
    assert raced
    for first, report in raced:
        if "one" in names(report.deleted):
            assert is_refused(first)
        else:
            assert first.is_live


def is_refused(outcome):
    """Return whether a call says that it has done nothing."""
    refused = getattr(outcome, "outcome", None) is immutable.Outcome.REFUSED
    return refused or isinstance(outcome, errors.ImmutableError)


def test_a_fleet_that_turns_up_between_mark_and_deletion_keeps_its_image(lab):
    """Everything is read again before the deletion: also what no ledger speaks of."""
    lab, service = prepared()
    ledger = lab.switch("shop").read().owner
    tags = Tags(
        service="shop", ledger=ledger, deployment="d", release=1, digest=digest_of("x")
    )
    spec = FleetSpec(
        name="shop-v1-stray",
        image=lab._cloud.images["one"],
        document="{}",
        size=1,
        port=80,
        tags=tags,
    )

    def before(name):
        if name == "find":
            lab.backend.fleets.launch(spec, token="0" * 32)

    backend = HookedBackend(lab, before)
    hooked = attrs.evolve(service, backend=backend, switch=lab.switch("shop"))
    report = deleting(lab, attrs.evolve(hooked, ledger=lab.ledger))
    assert report.deleted == ()
    assert report.left[0].why == "fleet shop-v1-stray runs it"
    assert "one" in lab._cloud.images


def test_retention_that_is_killed_is_finished_by_the_next(lab):
    """After a kill at any call: nothing needed is gone, and a later run ends it."""
    for at in range(1, 200):
        lab, service = prepared()

        def die():
            raise Killed("here")

        hooked, count = interrupted(lab, at, die)
        try:
            deleting(lab, hooked)
        except Killed:
            check_whole(lab, service)
        lab.wait("2h")
        deleting(lab, service)
        lab.wait("2h")
        deleting(lab, service)
        assert sorted(lab._cloud.images) == ["four", "three", "two"]
        assert Shelf(lab.ledger, lab.host).load().marks == ()
        if count[0] < at:
            return
    pytest.fail("it never ended")
