"""What a backend does that keeps how its images were made: beside `protocols.Images`.

The same object has these methods where `Capabilities.keeps_records` is declared. What is
kept here outlives the images: emptying a backend of images leaves enough to make each of
them again.
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
        """Return every image that is whole, oldest first."""
        ...

    def record(self, image: ImageId) -> ImageRecord | None:
        """Return how an image was made, whether or not it is still there.

        None when nothing is known of it.
        """
        ...

    def lock(self, recipe: Recipe, *, on_output: Callable[[str], None]) -> Lock:
        """Return what a build of the recipe would use now; nothing is built.

        Then: a build of ``recipe.locked(...)`` uses exactly these, now and later.
        What ``recipe.pins`` holds already is not looked up again.

        Raises:
            Unavailable: the sources of packages cannot be reached.
            BuildFailed: there is no such package.
        """
        ...

    def rebuild(self, image: ImageId, *, on_output: Callable[[str], None]) -> Rebuilt:
        """Build an image again from its record alone, using no layer that is there.

        Then: where it came out identical and the image was gone, it is there again.

        Raises:
            UnknownImage: nothing is known of it.
            MissingFiles: a package or source is kept nowhere any more; names it.
            BuildFailed: a layer failed.
        """
        ...

    def root(self, image: ImageId) -> AbstractContextManager[Path]:
        """Return the image's root directory, not booted, for reading, for a while.

        Raises:
            UnknownImage: there is no such image.
        """
        ...

    def keep(self, image: ImageId, name: Kept, content: bytes) -> None:
        """Keep a document beside a record, in one step; an older one is replaced."""
        ...

    def kept(self, image: ImageId, name: Kept) -> bytes | None:
        """Return a document that was kept, or None."""
        ...
