"""Building the layers of a recipe, each once: keys, locks, and what is kept."""

import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import attrs

from immutable.errors import BuildFailed
from immutable.images.layers import Layer, Packages, Run
from immutable.images.recipe import Recipe
from immutable.model import Digest, digest_of
from immutable_libvirt.archive import Archive
from immutable_libvirt.building import base, erofs, provisioning
from immutable_libvirt.building.apt import Apt
from immutable_libvirt.building.chroot import Chroot
from immutable_libvirt.building.process import Output
from immutable_libvirt.building.provisioning import Site
from immutable_libvirt.building.staging import Placed, Staging
from immutable_libvirt.durable import read
from immutable_libvirt.pool import Pool

FORMAT = 1
"""Raised when equal recipes would now give other layers than before."""

_NONE = Digest("")


@attrs.frozen(kw_only=True)
class Step:
    """What becomes one disk: the base (no layers), or layers that are built together.

    ``parent`` and ``digest`` are the recipe's digests before and after the step.
    """

    digest: Digest
    parent: Digest = _NONE
    layers: tuple[Layer, ...] = ()

    @property
    def key(self) -> Digest:
        """Return the name under which the result is kept."""
        return digest_of("libvirt layer", FORMAT, self.digest)

    @property
    def is_placed(self) -> bool:
        """Return whether it only places files, and runs nothing."""
        return all(isinstance(layer, Placed) for layer in self.layers)


@attrs.frozen(kw_only=True)
class Built:
    """A published layer: the digest of its contents, and its size."""

    content: Digest
    size_bytes: int


def steps_of(recipe: Recipe, chain: tuple[Digest, ...]) -> tuple[Step, ...]:
    """Return the steps to an image, the lowest first.

    Neighbouring files, services and users become one step: every disk costs boot time, and
    they are made in milliseconds.
    """
    steps = [Step(digest=chain[0])]
    for position, layer in enumerate(recipe.layers):
        new = Step(parent=chain[position], digest=chain[position + 1], layers=(layer,))
        last = steps[-1]
        if last.layers and last.is_placed and new.is_placed:
            layers = (*last.layers, layer)
            steps[-1] = attrs.evolve(last, digest=new.digest, layers=layers)
        else:
            steps.append(new)
    return tuple(steps)


def find(pool: Pool, step: Step) -> Built | None:
    """Return the layer of a step if it has been built and is still there."""
    note = read(pool.build(step.key)) or {}
    content = Digest(str(note.get("content", "")))
    try:
        return Built(content=content, size_bytes=pool.layer(content).stat().st_size)
    except FileNotFoundError:
        return None


@attrs.frozen(kw_only=True)
class Builder:
    """Builds the layers that are missing in a pool, for one release of Debian."""

    pool: Pool
    codename: str
    on_output: Output

    def build(self, step: Step, below: tuple[Step, ...]) -> Built:
        """Return the layer of a step, built if it is not there yet.

        Other builders of the same step wait, and then find it.

        Args:
            step: what to build.
            below: the steps before it, the lowest first, all of them built.

        Raises:
            BuildFailed: something in it failed; nothing of it is kept.
            Unavailable: packages cannot be fetched.
        """
        with self.pool.lock(step.key):
            found = find(self.pool, step)
            if found and self.pool.tree(step.key).is_dir():
                return found
            with self.pool.workspace() as work:
                trees = tuple(self.pool.tree(lower.key) for lower in reversed(below))
                tree = self._make(step, trees, work)
                return self._publish(step, tree, work / "layer.erofs")

    def _make(self, step: Step, below: tuple[Path, ...], work: Path) -> Path:
        """Return the tree that a step consists of, made in a working directory."""
        if not step.layers:
            return self._make_base(work / "tree")
        if step.is_placed:
            return self._place(step, below, work / "tree")
        chroot = Chroot(below=below, work=work)
        match step.layers[0]:
            case Packages() as packages:
                with self._apt() as apt:
                    chroot.install(packages, apt, on_output=self.on_output)
            case Run() as command:
                chroot.execute(command, on_output=self.on_output)
            case layer:
                provisioning.make(layer, self._site(chroot, work))
        return chroot.upper

    def _site(self, chroot: Chroot, work: Path) -> Site:
        scratch = work / "scratch"
        scratch.mkdir()
        return Site(
            chroot=chroot,
            pool=self.pool,
            archive=Archive.of(self.pool),
            codename=self.codename,
            work=scratch,
            pins=None,
            on_output=self.on_output,
        )

    @contextmanager
    def _apt(self) -> Iterator[Apt]:
        with self.pool.lock(f"apt-{self.codename}"):
            yield Apt.of(self.pool, self.codename)

    def _make_base(self, tree: Path) -> Path:
        with self._apt() as apt:
            base.make(apt, tree, on_output=self.on_output)
        return tree

    def _place(self, step: Step, below: tuple[Path, ...], tree: Path) -> Path:
        tree.mkdir()
        tree.chmod(0o755)
        staging = Staging(root=tree, below=below)
        for layer in step.layers:
            if isinstance(layer, Placed):
                staging.place(layer)
        if _digest_of(step) != step.digest:
            raise BuildFailed(
                "the recipe's files have changed while they were copied",
                hint="build again when nothing writes to them",
                operation="images.build",
                backend="libvirt",
            )
        return tree

    def _publish(self, step: Step, tree: Path, image: Path) -> Built:
        """Publish layer and tree; the note comes last and makes them count."""
        erofs.make(tree, image, on_output=self.on_output)
        content, size_bytes = erofs.content_digest(image), image.stat().st_size
        kept = self.pool.tree(step.key)
        shutil.rmtree(kept, ignore_errors=True)  # of a build that was never noted
        self.pool.publish(tree, kept)
        self.pool.publish(image, self.pool.layer(content))
        note = {"content": content, "is_base": not step.layers, "schema": 1}
        self.pool.note(self.pool.build(step.key), note)
        return Built(content=content, size_bytes=size_bytes)


def _digest_of(step: Step) -> Digest:
    """Return a step's digest by what its files contain now."""
    digest = step.parent
    for layer in step.layers:
        digest = layer.digest(digest)
    return digest
