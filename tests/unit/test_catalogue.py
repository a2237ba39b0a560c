"""Channels and revocations: what they say, what they stop, and what is written of them."""

from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta

import attrs
import pytest
from fakes import FakeClock, MemoryStore

import immutable
from immutable import errors
from immutable.host import ThisHost
from immutable.images.catalogue import channelling, revoking
from immutable.images.catalogue.checking import check_not_revoked, revocation_of
from immutable.images.catalogue.codec import decode, encode
from immutable.images.catalogue.fold import OVERRIDES_KEPT, fold
from immutable.images.catalogue.guard import Guard
from immutable.images.catalogue.lineage import ancestors_in
from immutable.images.catalogue.records import (
    Overridden,
    Promoted,
    Record,
    Revoked,
    Snapshot,
    Unrevoked,
    Withdrawn,
)
from immutable.images.catalogue.shelf import SNAPSHOT_EVERY, STREAM, Shelf
from immutable.images.catalogue.state import EMPTY, Catalogue, Revocation
from immutable.ledger import codec as ledger_codec
from immutable.ledger.codec import sealed
from immutable.ledger.sqlite import SqliteStore
from immutable.model import Digest, Image, ImageId, digest_of
from immutable.strategies import BlueGreen
from immutable.testing import Fault, Killed, Script, forget, world

WHERE = "memory://catalogue"
NOW = datetime(2026, 1, 1, tzinfo=UTC)


@pytest.fixture
def lab():
    """Return a world of its own, ended afterwards."""
    forget(WHERE)
    yield world(WHERE)
    forget(WHERE)


@pytest.fixture
def shop(lab):
    """Return a service of two instances without a bake."""
    strategy = BlueGreen(bake="0s", keep_warm="1h")
    return immutable.Service("shop", backend=WHERE, size=2, ports=80, strategy=strategy)


def put(lab, name, parent=None):
    """Put an image into a world, layered upon another."""
    image = attrs.evolve(lab.image(name), parent=parent.id if parent else None)
    lab._cloud.images[image.id] = image
    return image


def records(lab):
    """Return every record about images in a world's ledger."""
    return [decode(data) for _, data in lab.ledger.records(STREAM)]


def entries(lab):
    """Return what was decided about images in a world, in order."""
    return [record.entry for record in records(lab)]


def test_a_channel_means_exactly_what_was_promoted(lab, shop):
    """The id and the digest that were promoted are those that come back."""
    image = put(lab, "one")
    assert channelling.promote(image, "shop/stable", ledger=shop, by="ann") == image
    assert channelling.channel("shop/stable", ledger=shop) == image
    (known,) = channelling.channels(ledger=shop)
    assert (known.name, known.image, known.by) == ("shop/stable", image, "ann")
    assert known.at.tzinfo is not None


def test_promoting_twice_writes_nothing(lab, shop):
    """What a channel means already is not written again; another image is."""
    one, two = put(lab, "one"), put(lab, "two")
    channelling.promote(one, "shop/stable", ledger=shop)
    channelling.promote("one", "shop/stable", ledger=shop)
    assert len(records(lab)) == 1
    channelling.promote(two, "shop/stable", ledger=shop)
    assert channelling.channel("shop/stable", ledger=shop) == two
    assert len(records(lab)) == 2


def test_an_image_is_promoted_by_its_id(lab, shop):
    """An id is looked up where the service's images are."""
    put(lab, "one")
    assert channelling.promote("one", "shop/stable", ledger=shop).id == "one"
    with pytest.raises(errors.UnknownImage, match="no image"):
        channelling.promote("other", "shop/stable", ledger=shop)


def test_other_bytes_under_the_same_id_are_refused(lab, shop):
    """A channel is not followed to what is no longer what was tested."""
    image = put(lab, "one")
    channelling.promote(image, "shop/stable", ledger=shop)
    other = attrs.evolve(image, digest=Digest(digest_of("other bytes")))
    lab._cloud.images[image.id] = other
    with pytest.raises(errors.Refused, match="not what it was"):
        channelling.channel("shop/stable", ledger=shop)
    with pytest.raises(errors.Refused, match="not what it was"):
        channelling.promote(image, "shop/test", ledger=shop)
    refused = immutable.deploy(shop, image)
    assert refused.outcome is immutable.Outcome.REFUSED
    assert "not what it was" in str(refused.error)
    with pytest.raises(errors.Refused, match="not what it was"):
        immutable.plan(shop, image)
    assert lab.servers() == ()


