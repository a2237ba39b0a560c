"""Backends whose records of images, locks or rebuilding break the contract."""

# ruff: noqa: D101 - what is wrong with each is said in DEFECTS, at the end

from itertools import count

import attrs
from broken import Defect, Over
from broken_images import Flapping, another_error, images

from immutable.errors import BackendError, UnknownImage
from immutable.images.lock import Lock
from immutable.model import Digest, digest_of

_SERIAL = count()


def another_digest():
    """Return a digest that nothing has."""
    return Digest(digest_of("another digest", next(_SERIAL)))


class ListsWhatWas(Over):
    def __init__(self, inner):
        super().__init__(inner)
        self.seen = {}

    def list(self):
        self.seen |= {image.id: image for image in self.inner.list()}
        return tuple(self.seen.values())


class ListsTwice(Over):
    def list(self):
        return self.inner.list() + self.inner.list()


class NewestFirst(Over):
    def list(self):
        return tuple(reversed(self.inner.list()))


class Noted(Over):
    """Notes something else of each image: a subclass says what, by the true record."""

    def record(self, image):
        found = self.inner.record(image)
        return found and attrs.evolve(found, **self.instead(found))


class LayersBackwards(Noted):
    def instead(self, found):
        return {"layers": found.layers[::-1]}


class AnotherImage(Noted):
    def instead(self, found):
        return {"image": attrs.evolve(found.image, digest=another_digest())}


class NoTimeZone(Noted):
    def instead(self, found):
        return {"built_at": found.built_at.replace(tzinfo=None)}


class Orphans(Over):
    def build(self, recipe, *, on_output):
        return attrs.evolve(self.inner.build(recipe, on_output=on_output), parent=None)


class OrphansInRecords(Noted):
    def instead(self, found):
        return {"image": attrs.evolve(found.image, parent=None)}


class RecordsDieToo(Over):
    def record(self, image):
        return self.inner.record(image) if self.inner.find(image) else None


class KnowsTheLatest(Over):
    def record(self, image):
        newest = self.inner.list()[-1].id
        return self.inner.record(newest if image == "latest" else image)


class LocksWithoutHolding(Over):
    def build(self, recipe, *, on_output):
        image = self.inner.build(recipe, on_output=on_output)
        if recipe.pins is None:
            return image
        return attrs.evolve(image, digest=another_digest())


class ForgetsLocks(Noted):
    def instead(self, found):
        return {"lock": Lock()}


class BuildsToLock(Over):
    def lock(self, recipe, *, on_output):
        self.inner.build(recipe, on_output=on_output)
        return self.inner.lock(recipe, on_output=on_output)


class LooksUpAgain(Over):
    def lock(self, recipe, *, on_output):
        return self.inner.lock(attrs.evolve(recipe, pins=None), on_output=on_output)


class SpoilsFiles(Over):
    def recipe(self, image, into):
        found = self.inner.recipe(image, into)
        for path in into.rglob("*"):
            if path.is_file():
                path.write_text("something else")
        return found


class ForgetsLayers(Over):
    def recipe(self, image, into):
        found = self.inner.recipe(image, into)
        return attrs.evolve(found, layers=found.layers[-1:])


class RecipesOfNobody(Over):
    def recipe(self, image, into):
        with another_error(UnknownImage, f"no record of {image}"):
            return self.inner.recipe(image, into)


class RebuildsSomethingElse(Over):
    def rebuild(self, image, *, on_output):
        found = self.inner.rebuild(image, on_output=on_output)
        return attrs.evolve(
            found, image=attrs.evolve(found.image, digest=another_digest())
        )


class RebuildsInPlace(Over):
    def rebuild(self, image, *, on_output):
        if self.inner.record(image) and self.inner.find(image) is None:
            raise BackendError(f"{image} has no layers to build it from")
        return self.inner.rebuild(image, on_output=on_output)


class RebuildsFromTheRecipe(Over):
    """Keeps no files: looks for them where they were when the image was built."""

    def __init__(self, inner):
        super().__init__(inner)
        self.built = {}

    def build(self, recipe, *, on_output):
        image = self.inner.build(recipe, on_output=on_output)
        self.built[image.id] = recipe
        return image

    def rebuild(self, image, *, on_output):
        if image in self.built:
            self.built[image].digests()
        return self.inner.rebuild(image, on_output=on_output)


class NoWayBack(Over):
    def rebuild(self, image, *, on_output):
        was_there = self.inner.find(image) is not None
        found = self.inner.rebuild(image, on_output=on_output)
        if not was_there:
            self.inner.delete(image)
        return found


class UnknownIsMissing(Over):
    def rebuild(self, image, *, on_output):
        with another_error(UnknownImage, f"no record of {image}"):
            return self.inner.rebuild(image, on_output=on_output)


class RecordsInTheObject(Over):
    def __init__(self, inner):
        super().__init__(inner)
        self.known = {}

    def build(self, recipe, *, on_output):
        image = self.inner.build(recipe, on_output=on_output)
        self.known[image.id] = self.inner.record(image.id)
        return image

    def record(self, image):
        return self.known.get(image)


LISTED = "records: an image is listed while it is there"
SAYS = "records: a record says what an image was made of"
FAMILY = "records: an image knows its recipe and its parent"
HOLDS = "records: a lock holds"
RECIPE = "records: the recipe of an image makes it again"
IDENTICAL = "records: a rebuilt image is identical"
THERE_AGAIN = "records: a rebuilt image is there again if it was deleted"
ANEW = "records: records and documents outlive the process"
DEFECTS = (
    images("lists deleted images", ListsWhatWas, LISTED),
    images("lists images twice", ListsTwice, LISTED),
    images(
        "lists the newest first",
        NewestFirst,
        "records: the oldest image is listed first",
    ),
    images("notes layers backwards", LayersBackwards, SAYS),
    images("notes another image", AnotherImage, SAYS),
    images("notes times without a zone", NoTimeZone, SAYS),
    images("forgets parents", Orphans, FAMILY),
    images("notes no parents", OrphansInRecords, FAMILY),
    images(
        "forgets deleted images",
        RecordsDieToo,
        "records: a record stays when its image is deleted",
    ),
    images(
        "knows a record of the latest",
        KnowsTheLatest,
        "records: of other ids nothing is known",
    ),
    images("builds otherwise than locked", LocksWithoutHolding, HOLDS),
    images("notes no locks", ForgetsLocks, HOLDS),
    images("builds in order to lock", BuildsToLock, "records: locking builds nothing"),
    images(
        "looks up what is locked",
        LooksUpAgain,
        "records: what is locked stays as it is",
    ),
    images("lays out other files", SpoilsFiles, RECIPE),
    images("gives half a recipe", ForgetsLayers, RECIPE),
    images(
        "has a recipe of nobody's image",
        RecipesOfNobody,
        "records: the recipe of an unknown image is refused",
    ),
    images("rebuilds something else", RebuildsSomethingElse, IDENTICAL, THERE_AGAIN),
    images("rebuilds from the image itself", RebuildsInPlace, THERE_AGAIN),
    images("keeps no files", RebuildsFromTheRecipe, IDENTICAL, THERE_AGAIN),
    images("rebuilds and throws away", NoWayBack, THERE_AGAIN),
    images(
        "rebuilds the unknown with another error",
        UnknownIsMissing,
        "records: what nobody knows is not rebuilt",
    ),
    images("remembers records in the object", RecordsInTheObject, ANEW),
    Defect(
        name="keeps records though it says that it does not",
        backend=lambda lab, b: Flapping(b, lab, keeps_records=False),
        found_by=("records: keeping that is not declared is refused",),
    ),
)
