"""Making an image in a pool: what it stands on, its lock, its kernel and its layers."""

from collections.abc import Sequence
from datetime import UTC, datetime
from functools import partial
from pathlib import Path

import attrs

from immutable.errors import UnknownImage, Unsupported
from immutable.images.lock import BOOT, Entry, Lock
from immutable.images.origins import Existing, Origin
from immutable.images.recipe import Recipe
from immutable.model import Digest, ImageId
from immutable_libvirt.archive import Archive
from immutable_libvirt.building import layers
from immutable_libvirt.building.base import CODENAMES, codename_of
from immutable_libvirt.building.boot import build_kernel, find_kernel
from immutable_libvirt.building.installing import status_in
from immutable_libvirt.building.kernel import COMMAND_LINE
from immutable_libvirt.building.layers import Builder, Built
from immutable_libvirt.building.manifest import Manifest, load
from immutable_libvirt.building.process import Output
from immutable_libvirt.building.resolving import Resolver
from immutable_libvirt.building.steps import Step, steps_of
from immutable_libvirt.building.supply import Supply
from immutable_libvirt.building.trees import require_tree
from immutable_libvirt.config import LibvirtConfig
from immutable_libvirt.pool import Pool


@attrs.frozen(kw_only=True)
class Ground:
    """What an image is built upon: a release of Debian, or another image's layers."""

    distribution: str
    parent: ImageId | None = None
    below: tuple[Built, ...] = ()
    boot: Entry | None = None

    @property
    def codename(self) -> str:
        """Return the release's name at Debian."""
        return CODENAMES[self.distribution]


def ground_of(pool: Pool, origin: Origin, boot: Entry | None) -> Ground:
    """Return what a recipe's origin stands for.

    Args:
        pool: where images are.
        origin: of the recipe.
        boot: what the image boots by that is built upon, where that is known.

    Raises:
        InvalidInput: this backend cannot build on it.
        UnknownImage: the image to build upon is gone.
        Unsupported: it is a whole disk.
    """
    if not isinstance(origin, Existing):
        codename_of(origin)
        return Ground(distribution=str(origin))
    manifest = load(pool, origin.image)
    if manifest is None or manifest.digest != origin.content:
        raise UnknownImage(
            f"the pool {pool.root} has no image {origin.image} to build upon",
            hint="rebuild it from its record, or build upon another one",
            operation="images.build",
            resource=origin.image,
            backend="libvirt",
        )
    if manifest.disk:
        raise Unsupported(
            f"{manifest.id} is a whole disk, upon which there can be no layers",
            hint="let the template that made it do more",
            operation="images.build",
            resource=manifest.id,
            backend="libvirt",
        )
    found = zip(manifest.layers, manifest.trees, strict=True)
    return Ground(
        distribution=manifest.distribution,
        parent=manifest.id,
        below=tuple(_inherited(pool, *each, manifest) for each in found),
        boot=boot,
    )


def _inherited(pool: Pool, content: Digest, tree: Digest, of: Manifest) -> Built:
    return Built(
        what=f"layer of {of.id}",
        step=content,
        name=tree,
        content=content,
        size_bytes=pool.layer(content).stat().st_size,
    )


@attrs.frozen(kw_only=True)
class Made:
    """An image with all that it was made of, before it counts as built."""

    manifest: Manifest
    lock: Lock
    layers: tuple[Built, ...]