def test_a_rollback_looks_at_the_bytes_too(lab, shop):
    """What a release ran is what is launched again, or nothing is."""
    for name in ("one", "two"):
        immutable.deploy(shop, put(lab, name)).raise_for_outcome()
    other = attrs.evolve(lab._cloud.images["one"], digest=Digest(digest_of("other")))
    lab._cloud.images["one"] = other
    refused = immutable.rollback(shop)
    assert refused.outcome is immutable.Outcome.REFUSED
    assert "not what it was" in str(refused.error)
    assert immutable.status(shop).release.number == 2


def test_a_channel_whose_image_is_gone_says_so(lab, shop):
    """Nothing else is given instead."""
    image = put(lab, "one")
    channelling.promote(image, "shop/stable", ledger=shop)
    del lab._cloud.images[image.id]
    with pytest.raises(errors.UnknownImage, match="build it again"):
        channelling.channel("shop/stable", ledger=shop)


def test_a_channel_that_means_nothing_names_those_that_do(lab, shop):
    """The error says what was promoted, and a channel can be withdrawn."""
    channelling.promote(put(lab, "one"), "shop/test", ledger=shop)
    with pytest.raises(errors.UnknownImage, match="shop/test"):
        channelling.channel("shop/stable", ledger=shop)
    channelling.withdraw("shop/test", ledger=shop)
    channelling.withdraw("shop/test", ledger=shop)
    assert channelling.channels(ledger=shop) == ()
    assert [type(entry) for entry in entries(lab)] == [Promoted, Withdrawn]


@pytest.mark.parametrize(
    "name", ["", "stable", "shop/", "/stable", "shop/a/b", "Shop/x", "shop/x ", 7, None]
)
def test_a_channel_cannot_be_named_so(lab, shop, name):
    """Names are two words, and are checked before anything is opened."""
    with pytest.raises(errors.InvalidInput, match="channel"):
        channelling.promote(put(lab, "one"), name, ledger=shop)
    with pytest.raises(errors.InvalidInput, match="channel"):
        channelling.channel(name, ledger=shop)


@pytest.mark.parametrize("reason", ["", "  ", "two\nlines", "x" * 501, 7])
def test_a_reason_has_to_be_readable(lab, shop, reason):
    """Who is refused will read it."""
    with pytest.raises(errors.InvalidInput, match="reason"):
        revoking.revoke(put(lab, "one"), reason, ledger=shop)
    with pytest.raises(errors.InvalidInput, match="reason"):
        immutable.deploy(shop, put(lab, "one"), allow_revoked=reason)


def test_without_a_backend_a_channel_cannot_be_followed(lab, shop):
    """An address of a ledger does not say where its images are."""
    channelling.promote(put(lab, "one"), "shop/stable", ledger=shop)
    with pytest.raises(errors.InvalidInput, match="backend="):
        channelling.channel("shop/stable", ledger=WHERE)
    found = channelling.channel("shop/stable", ledger=WHERE, backend=WHERE)
    assert found.id == "one"


def test_a_revoked_image_is_not_launched(lab, shop):
    """Deploying and planning are refused, with the reason and what to do."""
    image = put(lab, "one")
    revoking.revoke(image, "CVE-2026-1", ledger=shop)
    done = immutable.deploy(shop, image)
    assert done.outcome is immutable.Outcome.REFUSED
    assert isinstance(done.error, errors.Revoked)
    assert "shop: image one is revoked: CVE-2026-1" in str(done.error)
    assert "allow_revoked" in str(done.error)
    with pytest.raises(errors.Revoked):
        immutable.plan(shop, image)
    assert lab.servers() == ()
    assert immutable.history(shop) == ()


