"""Cases of `immutable.records.ImageRecords`: what images were made of, and their roots."""

from pathlib import Path

import attrs

from immutable.errors import UnknownImage, Unsupported
from immutable.images.lock import Lock
from immutable.images.recipe import Recipe
from immutable.model import ImageId
from immutable.testing.conformance.case import Part
from immutable.testing.conformance.suite import case, lacks
from immutable.testing.conformance.trial import Trial
from immutable.testing.conformance.workshop import (
    own_file,
    unknown,
    with_records,
    workshop,
)


@case(
    Part.RECORDS,
    "an image is listed while it is there",
    "ImageRecords.list: then: what Images.build returned is listed once, and no more once"
    " it is deleted",
    fit=with_records,
)
def lists(t: Trial) -> None:
    """Build two images and delete one."""
    with workshop(t) as shop:
        one, other = shop.build(), shop.build()
        counts = shop.listed(one), shop.listed(other)
        t.expect(counts == (1, 1), "both, once each", counts)
        t.backend.images.delete(one.id)
        counts = shop.listed(one), shop.listed(other)
        t.expect(counts == (0, 1), f"only {other.id} of the two", counts)


@case(
    Part.RECORDS,
    "the oldest image is listed first",
    "ImageRecords.list: return every image that is whole, oldest first",
    fit=with_records,
)
def lists_in_order(t: Trial) -> None:
    """Build three images, and look for them in this order."""
    with workshop(t) as shop:
        made = [shop.build().id for _ in range(3)]
        listed = [i.id for i in shop.records.list() if i.id in made]
        t.expect(listed == made, f"{made}", listed)


@case(
    Part.RECORDS,
    "a record says what an image was made of",
    "ImageRecords.record: then: after a build it holds the image as find returns it, and"
    " the recipe's origin and layers in order",
    fit=with_records,
)
def records(t: Trial) -> None:
    """Build a recipe, and compare it with the record."""
    with workshop(t) as shop:
        recipe = shop.recipe()
        image = shop.build(recipe)
        record = shop.record(image)
        found = t.backend.images.find(image.id)
        t.expect(record.image == found, f"{found}", record.image)
        t.expect(record.origin == recipe.origin, f"{recipe.origin}", record.origin)
        wanted = [type(layer).__name__ for layer in recipe.layers]
        layers = [type(layer).__name__ for layer in record.layers]
        t.expect(layers == wanted, f"layers {wanted}", layers)
        is_aware = record.built_at.utcoffset() is not None
        t.expect(is_aware, "an instant with its zone", record.built_at)


@case(
    Part.RECORDS,
    "an image knows its recipe and its parent",
    "ImageRecords.record: the image names its recipe, and the image that it was layered"
    " upon",
    fit=with_records,
)
def knows_its_parent(t: Trial) -> None:
    """Build an image, and one upon it."""
    with workshop(t) as shop:
        recipe = shop.recipe()
        below = shop.build(recipe)
        t.expect(below.recipe == recipe.digest, recipe.digest, below.recipe)
        t.expect(below.parent is None, "no parent", below.parent)
        upon = shop.recipe(Recipe.on(below))
        above = shop.build(upon)
        t.expect(above.recipe == upon.digest, upon.digest, above.recipe)
        t.expect(above.parent == below.id, f"parent {below.id}", above.parent)
        known = shop.record(above).image.parent
        t.expect(known == below.id, f"parent {below.id} in the record", known)


@case(
    Part.RECORDS,
    "a record stays when its image is deleted",
    "ImageRecords.record: return how an image was made, whether or not it is still there",
    fit=with_records,
)
def remembers(t: Trial) -> None:
    """Delete an image, and look its record up here and as another process would."""
    with workshop(t) as shop:
        image = shop.build()
        record = shop.record(image)
        t.backend.images.delete(image.id)
        shop.expect_record(record)


@case(
    Part.RECORDS,
    "of other ids nothing is known",
    "ImageRecords.record: None when nothing is known of it",
    fit=with_records,
)
def knows_nothing_else(t: Trial) -> None:
    """Ask for what is nearly an image, and for what never was."""
    with workshop(t) as shop:
        image = shop.build()
        for name in (image.id[:-1], f"{image.id}0", unknown(t), "latest", ""):
            record = shop.records.record(ImageId(name))
            t.expect(record is None, f"None for {name!r}", record)


@case(
    Part.RECORDS,
    "a lock holds",
    "ImageRecords.lock: then: builds of recipe.locked(...) use exactly these, now and"
    " later, and give the same image; the record has this lock",
    fit=with_records,
)
def holds_locks(t: Trial) -> None:
    """Lock a recipe, and build it twice."""
    with workshop(t) as shop:
        recipe = shop.recipe()
        lock = shop.lock(recipe)
        first = shop.build(recipe.locked(lock))
        known = shop.record(first).lock
        t.expect(known == lock, f"{lock}", known)
        t.backend.images.delete(first.id)
        again = shop.build(recipe.locked(lock))
        same = (again.id, again.digest) == (first.id, first.digest)
        t.expect(same, f"{first.id}, digest {first.digest}", again)


