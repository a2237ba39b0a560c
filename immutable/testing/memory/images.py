"""Images of ``memory://``, and what is known of each; see `immutable.records`."""

import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import attrs

from immutable.errors import BuildFailed, UnknownImage
from immutable.images.lock import Lock
from immutable.images.origins import Existing
from immutable.images.recipe import Recipe
from immutable.images.record import ImageRecord, Kept, Rebuilt
from immutable.model import Image, ImageId
from immutable.testing.backend import SimulatedImages, image_name
from immutable.testing.cloud import Cloud
from immutable.testing.gate import Gate
from immutable.testing.memory.adopting import image_of
from immutable.testing.memory.archive import Archive
from immutable.testing.memory.laying import Laying
from immutable.testing.memory.making import made_again, recipe_from, record_of
from immutable.testing.memory.pinning import lock_of
from immutable.testing.memory.rooting import lay_image
from immutable.testing.scheduling import EPOCH, Killed
from immutable.testing.servers import to_datetime


class MemoryImages(SimulatedImages):
    """`immutable.protocols.Images` and `immutable.records.ImageRecords`, in memory."""

    def __init__(self, cloud: Cloud, gate: Gate, archive: Archive) -> None:
        super().__init__(cloud, gate)
        self._archive = archive

    def build(self, recipe: Recipe, *, on_output: Callable[[str], None]) -> Image:
        """Note an image that is named after the recipe's digest, and what it is made of."""
        name = image_name(recipe)
        if name not in self._cloud.images:
            on_output(f"built {name}")
        record = self._archive.records.get(name) or record_of(recipe, self._archive)
        try:
            return self._gate.effect(
                "images.build", name, land=lambda _: self._put(record)
            )
        except Killed:
            self._archive.unfinished.append(f"work/{name}")
            raise

    def adopt(self, manifest: Path) -> Image:
        """Note an image that is named after the bytes of an artefact."""
        image = image_of(manifest, self._cloud.provider.name)
        return self._gate.effect(
            "images.adopt", image.id, land=lambda _: self._adopted(image)
        )

    def _adopted(self, image: Image) -> Image:
        dated = attrs.evolve(image, built_at=to_datetime(self._cloud.now_us))
        return self._cloud.images.setdefault(image.id, dated)

    def list(self) -> tuple[Image, ...]:
        """Return every image, oldest first; those put there by hand are the oldest."""
        return self._gate.read(
            "images.list",
            look=lambda _: tuple(
                sorted(self._cloud.images.values(), key=lambda i: i.built_at or EPOCH)
            ),
        )

    def record(self, image: ImageId) -> ImageRecord | None:
        """Return how an image was made, also of one that is gone."""
        return self._gate.read(
            "images.record", image, look=lambda _: self._archive.records.get(image)
        )

    def lock(self, recipe: Recipe, *, on_output: Callable[[str], None]) -> Lock:
        """Return pins that are made of the packages' names."""
        lock = lock_of(recipe)
        for entry in lock.entries:
            on_output(f"{entry.what}: {', '.join(pin.file for pin in entry.pins)}")
        return self._gate.read("images.lock", recipe.digest, look=lambda _: lock)

    def recipe(self, image: ImageId, into: Path) -> Recipe:
        """Return the recipe of an image, its files written into a directory."""
        record = self.record(image)
        if record is None:
            raise _unknown(image)
        return recipe_from(record, self._archive, into)

    def rebuild(self, image: ImageId, *, on_output: Callable[[str], None]) -> Rebuilt:
        """Make an image again from what is kept, and put it back where it was gone."""
        record = self.record(image)
        if record is None:
            raise _unknown(image)
        with tempfile.TemporaryDirectory(prefix="immutable-rebuild-") as folder:
            rebuilt = made_again(record, self._archive, Path(folder))
        on_output(f"built {image} again")
        if rebuilt.is_identical:
            self._gate.effect("images.rebuild", image, land=lambda _: self._put(record))
        return rebuilt

    @contextmanager
    def root(self, image: ImageId) -> Iterator[Path]:
        """Yield a directory with what the image's layers place; afterwards it is gone."""
        if self._gate.read("images.root", image, look=self._is_there(image)) is None:
            raise _unknown(image)
        record = self._archive.records.get(image)
        with tempfile.TemporaryDirectory(prefix="immutable-root-") as folder:
            root = Path(folder)
            if record is not None:
                self._lay(record, root)
            yield root

    def keep(self, image: ImageId, name: Kept, content: bytes) -> None:
        """Keep a document of an image, in place of an older one."""
        key = (image, name)
        self._gate.effect(
            "images.keep",
            image,
            name,
            land=lambda _: self._archive.documents.__setitem__(key, content),
        )

    def kept(self, image: ImageId, name: Kept) -> bytes | None:
        """Return a document that was kept, or None."""
        return self._gate.read(
            "images.kept",
            image,
            name,
            look=lambda _: self._archive.documents.get((image, name)),
        )

    def sweep(self) -> tuple[str, ...]:
        """Remove the work of builds that were killed."""
        return self._gate.effect("images.sweep", land=lambda _: self._swept())

    def _swept(self) -> tuple[str, ...]:
        names = tuple(self._archive.unfinished)
        self._archive.unfinished.clear()
        return names

    def _is_there(self, image: ImageId) -> Callable[[int], Image | None]:
        return lambda _: self._cloud.images.get(image)

    def _put(self, record: ImageRecord) -> Image:
        """Let an image be there, and be known for ever after; in one instant."""
        name = record.image.id
        if (found := self._cloud.images.get(name)) is not None:
            return found
        known = self._archive.records.get(name)
        if known is None:
            self._check_below(record)
            now = to_datetime(self._cloud.now_us)
            image = attrs.evolve(record.image, built_at=now)
            known = attrs.evolve(record, image=image, built_at=now)
            self._archive.records[name] = known
        self._cloud.images[name] = known.image
        return known.image

    def _check_below(self, record: ImageRecord) -> None:
        if not isinstance(record.origin, Existing):
            return
        below = self._cloud.images.get(record.origin.image)
        if below is None:
            raise _unknown(record.origin.image)
        if below.digest != record.origin.content:
            raise BuildFailed(
                f"{below.id} is another image than the recipe was made for",
                hint="make the recipe with Recipe.on(image) again",
            )

    def _lay(self, record: ImageRecord, root: Path) -> None:
        laying = Laying(root)
        try:
            lay_image(record, self._archive, laying)
            laying.finish()
        except OSError as exc:
            raise BuildFailed(
                f"the layers of {record.image.id} do not fit together: {exc}",
                hint="one places a file where another needs a directory",
            ) from exc


def _unknown(image: ImageId) -> UnknownImage:
    return UnknownImage(f"memory has no image {image!r}", hint="build it first")