def test_a_revocation_counts_for_descendants(lab, shop):
    """What was built upon a revoked image, however far up, is not launched."""
    base = put(lab, "base")
    middle = put(lab, "middle", base)
    top = put(lab, "top", middle)
    revoking.revoke("base", "stolen key", ledger=shop)
    done = immutable.deploy(shop, top)
    assert isinstance(done.error, errors.Revoked)
    assert "top was built upon base, which is revoked: stolen key" in str(done.error)
    # an ancestor that is gone can still be named
    del lab._cloud.images[base.id]
    assert isinstance(immutable.deploy(shop, top).error, errors.Revoked)


def test_the_same_bytes_under_another_id_are_revoked_too(lab, shop):
    """A copy of a revoked image is refused by its digest."""
    image = put(lab, "one")
    copy = attrs.evolve(image, id=ImageId("copy"))
    lab._cloud.images[copy.id] = copy
    revoking.revoke("one", "bad", ledger=shop)
    assert isinstance(immutable.deploy(shop, copy).error, errors.Revoked)


def test_revoking_twice_writes_nothing(lab, shop):
    """The same reason is not written again; another one is, and counts."""
    image = put(lab, "one")
    first = revoking.revoke(image, "bad", ledger=shop, by="ann")
    assert revoking.revoke(image, "bad", ledger=shop) == first
    assert len(records(lab)) == 1
    revoking.revoke(image, "worse", ledger=shop)
    (known,) = revoking.revocations(ledger=shop)
    assert (known.reason, known.digests) == ("worse", (image.digest,))


def test_a_revocation_can_be_taken_back(lab, shop):
    """Afterwards the image is launched as any other; both decisions stay in the ledger."""
    image = put(lab, "one")
    revoking.revoke(image, "bad", ledger=shop)
    revoking.unrevoke(image, "the scanner was wrong", ledger=shop)
    assert immutable.deploy(shop, image).is_live
    with pytest.raises(errors.InvalidInput, match="not revoked"):
        revoking.unrevoke(image, "again", ledger=shop)
    assert [entry.reason for entry in entries(lab)] == ["bad", "the scanner was wrong"]


def test_a_revoked_image_is_not_promoted_and_its_channel_is_not_followed(lab, shop):
    """A channel never leads to what may not be launched."""
    image = put(lab, "one")
    channelling.promote(image, "shop/stable", ledger=shop)
    revoking.revoke(image, "bad", ledger=shop)
    with pytest.raises(errors.Revoked):
        channelling.promote(image, "shop/next", ledger=shop)
    with pytest.raises(errors.Revoked, match="shop/stable"):
        channelling.channel("shop/stable", ledger=shop)


def test_what_runs_goes_on_running_but_does_not_grow(lab, shop):
    """A revocation stops scaling out and healing, and neither traffic nor scaling in."""
    image = put(lab, "one")
    immutable.deploy(shop, image).raise_for_outcome()
    revoking.revoke(image, "bad", ledger=shop)
    assert isinstance(immutable.scale(shop, 3).error, errors.Revoked)
    assert isinstance(immutable.deploy(shop, image, size=3).error, errors.Revoked)
    assert immutable.deploy(shop, image).is_live
    lab.kill_server(lab.servers()[0].id)
    assert isinstance(immutable.heal(shop).error, errors.Revoked)
    assert immutable.scale(shop, 1).is_live
    assert immutable.status(shop).release.number == 1
    assert revoking.overrides(ledger=shop) == ()


@pytest.mark.parametrize("error", [errors.Refused, errors.BackendError])
def test_only_what_was_tested_is_launched_beside_what_runs(lab, shop, error):
    """Other bytes under the image's id, or none: neither scaled out nor healed."""
    image = put(lab, "one")
    immutable.deploy(shop, image, size=2).raise_for_outcome()
    if error is errors.Refused:
        lab._cloud.images["one"] = attrs.evolve(image, digest=digest_of("other"))
    else:
        del lab._cloud.images["one"]
    assert isinstance(immutable.scale(shop, 3).error, error)
    lab.kill_server(lab.servers()[0].id)
    left = lab.servers()
    assert isinstance(immutable.heal(shop).error, error)
    assert lab.servers() == left
    assert immutable.scale(shop, 1).is_live


