"""What a backend does that keeps how its images were made: beside `protocols.Images`.

The same object has these methods where `Capabilities.keeps_records` is declared. What is
kept here outlives the images, and is there when the backend is opened anew: emptying a
backend of images leaves enough to make each of them again.
"""

from collections.abc import Callable
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Protocol

from immutable.images.lock import Lock
from immutable.images.recipe import Recipe
from immutable.images.record import ImageRecord, Kept, Rebuilt
from immutable.model import Image, ImageId


class ImageRecords(Protocol):
    """The history of images: what they were made of, and making them again."""

    def list(self) -> tuple[Image, ...]:
        """Return every image that is whole, oldest first.

        Then: what `Images.build` returned is listed once, and no more once it is deleted.
        """
        ...

    def record(self, image: ImageId) -> ImageRecord | None:
        """Return how an image was made, whether or not it is still there.

        None when nothing is known of it; an id is matched as by `Images.find`.

        Then: after a build it holds the image as `find` returns it, and the recipe's
        origin and layers in order. The image names its recipe, and the image that it was
        layered upon.
        """
        ...

    def lock(self, recipe: Recipe, *, on_output: Callable[[str], None]) -> Lock:
        """Return what a build of the recipe would use now; nothing is built.

        Then: builds of ``recipe.locked(...)`` use exactly these, now and later, and give
        the same image; the record has this lock.
        Again: what ``recipe.pins`` holds for a layer is returned as it is, and not looked
        up again.

        Raises:
            MissingFiles: the recipe names files that are not there.
            Unavailable: the sources of packages cannot be reached.
            BuildFailed: there is no such package.
        """
        ...

    def recipe(self, image: ImageId, into: Path) -> Recipe:
        """Return the recipe of an image, bound to what the image was made of.

        Given: ``into`` is an empty directory, for the recipe's local files.
        Then: its layers and its lock are those of the record. It can be branched, and a
        build of it makes the same image, for as long as the directory stays as it is.

        Raises:
            UnknownImage: nothing is known of the image.
            MissingFiles: a local file is kept nowhere any more.
        """
        ...

    def rebuild(self, image: ImageId, *, on_output: Callable[[str], None]) -> Rebuilt:
        """Build an image again from its record alone.

        Neither the recipe's local files nor any built layer are needed or used.

        Then: where it came out identical and the image was gone, it is there again.
        Again: the same.

        Raises:
            UnknownImage: nothing is known of it.
            MissingFiles: a package or source is kept nowhere any more; names it.
            BuildFailed: a layer failed.
        """
        ...

    def root(self, image: ImageId) -> AbstractContextManager[Path]:
        """Return the image's root directory, not booted, for reading, for a while.

        What is done to the directory changes no image: writing to it fails, or is lost.

        Then: after the block there is nothing at the path any more.

        Raises:
            UnknownImage: there is no such image; when the block is entered.
        """
        ...

    def keep(self, image: ImageId, name: Kept, content: bytes) -> None:
        """Keep a document beside a record, in one step.

        Then: `kept` returns it, for this image and this name only, also when the image is
        deleted.
        Again: an older one is replaced whole.
        """
        ...

    def kept(self, image: ImageId, name: Kept) -> bytes | None:
        """Return a document that was kept; None when none was kept under this name."""
        ...

    def sweep(self) -> tuple[str, ...]:
        """Remove what killed builds left behind, and return the names of what was removed.

        That is unfinished work, and builders' machines and directories.

        Then: a build in progress loses nothing; whole images, records and documents stay.
        Again: returns nothing.
        """
        ...


class Artefacts(Protocol):
    """Images that other tools have made elsewhere."""

    def adopt(self, manifest: Path) -> Image:
        """Return the image of the artefact that a manifest of Packer's tells of.

        Then: it is the backend's own copy, `Images.find` returns it, and its digest covers
        every byte of it.
        Again: the same artefact is the same image.

        Raises:
            InvalidInput: it is no such manifest, or the artefact cannot be taken.
            NotEnough: it would not fit.
        """
        ...