@case(
    Part.RECORDS,
    "locking builds nothing",
    "ImageRecords.lock: return what a build of the recipe would use now; nothing is built",
    fit=with_records,
)
def locks_only(t: Trial) -> None:
    """Lock a recipe: no image is there that was not there before."""
    with workshop(t) as shop:
        before = {image.id for image in shop.records.list()}
        shop.lock(shop.recipe())
        new = [image for image in shop.records.list() if image.id not in before]
        t.expect(not new, "no new image", new)


@case(
    Part.RECORDS,
    "what is locked stays as it is",
    "ImageRecords.lock: again: what recipe.pins holds for a layer is returned as it is,"
    " and not looked up again",
    fit=with_records,
)
def keeps_locks(t: Trial) -> None:
    """Lock what is locked, with pins that say that they were found elsewhere."""
    with workshop(t) as shop:
        recipe = shop.recipe()
        lock = shop.lock(recipe)
        moved = _found_elsewhere(lock)
        again = shop.lock(recipe.locked(moved))
        t.expect(again == moved, f"{moved}", again)


@case(
    Part.RECORDS,
    "the root of an image can be read",
    "ImageRecords.root: return the image's root directory, not booted, for reading",
    fit=with_records,
)
def shows_the_root(t: Trial) -> None:
    """Read a file that the recipe has placed."""
    with workshop(t) as shop:
        recipe = shop.recipe()
        image = shop.build(recipe)
        shop.expect_content(image, recipe)


@case(
    Part.RECORDS,
    "a root is gone afterwards",
    "ImageRecords.root: then: after the block there is nothing at the path any more",
    fit=with_records,
)
def puts_the_root_away(t: Trial) -> None:
    """Leave a root, by the end of the block and by an error."""
    with workshop(t) as shop:
        image = shop.build()
        with shop.records.root(image.id) as path:
            first = path
        t.expect(_is_away(first), f"nothing at {first}", "what was there before")
        try:
            with shop.records.root(image.id) as path:
                raise KeyError  # noqa: TRY301 - as a user's own error
        except KeyError:
            t.expect(_is_away(path), f"nothing at {path}", "what was there before")


@case(
    Part.RECORDS,
    "a root changes no image",
    "ImageRecords.root: what is done to the directory changes no image: writing to it"
    " fails, or is lost",
    fit=with_records,
)
def protects_the_root(t: Trial) -> None:
    """Try to write into a root, and look at the next one."""
    with workshop(t) as shop:
        recipe = shop.recipe()
        image = shop.build(recipe)
        with shop.records.root(image.id) as root:
            _try_to_change(root / own_file(recipe).target.relative_to("/"))
        shop.expect_content(image, recipe)
        shop.expect_there(image)


@case(
    Part.RECORDS,
    "what is not there has no root",
    "ImageRecords.root: raises UnknownImage: there is no such image",
    fit=with_records,
)
def has_no_root(t: Trial) -> None:
    """Ask for the root of an image that never was, and of one that is deleted."""
    with workshop(t) as shop:
        image = shop.build()
        t.backend.images.delete(image.id)
        for name in (unknown(t), image.id):
            root = shop.records.root
            t.refused(
                lambda root=root, name=name: root(name).__enter__(),  # type: ignore[misc]  # mypy infers no default
                UnknownImage,
                what=f"the root of {name}",
            )


@case(
    Part.RECORDS,
    "keeping that is not declared is refused",
    "Capabilities.keeps_records: images also has the methods of ImageRecords",
    fit=lacks("backend", "keeps_records"),
)
def refuses_to_lock(t: Trial) -> None:
    """Ask the library for a lock: it refuses without asking the backend."""
    error = t.refused(
        lambda: Recipe.base("debian:12").lock(backend=t.backend),
        Unsupported,
        what="a lock",
    )
    t.expect("keeps_records" in error.message, "the capability's name", error.message)


def _found_elsewhere(lock: Lock) -> Lock:
    entries = (
        attrs.evolve(
            entry,
            pins=tuple(attrs.evolve(pin, origin="elsewhere") for pin in entry.pins),
        )
        for entry in lock.entries
    )
    return Lock(entries=tuple(entries))


def _is_away(root: Path) -> bool:
    return not root.exists() or not any(root.iterdir())


def _try_to_change(path: Path) -> None:
    for change in (lambda: path.write_text("changed"), path.unlink):
        try:
            change()
        except OSError:
            continue