def test_an_override_is_explicit_and_journalled(lab, shop):
    """It names the deployment that it was for, and holds for healing that fleet."""
    image = put(lab, "one")
    revoking.revoke(image, "bad", ledger=shop)
    done = immutable.deploy(shop, image, allow_revoked="no other runs here")
    assert done.is_live
    (known,) = revoking.overrides(ledger=shop)
    assert (known.image, known.revoked) == ("one", "one")
    assert (known.service, known.deployment) == ("shop", done.id)
    assert known.reason == "no other runs here"
    lab.kill_server(lab.servers()[0].id)
    assert immutable.heal(shop).is_live
    assert len(revoking.overrides(ledger=shop)) == 1
    # more of it is another decision
    assert isinstance(immutable.scale(shop, 3).error, errors.Revoked)
    scaled = immutable.scale(shop, 3, allow_revoked="the sale begins")
    assert scaled.is_live
    assert revoking.overrides(ledger=shop)[-1].deployment == scaled.id


def test_healing_what_a_rollback_was_allowed_is_allowed(lab, shop):
    """Also where the rollback launched nothing: the old fleet was still warm."""
    for name in ("one", "two"):
        immutable.deploy(shop, put(lab, name)).raise_for_outcome()
    revoking.revoke("one", "bad", ledger=shop)
    warm = {server.fleet for server in lab.servers()}
    assert immutable.rollback(shop, allow_revoked="two is worse").is_live
    ((live, _),) = immutable.status(shop).routing.weights
    assert live in warm
    lab.kill_server(next(s.id for s in lab.servers() if s.fleet == live))
    assert immutable.heal(shop).is_live


def test_what_one_healing_was_allowed_is_not_allowed_to_the_next(lab, shop):
    """A reason holds for the call that it was given to, and for what that made live."""
    image = put(lab, "one")
    immutable.deploy(shop, image).raise_for_outcome()
    revoking.revoke(image, "bad", ledger=shop)
    for _ in range(2):
        lab.kill_server(lab.servers()[0].id)
        assert isinstance(immutable.heal(shop).error, errors.Revoked)
        assert immutable.heal(shop, allow_revoked="one more hour").is_live


def test_another_revocation_ends_what_was_allowed(lab, shop):
    """What was accepted was the revocation as it stood then."""
    image = put(lab, "one")
    revoking.revoke(image, "bad", ledger=shop)
    assert immutable.deploy(shop, image, allow_revoked="it has to be").is_live
    revoking.revoke(image, "it is being exploited", ledger=shop)
    lab.kill_server(lab.servers()[0].id)
    assert isinstance(immutable.heal(shop).error, errors.Revoked)
    assert immutable.heal(shop, allow_revoked="one more hour").is_live


def test_a_needless_override_is_not_written(lab, shop):
    """Only what was really overridden is journalled."""
    done = immutable.deploy(shop, put(lab, "one"), allow_revoked="to be sure")
    assert done.is_live
    assert records(lab) == []


def test_a_plan_carries_its_override(lab, shop):
    """A plan that was allowed is deployed as it was planned."""
    image = put(lab, "one")
    revoking.revoke(image, "bad", ledger=shop)
    planned = immutable.plan(shop, image, allow_revoked="tonight only")
    assert immutable.deploy(planned).is_live
    assert revoking.overrides(ledger=shop)[0].reason == "tonight only"


def test_nothing_is_launched_before_its_override_is_written(lab, shop):
    """Killed at every step: where there is a server of a revoked image, it was allowed."""
    image = put(lab, "one")
    revoking.revoke(image, "bad", ledger=shop)
    for at in range(1, 60):
        lab.kill_deployer(at=at)
        try:
            immutable.deploy(shop, image, allow_revoked="drill")
        except Killed:
            if lab.servers():
                assert revoking.overrides(ledger=shop)
                break
    else:
        pytest.fail("no kill left a server behind")
    assert immutable.recover(shop).outcome is not immutable.Outcome.NEEDS_RECOVERY


