"""The image side of the backend: found by id, built from recipes, booted directly."""

import re
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import attrs

from immutable.errors import BuildFailed, NotEnough, UnknownImage, Unsupported
from immutable.images.lock import BOOT, Entry, Lock
from immutable.images.origins import Existing, Packer
from immutable.images.recipe import Recipe
from immutable.images.record import ImageRecord, Kept, Rebuilt
from immutable.model import Digest, Image, ImageId, digest_of
from immutable_libvirt.archive import Archive
from immutable_libvirt.bootable import BootDisk, BootFiles
from immutable_libvirt.building import collecting, packing, steps
from immutable_libvirt.building.boot import guest_key
from immutable_libvirt.building.keeping import recipe_from
from immutable_libvirt.building.kernel import COMMAND_LINE
from immutable_libvirt.building.making import Made, Making, Workshop
from immutable_libvirt.building.manifest import SCHEMA, Manifest, load, load_all
from immutable_libvirt.building.needs import check_needs, check_tools
from immutable_libvirt.building.process import Output
from immutable_libvirt.building.rebuilding import Rebuilding
from immutable_libvirt.building.recording import read_record, record
from immutable_libvirt.building.viewing import viewed
from immutable_libvirt.config import LibvirtConfig
from immutable_libvirt.durable import read
from immutable_libvirt.pool import Pool

_IMAGE_ID = re.compile(r"img-[0-9a-f]{16}")
_GIBIBYTE = 1 << 30
_TIMES = 4  # a disk and a tree of each layer, and the packages while they are unpacked
_FULL = ("No space left on device", "enough free space")


def boot_files(pool: Path, image: ImageId) -> BootFiles:
    """Return the files that an image boots from.

    Raises:
        UnknownImage: the pool has no such image.
    """
    manifest = _required(Pool(pool), image, "images.boot_files")
    _require_layers(manifest, "images.boot_files")
    kernel = Pool(pool).kernel(manifest.kernel)
    return BootFiles(
        kernel=kernel / "vmlinuz",
        initrd=kernel / "initrd",
        layers=tuple(Pool(pool).layer(layer) for layer in manifest.layers),
        command_line=manifest.command_line,
    )


def boot_disk(pool: Path, image: ImageId) -> BootDisk | None:
    """Return the disk that an image is; None for one of layers, or an unknown one."""
    manifest = _load(Pool(pool), image)
    if manifest is None or manifest.disk is None:
        return None
    disk = manifest.disk
    path = Pool(pool).disk(disk.content, disk.format)
    return BootDisk(path=path, format=disk.format)


