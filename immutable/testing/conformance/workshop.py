"""Recipes and images that a case makes for itself, and clears away."""

import shutil
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from immutable.images import unbooted
from immutable.images.finding import recorder
from immutable.images.layers import Files
from immutable.images.lock import Lock
from immutable.images.recipe import Recipe
from immutable.images.record import ImageRecord, Kept
from immutable.model import Image, ImageId
from immutable.records import ImageRecords
from immutable.testing.conformance.suite import (
    declares,
    each,
    recipes,
    with_recipe,
)
from immutable.testing.conformance.trial import Trial

with_records = each(
    declares("backend", "keeps_records"),
    declares("backend", "builds_images"),
    with_recipe,
)
"""Apply where a case can build images of its own, and look up how they were made."""


class Workshop:
    """Makes recipes that nobody has built: the subject's, with a file of their own."""

    def __init__(self, t: Trial, folder: Path) -> None:
        self._t = t
        self._folder = folder
        self._made: list[Image] = []
        self.records: ImageRecords = recorder(t.backend)
        """The part of the backend that keeps records."""

    def reopen(self) -> None:
        """Look at records from here on as another process would."""
        self.records = recorder(self._t.reopened())

    def recipe(self, upon: Recipe | None = None) -> Recipe:
        """Return a recipe with a file that no other has; see `own_file`."""
        name = self._t.here.unique()
        source = self._folder / name
        source.write_text(f"made for {name}\n")
        base = recipes(self._t.terms)[0] if upon is None else upon
        return base.files(source, f"/etc/immutable-kit/{name}")

    def build(
        self,
        recipe: Recipe | None = None,
        on_output: Callable[[str], None] = lambda _line: None,
    ) -> Image:
        """Build a recipe, or one that nobody has; it is deleted in the end."""
        asked = self.recipe() if recipe is None else recipe
        image = self._t.backend.images.build(asked, on_output=on_output)
        self._made.append(image)
        return image

    def rebuild(self, image: Image) -> Image:
        """Build an image from its record, and expect it to be identical."""
        again = self.records.rebuild(image.id, on_output=lambda _line: None)
        self._t.expect(again.is_identical, f"{image.id} as it was", again)
        return again.image

    def listed(self, image: Image) -> int:
        """Return how often an image is listed."""
        return [found.id for found in self.records.list()].count(image.id)

    def content(self, image: Image, recipe: Recipe) -> str | None:
        """Return what the image's root has of the recipe's own file."""
        with self.records.root(image.id) as root:
            return unbooted.read(root, str(own_file(recipe).target))

    def record(self, image: Image) -> ImageRecord:
        """Return the record of an image, and expect that there is one."""
        found = self.records.record(image.id)
        if found is None:
            self._t.fail(f"the record of {image.id}", found)
        return found

    def lock(self, recipe: Recipe) -> Lock:
        """Return what a build of a recipe would use."""
        return self.records.lock(recipe, on_output=lambda _line: None)

    def expect_there(self, image: Image) -> None:
        """Expect an image to be found as it was built."""
        found = self._t.backend.images.find(image.id)
        self._t.expect(found == image, f"{image}", found)

    def expect_content(self, image: Image, recipe: Recipe) -> None:
        """Expect the recipe's own file in the image's root."""
        text = self.content(image, recipe)
        self._t.expect(text == text_of(recipe), text_of(recipe), text)

    def expect_record(self, record: ImageRecord) -> None:
        """Expect a record to be as it was."""
        known = self.records.record(record.image.id)
        self._t.expect(known == record, f"{record}", known)

    def expect_kept(self, image: Image, name: Kept, document: bytes) -> None:
        """Expect a document to be kept, as it is."""
        kept = self.records.kept(image.id, name)
        self._t.expect(kept == document, f"{document!r}", kept)

    def lose_files(self) -> None:
        """Lose the local files of all recipes."""
        shutil.rmtree(self._folder)

    def clear(self) -> None:
        """Delete what was built, the newest first."""
        for image in reversed(self._made):
            self._t.backend.images.delete(image.id)


@contextmanager
def workshop(t: Trial) -> Iterator[Workshop]:
    """Give a case a workshop for as long as it lasts."""
    with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as folder:
        shop = Workshop(t, Path(folder) / "files")
        (Path(folder) / "files").mkdir()
        try:
            yield shop
        finally:
            shop.clear()


def own_file(recipe: Recipe) -> Files:
    """Return the layer with the file that only this recipe has."""
    last = recipe.layers[-1]
    if not isinstance(last, Files):
        raise TypeError(f"{recipe} is not of this workshop")
    return last


def text_of(recipe: Recipe) -> str:
    """Return what is in the file that only this recipe has."""
    return own_file(recipe).source.read_text(encoding="utf-8")


def unknown(t: Trial) -> ImageId:
    """Return the id that an image could have which nobody ever built."""
    return ImageId(f"{t.service}-never-built")