def test_rollback_passes_over_what_is_revoked(lab, shop):
    """The default target is the highest earlier release that may run; it says so."""
    for name in ("one", "two", "three"):
        immutable.deploy(shop, put(lab, name)).raise_for_outcome()
    revoking.revoke("two", "it loses orders", ledger=shop)
    done = immutable.rollback(shop)
    assert done.is_live
    assert done.release.number == 1
    assert any(
        "v2 is skipped" in line and "it loses orders" in line for line in done.warnings
    )


def test_rollback_to_a_revoked_release_needs_an_override(lab, shop):
    """A named target is refused, and allowed with a reason."""
    for name in ("one", "two"):
        immutable.deploy(shop, put(lab, name)).raise_for_outcome()
    revoking.revoke("one", "bad", ledger=shop)
    refused = immutable.rollback(shop, to=1)
    assert isinstance(refused.error, errors.Revoked)
    nothing = immutable.rollback(shop)
    assert isinstance(nothing.error, errors.Revoked)
    assert "nothing to go back to" in str(nothing.error)
    done = immutable.rollback(shop, allow_revoked="two is worse")
    assert done.is_live
    assert done.release.number == 1
    assert revoking.overrides(ledger=shop)[0].deployment == done.id


def test_a_catalogue_that_nobody_wrote_costs_one_read(lab, shop):
    """A deployment asks the ledger once about images, and no image for its ancestors."""
    base = put(lab, "base")
    image = put(lab, "top", base)
    immutable.deploy(shop, put(lab, "other")).raise_for_outcome()
    before = lab.calls
    immutable.deploy(shop, image).raise_for_outcome()
    # by the call, and again before it begins: the image itself, and nothing else
    assert (lab.calls - before)["images.find"] == 2
    assert lab.ledger.records(STREAM) == ()


@pytest.mark.parametrize(
    "data", [b"nonsense", sealed("{}"), sealed("[" * 100_000)], ids=len
)
def test_a_ledger_that_cannot_be_trusted_stops_the_launch(lab, shop, data):
    """Nobody can say that nothing is revoked: nothing is touched."""
    image = put(lab, "one")
    lab.ledger.append(STREAM, 1, data)
    done = immutable.deploy(shop, image)
    assert done.outcome is immutable.Outcome.REFUSED
    assert isinstance(done.error, errors.NotALedger)
    assert lab.servers() == ()


def test_what_contains_the_layers_of_a_revoked_image_is_revoked(lab, shop):
    """Where the backend knows the layers, no parent has to be named, and may be gone."""
    recipe = immutable.Recipe.base("debian:12").packages("libfoo")
    bad = immutable.build(recipe, backend=WHERE)
    upon = immutable.build(recipe.run("echo app"), backend=WHERE)
    beside = immutable.build(
        immutable.Recipe.base("debian:12").run("echo app"), backend=WHERE
    )
    assert upon.parent is None
    revoking.revoke(bad, "libfoo is broken", ledger=shop)
    assert isinstance(immutable.deploy(shop, upon).error, errors.Revoked)
    assert immutable.deploy(shop, beside).is_live
    revoking.unrevoke(bad, "to revoke it again", ledger=shop)
    lab.backend.images.delete(bad.id)
    revoking.revoke(bad.id, "libfoo is broken", ledger=shop)
    assert isinstance(immutable.deploy(shop, upon).error, errors.Revoked)
    # what was built upon it is no reason to refuse what lies beneath
    revoking.unrevoke(bad.id, "the other one", ledger=shop)
    revoking.revoke(upon, "the app is broken", ledger=shop)
    assert immutable.deploy(shop, immutable.build(recipe, backend=WHERE)).is_live


def test_a_lineage_goes_on_through_what_was_deleted(lab, shop):
    """The record of an image that is gone still names its parent."""
    base = immutable.build(immutable.Recipe.base("debian:12"), backend=WHERE)
    middle = immutable.build(immutable.Recipe.on(base).run("one"), backend=WHERE)
    top = immutable.build(immutable.Recipe.on(middle).run("two"), backend=WHERE)
    lab.backend.images.delete(middle.id)
    found = ancestors_in(lab.backend)(top)
    assert [getattr(each, "id", None) for each in found[:2]] == [middle.id, base.id]


# --- the pure parts