@attrs.frozen(kw_only=True)
class LibvirtImages:
    """Images in a pool: `immutable.protocols.Images` and `immutable.records.ImageRecords`."""

    pool: Path
    config: LibvirtConfig = attrs.field(
        default=attrs.Factory(
            lambda self: LibvirtConfig(pool=self.pool), takes_self=True
        )
    )

    def find(self, image: ImageId) -> Image | None:
        """Return the image with exactly this id, or None when there is none."""
        manifest = _load(Pool(self.pool), image)
        return manifest.image if manifest else None

    def build(self, recipe: Recipe, *, on_output: Callable[[str], None]) -> Image:
        """Build a recipe and return its image; one that exists is returned unbuilt.

        Only layers from the first change on are built. What is downloaded, and the
        recipe's own files, stay in the archive beside the pool.

        Raises:
            InvalidInput: the recipe's base, or its number of layers, is beyond us.
            UnknownImage: the image that it is built upon is gone.
            MissingFiles: the recipe names files that are not there, or is locked to
                packages that are kept nowhere any more.
            NotEnough: the image would not fit, or be larger than is allowed.
            PermissionDenied: the pool cannot be written, or the caller is not root.
            Unavailable: a tool is missing, or the mirrors cannot be reached.
            Unsupported: layers are to be put upon a whole disk, as Packer makes them.
            BuildFailed: a layer failed; the message holds its last lines.
        """
        pool = Pool(self.pool)
        if isinstance(recipe.origin, Packer):
            return self._packed(recipe, recipe.origin, on_output)
        making = self._making(recipe, on_output)
        index = pool.build(_index(making))
        found = self._known(index)
        if found:
            return found.image
        known = making.known()
        check_needs(
            pool,
            making.steps(known),
            below=len(making.ground.below),
            boots=making.has_kernel(known),
        )
        self._archive.prepare()
        with _told_when_full(pool), pool.lock("pool", shared=True):
            return self._built(making, index)

    def adopt(self, manifest: Path) -> Image:
        """Return the image of the disk that a manifest of Packer's tells of.

        The disk is copied; it is the manifest's last run that counts.

        Args:
            manifest: what Packer's post-processor ``manifest`` wrote. Names in it are
                relative to its directory. The disk is qcow2, unless the manifest's
                ``custom_data`` has a ``format``.

        Raises:
            InvalidInput: it is no such manifest, or the disk is none that is taken.
            NotEnough: the pool has no room for it, or it is larger than is allowed.
            PermissionDenied: the pool cannot be written, or the caller is not root.
            Unavailable: a tool is missing.
        """
        pool = Pool(self.pool)
        pool.prepare()
        self._archive.prepare()
        with _told_when_full(pool), pool.lock("pool", shared=True):
            made = packing.adopted(self._workshop(_unheard), manifest)
            image = made.manifest.image
            # There is no recipe: the image is all that is known of it.
            origin = Existing(image=image.id, content=image.digest)
            index = pool.build(_disk_index(made.manifest.recipe))
            return self._published(Recipe(origin=origin), made, index)

    def _known(self, index: Path) -> Manifest | None:
        """Return the image that was built before, if it and its record are there."""
        found = _indexed(Pool(self.pool), index)
        return found if found and self._archive.has_record(found.id) else None

    def _packed(self, recipe: Recipe, origin: Packer, on_output: Output) -> Image:
        pool, index = Pool(self.pool), Pool(self.pool).build(_disk_index(recipe.digest))
        found = self._known(index)
        if found:
            return found.image
        packing.check(recipe)
        pool.prepare()
        self._archive.prepare()
        with (
            _told_when_full(pool),
            pool.lock("pool", shared=True),
            pool.lock(recipe.digest),
        ):
            found = self._known(index)
            if found:
                return found.image
            made = packing.packed(self._workshop(on_output), recipe, origin)
            return self._published(recipe, made, index)

    def _built(self, making: Making, index: Path) -> Image:
        return self._published(making.recipe, making.make(), index)

    def _published(self, recipe: Recipe, made: Made, index: Path) -> Image:
        """Publish an image; it counts as built when its manifest is there, not before."""
        pool, manifest = Pool(self.pool), made.manifest
        with pool.lock(manifest.id):
            there = load(pool, manifest.id)
            if there is None or not self._archive.has_record(manifest.id):
                manifest = there or manifest
                record(self._archive, recipe, attrs.evolve(made, manifest=manifest))
                pool.note(pool.image(manifest.id), manifest.to_document())
            pool.note(index, {"image": manifest.id, "schema": SCHEMA})
        return (there or manifest).image

    def delete(self, image: ImageId) -> None:
        """Delete an image and what only it uses; one that is already gone is no error.

        Bases and kernels stay: they are what takes long to make. So does its record.
        """
        if _IMAGE_ID.fullmatch(image) and self.pool.is_dir():
            collecting.delete(Pool(self.pool), image)

    def list(self) -> tuple[Image, ...]:
        """Return every image that is whole, oldest first."""
        return tuple(manifest.image for manifest in load_all(Pool(self.pool)))

    def record(self, image: ImageId) -> ImageRecord | None:
        """Return how an image was made, whether or not it is still there.

        Raises:
            InvalidInput: its record is damaged, or of a newer version.
        """
        return read_record(self._archive, image)

    def lock(self, recipe: Recipe, *, on_output: Callable[[str], None]) -> Lock:
        """Return what a build of the recipe would use now; nothing is built.

        A layer that is built already has what it was built of, until it is deleted. Where
        what lies below a layer is not built, what commands there change about packages is
        not known: then build first, and take the lock of the image's record.

        Raises:
            InvalidInput: the recipe's base is beyond us.
            UnknownImage: the image that it is built upon is gone.
            MissingFiles: the recipe names files that are not there.
            PermissionDenied: the pool cannot be written.
            Unavailable: the mirrors cannot be reached, or a tool is missing.
            BuildFailed: there is no such package.
        """
        if isinstance(recipe.origin, Packer):
            return Lock()  # nothing of it is known before it is run
        making = self._making(recipe, on_output)
        check_tools()
        Pool(self.pool).prepare()
        self._archive.prepare()
        with Pool(self.pool).lock("pool", shared=True):
            return making.lock()

    def recipe(self, image: ImageId, into: Path) -> Recipe:
        """Return the recipe of an image, its local files laid out in a directory.

        Raises:
            UnknownImage: nothing is known of the image.
            MissingFiles: a file is kept no more; names its hash.
        """
        found = read_record(self._archive, image)
        if found is None:
            raise _unknown(self.pool, image, "images.recipe")
        return recipe_from(found, self._archive, into)

    def rebuild(self, image: ImageId, *, on_output: Callable[[str], None]) -> Rebuilt:
        """Build an image again from its record alone, using no layer that is there.

        It is done in a pool of its own, in the pool's workspace. What the image was built
        upon is built again, too.

        Raises:
            UnknownImage: nothing is known of it.
            MissingFiles: a package or source is kept nowhere any more; names it.
            NotEnough: there is no room for all of it once more.
            PermissionDenied, Unavailable, BuildFailed: see `build`.
        """
        found = read_record(self._archive, image)
        if found is None:
            raise _unknown(self.pool, image, "images.rebuild")
        pool = Pool(self.pool)
        check_needs(pool, (), below=0, boots=False)
        pool.require_space(_TIMES * found.image.size_bytes)
        self._archive.prepare()
        with (
            _told_when_full(pool),
            pool.lock("pool", shared=True),
            pool.workspace() as work,
        ):
            workshop = self._workshop(on_output)
            if packing.is_whole_disk(found):
                return packing.packed_again(workshop, found, work)
            return Rebuilding(workshop=workshop, directory=work).rebuild(image)

    @contextmanager
    def root(self, image: ImageId) -> Iterator[Path]:
        """Return the image's root directory, not booted, for reading, for a while.

        Deleting images waits until it is over.

        Raises:
            UnknownImage: there is no such image; when the block is entered.
        """
        manifest = _required(Pool(self.pool), image, "images.root")
        _require_layers(manifest, "images.root")
        with viewed(Pool(self.pool), manifest, on_output=_unheard) as root:
            yield root

    def keep(self, image: ImageId, name: Kept, content: bytes) -> None:
        """Keep a document beside a record, in one step; an older one is replaced.

        Raises:
            UnknownImage: nothing is known of the image.
        """
        if not _IMAGE_ID.fullmatch(image):
            raise _unknown(self.pool, image, "images.keep")
        self._archive.keep(image, name, content)

    def kept(self, image: ImageId, name: Kept) -> bytes | None:
        """Return a document that was kept, or None."""
        return self._archive.kept(image, name)

    def sweep(self) -> tuple[str, ...]:
        """Remove what killed builds left behind, and return the names of what was removed.

        Raises:
            Unavailable: machines were left behind, and libvirt cannot be asked.
        """
        # Late: whoever boots nothing needs no libvirt.
        from immutable_libvirt.building import booted

        pool = Pool(self.pool)
        left = (*pool.sweep(), *collecting.sweep(pool), *self._archive.sweep())
        return (*left, *booted.sweep(self.config))

    @property
    def _archive(self) -> Archive:
        return Archive.of(Pool(self.pool))

    def _workshop(self, on_output: Output) -> Workshop:
        return Workshop(
            pool=Pool(self.pool),
            archive=self._archive,
            config=self.config,
            limit_bytes=self.config.max_image_gib * _GIBIBYTE,
            on_output=on_output,
        )

    def _making(self, recipe: Recipe, on_output: Output) -> Making:
        return self._workshop(on_output).making(recipe, self._boot_of(recipe))

    def _boot_of(self, recipe: Recipe) -> Entry | None:
        """Return what an image boots by that a recipe is built upon."""
        if not isinstance(recipe.origin, Existing):
            return None
        found = read_record(self._archive, recipe.origin.image)
        return found.lock.find(BOOT) if found else None


