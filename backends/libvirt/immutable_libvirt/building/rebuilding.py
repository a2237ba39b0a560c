"""Building an image again from its record alone, and comparing what came of it."""

import shutil
from collections.abc import Iterator
from pathlib import Path

import attrs

from immutable.errors import UnknownImage
from immutable.images.origins import Existing
from immutable.images.record import Difference, ImageRecord, Rebuilt
from immutable.model import Digest, Image, ImageId
from immutable_libvirt.building.comparing import differing
from immutable_libvirt.building.intact import (
    kernel_is_intact,
    layer_is_intact,
    seen_whole,
)
from immutable_libvirt.building.keeping import recipe_from
from immutable_libvirt.building.layers import Built
from immutable_libvirt.building.making import Made, Workshop
from immutable_libvirt.building.manifest import Manifest, load
from immutable_libvirt.building.recording import read_record
from immutable_libvirt.durable import read
from immutable_libvirt.pool import Pool


@attrs.frozen(kw_only=True)
class Rebuilding:
    """A pool of its own in a workspace, in which an image is made from nothing."""

    workshop: Workshop
    """Where the image was, or is."""
    directory: Path

    @property
    def aside(self) -> Workshop:
        """Return where it is made: nothing is there yet, but the archive is the same."""
        return attrs.evolve(self.workshop, pool=Pool(self.directory / "pool"))

    def rebuild(self, image: ImageId) -> Rebuilt:
        """Build an image again, and publish it where it was and is gone.

        Raises:
            UnknownImage: nothing is known of it, or of what it was built upon.
            MissingFiles: something that it was made of is kept nowhere any more.
            BuildFailed: a layer failed.
        """
        self.aside.pool.prepare()
        rebuilt, made = self._rebuilt(image)
        if rebuilt.is_identical:
            self._adopt(made, rebuilt.image)
        return rebuilt

    def _rebuilt(self, image: ImageId) -> tuple[Rebuilt, Made]:
        record = self._record(image)
        if isinstance(record.origin, Existing):
            parent, made = self._rebuilt(record.origin.image)
            if not parent.is_identical:  # nor can what stands on it be
                return attrs.evolve(parent, record=record), made
        made = self._made(record)
        found = made.manifest.image
        rebuilt = Rebuilt(
            record=record,
            image=record.image if found.digest == record.image.digest else found,
            differences=tuple(self._differences(record, made)),
        )
        return rebuilt, made

    def _record(self, image: ImageId) -> ImageRecord:
        record = read_record(self.workshop.archive, image)
        if record is None:
            raise UnknownImage(
                f"nothing is known of how {image} was made",
                hint="records lie beside the pool that the image was built in",
                operation="images.rebuild",
                resource=image,
                backend="libvirt",
            )
        return record

    def _made(self, record: ImageRecord) -> Made:
        sources = self.directory / f"sources-{record.image.id}"
        sources.mkdir()
        recipe = recipe_from(record, self.workshop.archive, sources)
        # what is below says nothing of booting: the record's own lock does
        made = self.aside.making(recipe, None).make()
        pool = self.aside.pool
        pool.note(pool.image(made.manifest.id), made.manifest.to_document())
        return made

    def _differences(self, record: ImageRecord, made: Made) -> Iterator[Difference]:
        if record.kernel != made.manifest.kernel:
            found = made.manifest.kernel
            yield Difference(layer="boot", expected=record.kernel, found=found)
        pairs = zip(record.built, made.layers, strict=False)
        for position, (first, layer) in enumerate(pairs):
            if first.content != layer.content:
                yield Difference(
                    layer=layer.what,
                    expected=first.content,
                    found=layer.content,
                    paths=self._paths(record.image, position, layer),
                )

    def _paths(self, image: Image, position: int, layer: Built) -> tuple[str, ...]:
        """Return what differs, where the pool still has what was built first."""
        manifest = load(self.workshop.pool, image.id)
        trees = manifest.trees if manifest else ()
        first = self.workshop.pool.tree(trees[position]) if trees else None
        if first is None or not first.is_dir():
            return ()
        return differing(first, self.aside.pool.tree(layer.name))

    def _adopt(self, made: Made, image: Image) -> None:
        """Publish what is gone or damaged; the manifest comes last and makes it count."""
        pool, aside = self.workshop.pool, self.aside.pool
        for layer in made.layers:
            with pool.lock(layer.name):
                self._adopt_layer(layer)
        kernel = made.manifest.kernel
        if not kernel_is_intact(pool, kernel, fully=True):
            shutil.rmtree(pool.kernel(kernel), ignore_errors=True)
            pool.publish(aside.kernel(kernel), pool.kernel(kernel))
            seen_whole(pool, kernel, tuple(pool.kernel(kernel).iterdir()))
        with pool.lock(image.id):
            if load(pool, image.id) is None:
                manifest = _as_it_was(made.manifest, image)
                pool.note(pool.image(image.id), manifest.to_document())

    def _adopt_layer(self, layer: Built) -> None:
        pool, aside = self.workshop.pool, self.aside.pool
        kept, tree = pool.layer(layer.content), pool.tree(layer.name)
        if not layer_is_intact(pool, layer.content, fully=True):
            shutil.copyfile(aside.layer(layer.content), self.directory / "layer")
            (self.directory / "layer").chmod(0o444)
            pool.publish(self.directory / "layer", kept)
            seen_whole(pool, layer.content, (kept,))
        note = read(aside.build(layer.name))
        if not tree.is_dir():
            pool.publish(aside.tree(layer.name), tree)
        if note:
            pool.note(pool.build(layer.name), note)


def _as_it_was(made: Manifest, image: Image) -> Manifest:
    """Return a manifest that says what the image's record says."""
    recipe = image.recipe or Digest("")
    built_at = image.built_at or made.built_at
    return attrs.evolve(made, recipe=recipe, built_at=built_at)