def an_image(name, **more):
    """Return an image."""
    return Image(id=ImageId(name), digest=digest_of(name), backend="x", **more)


def a_revocation(image):
    """Return a revocation of an image."""
    return Revocation(
        image=image.id, digests=(image.digest,), reason="bad", at=NOW, by="ann"
    )


def test_the_check_knows_ids_images_and_digests():
    """An ancestor may be an image, the id of one, or the digest of a layer."""
    bad, top = an_image("bad"), an_image("top")
    catalogue = Catalogue(revocations=(a_revocation(bad),))
    for ancestor in (bad, bad.id, bad.digest):
        with pytest.raises(errors.Revoked, match="built upon bad"):
            check_not_revoked(catalogue, top, (an_image("x"), ancestor))
        found = check_not_revoked(catalogue, top, (ancestor,), "accepted")
        assert found == catalogue.revocations[0]
    assert check_not_revoked(catalogue, top, (an_image("x"), top.id)) is None
    assert revocation_of(EMPTY, bad, ()) is None


def test_a_circle_of_parents_ends():
    """A lineage that a backend got wrong is followed once around."""
    one, two = an_image("one", parent=ImageId("two")), an_image("two", parent="one")

    class Circle:
        capabilities = attrs.evolve(
            world(WHERE).backend.capabilities, keeps_records=False
        )

        @property
        def images(self):
            return self

        def find(self, image):
            return {"one": one, "two": two}[image]

    assert ancestors_in(Circle())(one) == (two,)


def record(sequence, entry, snapshot=0):
    """Return a record."""
    return Record(
        sequence=sequence, at=NOW, by="ann", snapshot=snapshot, nonce="0", entry=entry
    )


def test_only_the_latest_overrides_are_kept_in_the_catalogue():
    """The catalogue stays bounded; the ledger keeps them all."""
    catalogue = EMPTY
    for number in range(1, OVERRIDES_KEPT + 11):
        entry = Overridden(
            image="i", revoked="i", service="s", deployment=str(number), reason="r"
        )
        catalogue = fold(catalogue, record(number, entry))
    assert len(catalogue.overrides) == OVERRIDES_KEPT
    assert catalogue.overrides[-1].deployment == str(OVERRIDES_KEPT + 10)


def test_a_record_of_a_newer_version_is_refused():
    """It says what to upgrade; a damaged one says that it is damaged."""
    newer = attrs.evolve(record(1, Withdrawn(channel="a/b")), schema=2)
    with pytest.raises(errors.LedgerTooNew, match="upgrade"):
        decode(encode(newer))
    good = encode(record(1, Withdrawn(channel="a/b")))
    for damaged in (good[:-1], good[1:], b"", b"{}", good.replace(b"a/b", b"c/d")):
        with pytest.raises(errors.NotALedger):
            decode(damaged)


# --- the stream


def revoked(name):
    """Return a record's entry."""
    return Revoked(image=ImageId(name), digests=(), reason="bad")


def test_a_lost_race_is_decided_anew():
    """Who comes second decides about what the first one wrote."""
    store, clock = MemoryStore(), FakeClock()
    mine, rival = Shelf(store, clock), Shelf(store, clock)
    seen = []

    def decide(now):
        seen.append(len(now.revocations))
        if len(seen) == 1:
            rival.change(lambda _: revoked("theirs"))
        return revoked("mine")

    after = mine.change(decide)
    assert seen == [0, 1]
    assert {r.image for r in after.revocations} == {"mine", "theirs"}
    assert mine.load() == after


def test_an_answer_that_is_lost_is_written_once():
    """An append that may have happened is looked for, and not done twice."""
    store, clock = MemoryStore(), FakeClock()
    lost = [1]

    def lose(stream, sequence):
        if lost:
            lost.pop()
            raise errors.Ambiguous("no answer")

    store.after_append = lose
    Shelf(store, clock).change(lambda _: revoked("one"))
    assert len(store.records[STREAM]) == 1