def _load(pool: Pool, image: ImageId) -> Manifest | None:
    return load(pool, image) if _IMAGE_ID.fullmatch(image) else None


def _required(pool: Pool, image: ImageId, operation: str) -> Manifest:
    manifest = _load(pool, image)
    if manifest is None:
        raise _unknown(pool.root, image, operation)
    return manifest


def _require_layers(manifest: Manifest, operation: str) -> None:
    if manifest.disk:
        raise Unsupported(
            f"{manifest.id} is a whole disk, which is not looked into",
            hint="look at an instance of it",
            operation=operation,
            resource=manifest.id,
            backend="libvirt",
        )


def _unknown(pool: Path, image: ImageId, operation: str) -> UnknownImage:
    return UnknownImage(
        f"the pool {pool} has no image {image}",
        hint="build it, or name the pool that it is in with ?pool=/path",
        operation=operation,
        resource=image,
        backend="libvirt",
    )


def _disk_index(recipe: Digest) -> Digest:
    return digest_of("libvirt disk recipe", recipe)


def _index(making: Making) -> Digest:
    """Return the digest of all that leads to an image, this library's part included."""
    guest = guest_key(making.ground.codename)
    return digest_of("libvirt recipe", steps.FORMAT, guest, COMMAND_LINE, making.digest)


def _indexed(pool: Pool, index: Path) -> Manifest | None:
    note = read(index)
    return _load(pool, ImageId(str(note["image"]))) if note else None


@contextmanager
def _told_when_full(pool: Pool) -> Iterator[None]:
    """Say that the disk is full where that is why something failed."""
    try:
        yield
    except (OSError, BuildFailed) as exc:
        if not any(sign in str(exc) for sign in _FULL):
            raise
        raise NotEnough(
            f"the pool {pool.root} is full; nothing unfinished was kept",
            hint="delete images, or name a pool on another disk with ?pool=/path",
            operation="images.build",
            resource=str(pool.root),
            backend="libvirt",
        ) from exc


def _unheard(line: str) -> None:
    """Take a line of output that nobody asked for."""
    del line