@attrs.frozen(kw_only=True)
class Making:
    """The way from one recipe to its image, in one pool."""

    recipe: Recipe
    keys: tuple[Digest, ...]
    ground: Ground
    supply: Supply
    config: LibvirtConfig
    limit_bytes: int

    @property
    def digest(self) -> Digest:
        """Return the recipe's digest."""
        return sealed(self.keys, self.recipe.pins)

    @property
    def resolver(self) -> Resolver:
        """Return what finds out which packages there are."""
        return Resolver(supply=self.supply)

    def steps(self, lock: Lock) -> tuple[Step, ...]:
        """Return the steps to the image, as far as a lock has what they are made of."""
        return steps_of(self.recipe, self.keys, lock)

    def known(self) -> Lock:
        """Return what is locked, or was found out before in this pool."""
        lock = self._given()
        for position in range(len(self.steps(lock))):
            step = self.steps(lock)[position]
            if not step.is_resolved:
                entry = self.resolver.known(step)
                if entry is None:
                    break  # what is above depends on it
                lock = lock.holding(entry)
        return lock

    def _given(self) -> Lock:
        given = (self.recipe.pins or Lock()).of((BOOT, *self.keys))
        boot = self.ground.boot or self.resolver.known_boot()
        return given if given.find(BOOT) or not boot else given.holding(boot)

    def has_kernel(self, lock: Lock) -> bool:
        """Return whether what a lock says is booted by is there."""
        boot, pool = lock.find(BOOT), self.supply.pool
        return bool(boot and find_kernel(pool, self.ground.codename, boot))

    def lock(self) -> Lock:
        """Return what a build would use, without building anything.

        Raises:
            Unavailable: the mirrors cannot be reached.
            BuildFailed: there is no such package.
            MissingFiles: a package in the given lock is to be had nowhere.
        """
        lock = self.known()
        if not lock.find(BOOT):
            lock = lock.holding(self.resolver.boot())
        for position in range(len(self.steps(lock))):
            steps = self.steps(lock)
            step, below = steps[position], steps[:position]
            if not step.is_resolved:
                with self.supply.pool.workspace() as work:
                    entry = self._resolved(step, below, work)
                lock = lock.holding(entry)
        return lock.of((BOOT, *self.keys))

    def _resolved(self, step: Step, below: tuple[Step, ...], work: Path) -> Entry:
        """Resolve a step upon what is built, and what is known of the rest below it."""

        def status() -> Path:
            pool = self.supply.pool
            built = list(self.ground.below)
            rest = list(below)
            while rest and (found := layers.find(pool, rest[0])):
                built.append(found)
                rest.pop(0)
            upon = status_in(_trees(pool, built)) if built else None
            entries = [lower.pins for lower in rest if lower.pins]
            return self.resolver.status(entries, upon, work)

        return self.resolver.step(step, status)

    def make(self) -> Made:
        """Build what is missing, and return the image, which does not count as built yet.

        Raises:
            Unavailable, MissingFiles, BuildFailed, NotEnough: see `Images.build`.
        """
        lock, kernel = self._with_kernel(self.known())
        built = self._ground()
        builder = Builder(
            supply=self.supply,
            config=self.config,
            kernel=kernel,
            limit_bytes=self.limit_bytes,
        )
        for position in range(len(self.steps(lock))):
            lock, layer = self._with_step(lock, position, built, builder)
            built = (*built, layer)
        return Made(
            manifest=self._manifest(kernel, built),
            lock=lock.of((BOOT, *self.keys)),
            layers=built,
        )

    def _with_kernel(self, lock: Lock) -> tuple[Lock, Digest]:
        boot, name = lock.find(BOOT), self.resolver.boot_name
        if boot:
            return lock, build_kernel(self.supply, boot)
        with self.supply.pool.lock(name):  # of several builders one asks
            boot = self.resolver.known_boot() or self.resolver.boot()
            kernel = build_kernel(self.supply, boot)
            self.resolver.remember(name, boot)
        return lock.holding(boot), kernel

    def _with_step(
        self, lock: Lock, position: int, below: tuple[Built, ...], builder: Builder
    ) -> tuple[Lock, Built]:
        step, pool = self.steps(lock)[position], self.supply.pool
        if step.is_resolved:
            return lock, builder.build(step, below)
        trees = _trees(pool, below)
        with pool.lock(step.pins_name):  # of several builders one asks
            known = self.resolver.known(step)
            entry = known or self.resolver.step(step, partial(status_in, trees))
            lock = lock.holding(entry)
            built = builder.build(self.steps(lock)[position], below)
            if not known:
                self.resolver.remember(step.pins_name, entry)
        return lock, built

    def _ground(self) -> tuple[Built, ...]:
        for lower in self.ground.below:
            require_tree(
                self.supply.pool,
                lower.content,
                lower.name,
                on_output=self.supply.on_output,
            )
        return self.ground.below

    def _manifest(self, kernel: Digest, built: tuple[Built, ...]) -> Manifest:
        return Manifest(
            kernel=kernel,
            layers=tuple(layer.content for layer in built),
            trees=tuple(layer.name for layer in built),
            command_line=f"{COMMAND_LINE} immutable.layers={len(built)}",
            recipe=self.digest,
            distribution=self.ground.distribution,
            parent=self.ground.parent,
            size_bytes=_size(self.supply.pool, kernel, built),
            built_at=datetime.now(UTC),
        )


@attrs.frozen(kw_only=True)
class Workshop:
    """A pool and its archive, and how large what is made there may become."""

    pool: Pool
    archive: Archive
    config: LibvirtConfig
    limit_bytes: int
    on_output: Output

    def making(self, recipe: Recipe, boot: Entry | None) -> Making:
        """Return the way to a recipe's image; its files are read, and nothing written.

        Args:
            recipe: for which.
            boot: what the image boots by that the recipe is built upon.

        Raises:
            InvalidInput, UnknownImage: there is no such base.
            MissingFiles: the recipe names files that are not there.
        """
        ground = ground_of(self.pool, recipe.origin, boot)
        supply = Supply(
            pool=self.pool,
            archive=self.archive,
            codename=ground.codename,
            on_output=self.on_output,
        )
        return Making(
            recipe=recipe,
            keys=recipe.keys(),
            ground=ground,
            supply=supply,
            limit_bytes=self.limit_bytes,
            config=self.config,
        )


def sealed(keys: tuple[Digest, ...], pins: Lock | None) -> Digest:
    """Return a recipe's digest, from those of its layers without any lock."""
    return keys[-1] if pins is None else pins.seal(pins.bind(keys)[-1])


def _trees(pool: Pool, built: Sequence[Built]) -> tuple[Path, ...]:
    return tuple(pool.tree(layer.name) for layer in reversed(built))


def _size(pool: Pool, kernel: Digest, built: tuple[Built, ...]) -> int:
    boot = sum(path.stat().st_size for path in pool.kernel(kernel).iterdir())
    return boot + sum(layer.size_bytes for layer in built)