@pytest.mark.parametrize("error", [errors.LedgerReadOnly, errors.Ambiguous])
def test_an_error_of_the_store_is_not_its_own_cause(error):
    """Whoever follows the causes of it comes to an end."""
    store, clock = MemoryStore(), FakeClock()

    def refuse(stream, sequence):
        raise error("full")

    store.before_append = refuse
    with pytest.raises(error) as found:
        Shelf(store, clock).change(lambda _: revoked("one"))
    assert found.value.__cause__ is not found.value


def test_a_rival_who_never_stops_is_an_error_in_the_end():
    """Nobody tries for ever."""
    store, clock = MemoryStore(), FakeClock()
    rival = Shelf(store, clock)

    def decide(now):
        rival.change(lambda _: revoked("theirs"))
        return revoked("mine")

    with pytest.raises(errors.LedgerError, match="first"):
        Shelf(store, clock).change(decide)


def test_reading_does_not_cost_more_as_history_grows():
    """A snapshot is written now and then, and reading begins at the latest."""
    store, clock = MemoryStore(), FakeClock()
    shelf = Shelf(store, clock)
    for number in range(3 * SNAPSHOT_EVERY):
        shelf.change(lambda _, number=number: revoked(f"i{number % 7}"))
    kinds = [type(decode(data).entry) for data in store.records[STREAM]]
    assert kinds.count(Snapshot) == 2
    latest = max(at for at, kind in enumerate(kinds) if kind is Snapshot)
    store.records[STREAM][:latest] = [b"nobody reads this"] * latest
    assert {r.image for r in shelf.load().revocations} == {f"i{n}" for n in range(7)}


def test_a_catalogue_that_no_record_can_hold_is_still_written_and_read(monkeypatch):
    """Nothing is refused: it is read one record after another until it fits again."""
    monkeypatch.setattr(ledger_codec, "SIZE_LIMIT_BYTES", 3000)
    store, clock = MemoryStore(), FakeClock()
    shelf = Shelf(store, clock)
    for number in range(2 * SNAPSHOT_EVERY):
        shelf.change(lambda _, number=number: revoked(f"i{number}"))
    assert len(shelf.load().revocations) == 2 * SNAPSHOT_EVERY
    assert not any(isinstance(r.entry, Snapshot) for r in shelf.history())
    for number in range(2 * SNAPSHOT_EVERY):
        shelf.change(lambda _, number=number: Unrevoked(image=f"i{number}", reason="r"))
    assert shelf.load().revocations == ()
    assert any(isinstance(r.entry, Snapshot) for r in shelf.history())


def test_a_hole_in_the_stream_is_not_read_over():
    """What may be missing is a revocation."""
    store, clock = MemoryStore(), FakeClock()
    shelf = Shelf(store, clock)
    for name in ("one", "two", "three"):
        shelf.change(lambda _, name=name: revoked(name))
    del store.records[STREAM][1]
    with pytest.raises(errors.NotALedger, match="missing"):
        shelf.load()


def test_who_decides_is_written():
    """The process, where nobody says who it is for."""
    store, clock = MemoryStore(), FakeClock()
    shelf = Shelf(store, clock)
    shelf.change(lambda _: revoked("one"))
    shelf.change(lambda _: revoked("two"), by="ann")
    assert [r.by for r in shelf.load().revocations] == [clock.name, "ann"]
    assert [r.entry.image for r in shelf.history()] == ["one", "two"]


def test_leases_of_the_past_are_forgotten(lab, shop):
    """The latest word of each holder counts; long after its time it is dropped."""
    image = put(lab, "one")
    channelling.lease(image, "audit", lasting="1h", ledger=shop)
    until = channelling.lease(image, "audit", lasting="2h", ledger=shop)
    shelf = Shelf(lab.ledger, lab.host)
    assert [lease.until for lease in shelf.load().leases] == [until]
    lab.wait(timedelta(days=31))
    channelling.lease(image, "other", lasting="1h", ledger=shop)
    assert [lease.holder for lease in shelf.load().leases] == ["other"]
    channelling.end_lease(image, "other", ledger=shop)
    channelling.end_lease(image, "other", ledger=shop)
    assert shelf.load().leases == ()


def test_a_backend_that_hesitates_is_asked_again(lab, shop):
    """Whether an image was built upon a revoked one is worth a second question."""
    image = put(lab, "top", put(lab, "base"))
    revoking.revoke("other", "bad", ledger=WHERE)
    # the two before are of the image itself
    lab.fail(Script(Fault.THROTTLED, "images.find", skip=2))
    assert immutable.deploy(shop, image).is_live
    assert lab.struck.total() == 1


def test_an_image_that_is_not_there_cannot_be_leased(lab, shop):
    """As far as is known where to look; an address of a ledger does not say."""
    with pytest.raises(errors.UnknownImage):
        channelling.lease("nothing", "audit", lasting="1h", ledger=shop)
    channelling.lease("nothing", "audit", lasting="1h", ledger=WHERE)


@pytest.mark.parametrize("text", ["[]", "nonsense", '{"schema": 1}', '{"schema": "x"}'])
def test_what_is_sealed_and_no_record_is_damaged(text):
    """A digest that matches does not make a record."""
    with pytest.raises(errors.NotALedger, match="about images"):
        decode(sealed(text))


def test_a_ledger_that_never_answers_leaves_a_doubt():
    """What may have been written is not called failed."""
    store, clock = MemoryStore(), FakeClock()

    def lose(stream, sequence):
        raise errors.Ambiguous("no answer")

    store.before_append = lose
    with pytest.raises(errors.Ambiguous):
        Shelf(store, clock).change(lambda _: revoked("one"))

    def lose_then_fail(stream, sequence):
        store.read = fail
        raise errors.Ambiguous("no answer")

    def fail(stream, *, after, limit):
        raise errors.LedgerReadOnly("cannot be read")

    store.before_append, store.after_append = (lambda *_: None), lose_then_fail
    with pytest.raises(errors.Ambiguous):
        Shelf(store, clock).change(lambda _: revoked("one"))


def test_a_guard_without_a_shelf_lets_everything_pass():
    """Where there is no catalogue, nothing is revoked."""
    guard = Guard()
    image = an_image("one")
    guard.check(image, service="shop")
    guard.admit(image, service="shop", deployment="d")
    assert guard.load() == EMPTY
    assert guard.ancestors(image) == ()


def test_several_at_once_lose_nothing(tmp_path):
    """On a real file, from several connections: each decision is there once, in order."""

    def decide(number):
        shelf = Shelf(SqliteStore(tmp_path / "ledger.db"), ThisHost())
        for each in range(10):
            shelf.change(lambda _, name=f"i{number}-{each}": revoked(name))

    with ThreadPoolExecutor(4) as pool:
        list(pool.map(decide, range(4)))
    shelf = Shelf(SqliteStore(tmp_path / "ledger.db"), ThisHost())
    names = [record.entry.image for record in shelf.history()]
    assert len(names) == len(set(names)) == 40
    for number in range(4):
        mine = [name for name in names if name.startswith(f"i{number}-")]
        assert mine == [f"i{number}-{each}" for each in range(10)]


def test_an_id_that_nobody_has_heard_of_is_not_revoked(shop):
    """It is mistyped: what is meant would go on being launched."""
    with pytest.raises(errors.UnknownImage, match="img-typo") as caught:
        revoking.revoke("img-typo", "CVE-1", ledger=shop)
    assert "another pool" in caught.value.hint
    assert revoking.revocations(ledger=shop) == ()
    image = immutable.build(immutable.Recipe.base("debian:12"), backend=shop.backend)
    assert revoking.revoke(image.id, "CVE-1", ledger=shop).image == image.id


def test_what_is_gone_or_elsewhere_can_be_revoked(lab, shop):
    """By value, by an id that the ledger knows, or where nobody says which pool it is."""
    image = put(lab, "one")
    channelling.promote(image, "shop/stable", ledger=shop)
    del lab._cloud.images[image.id]
    assert revoking.revoke("one", "CVE-1", ledger=shop).image == "one"
    elsewhere = attrs.evolve(image, id=ImageId("theirs"))
    assert revoking.revoke(elsewhere, "CVE-1", ledger=shop).digests == (image.digest,)
    assert revoking.revoke("another", "CVE-1", ledger=WHERE).image == "another"
    assert immutable.deploy(shop, put(lab, "another")).error.resource == "another"
