"""Building the steps to an image, each once: locks, and what is kept."""

import shutil
from pathlib import Path

import attrs

from immutable.errors import BuildFailed, NotEnough
from immutable.images.layers import Packages, Python, Run
from immutable.images.record import Tool
from immutable.model import Digest
from immutable_libvirt.bootable import BootFiles
from immutable_libvirt.building import erofs, provisioning
from immutable_libvirt.building.chroot import Chroot
from immutable_libvirt.building.debs import is_deb
from immutable_libvirt.building.inside import Inside
from immutable_libvirt.building.installing import install, make_base
from immutable_libvirt.building.intact import layer_is_intact, seen_whole
from immutable_libvirt.building.kernel import COMMAND_LINE
from immutable_libvirt.building.provisioning import Site
from immutable_libvirt.building.resolving import names_of
from immutable_libvirt.building.staging import Placed, Staging
from immutable_libvirt.building.steps import Step, digest_now
from immutable_libvirt.building.supply import Supply
from immutable_libvirt.building.trees import require_intact
from immutable_libvirt.config import LibvirtConfig
from immutable_libvirt.durable import read
from immutable_libvirt.pool import Pool

_SCHEMA = 2
_GIBIBYTE = 1 << 30


@attrs.frozen(kw_only=True)
class Built:
    """A published layer: its contents as a digest, its size, and its unpacked form.

    ``step`` is the digest of the recipe up to it; ``tools`` made it, with the usual.
    """

    what: str
    step: Digest
    name: Digest
    content: Digest
    size_bytes: int
    tools: tuple[Tool, ...] = ()


def find(pool: Pool, step: Step) -> Built | None:
    """Return the layer of a step if it was built, and is still there and intact."""
    note = read(pool.build(step.name))
    if note is None or note.get("schema") != _SCHEMA:
        return None
    content = Digest(str(note["content"]))
    if not layer_is_intact(pool, content) or not pool.tree(step.name).is_dir():
        return None
    return Built(
        what=step.what,
        step=step.digest,
        name=step.name,
        content=content,
        size_bytes=pool.layer(content).stat().st_size,
        tools=_tools(note["tools"]),
    )


@attrs.frozen(kw_only=True)
class Builder:
    """Builds the steps that are missing in a pool, for one release of Debian."""

    supply: Supply
    config: LibvirtConfig
    kernel: Digest
    limit_bytes: int

    @property
    def pool(self) -> Pool:
        """Return where layers are found and published."""
        return self.supply.pool

    def build(self, step: Step, below: tuple[Built, ...]) -> Built:
        """Return the layer of a step, built if it is not there yet.

        Other builders of the same step wait, and then find it.

        Args:
            step: what to build, resolved.
            below: the layers before it, the lowest first.

        Raises:
            BuildFailed: something in it failed; nothing of it is kept.
            MissingFiles: a package is to be had nowhere.
            NotEnough: the image would be larger than is allowed.
        """
        with self.pool.lock(step.name):
            found = find(self.pool, step)
            if found:
                return found
            with self.pool.workspace() as work:
                tree, tools = self._made(step, below, work)
                _check_unchanged(step)
                image = work / "layer.erofs"
                erofs.make(tree, image, on_output=self.supply.on_output)
                self._check_size(below, image)
                return self._published(step, tree, image, tools)

    def _made(
        self, step: Step, below: tuple[Built, ...], work: Path
    ) -> tuple[Path, tuple[Tool, ...]]:
        """Return the tree that a step consists of, and what made it but the usual."""
        if step.is_base:
            pins = step.pins.pins if step.pins else ()
            make_base(
                work / "tree", pins, supply=self.supply, work=_directory(work, "apt")
            )
            return work / "tree", ()
        trees = tuple(self.pool.tree(lower.name) for lower in reversed(below))
        if step.is_placed:
            return _placed(step, trees, work / "tree"), ()
        for lower in below:
            # What runs sees all of it, so all of it has to be what its digest says.
            require_intact(
                self.pool,
                lower.content,
                lower.name,
                work,
                on_output=self.supply.on_output,
            )
        layer = step.layers[0]
        if isinstance(layer, Run):
            inside = self._inside(layer, below, trees, work)
            inside.execute(layer, on_output=self.supply.on_output)
            return inside.upper, ()
        chroot = Chroot(below=trees, work=work)
        if isinstance(layer, Packages | Python):
            self._install(step, chroot)
        if isinstance(layer, Packages):
            return chroot.upper, ()
        return chroot.upper, self._provisioned(step, chroot)

    def _provisioned(self, step: Step, inside: Inside) -> tuple[Tool, ...]:
        layer, site = step.layers[0], self._site(step, inside)
        provisioning.make(layer, site)
        tool = provisioning.version(layer, site)
        return (tool,) if tool else ()

    def _inside(
        self,
        layer: Run,
        below: tuple[Built, ...],
        trees: tuple[Path, ...],
        work: Path,
    ) -> Inside:
        if not layer.booted:
            return Chroot(below=trees, work=work)
        # Late: whoever boots nothing needs no libvirt.
        from immutable_libvirt.building.booted import Booted

        kernel = self.pool.kernel(self.kernel)
        files = BootFiles(
            kernel=kernel / "vmlinuz",
            initrd=kernel / "initrd",
            layers=tuple(self.pool.layer(lower.content) for lower in below),
            command_line=COMMAND_LINE,
        )
        return Booted(below=trees, boot=files, work=work, config=self.config)

    def _install(self, step: Step, chroot: Chroot) -> None:
        pins = tuple(
            pin for pin in (step.pins.pins if step.pins else ()) if is_deb(pin)
        )
        work = _directory(chroot.work, "apt")
        names = names_of(step.layers[0])
        install(chroot, names, pins, supply=self.supply, work=work)

    def _site(self, step: Step, inside: Inside) -> Site:
        return Site(
            inside=inside,
            pool=self.pool,
            archive=self.supply.archive,
            codename=self.supply.codename,
            work=_directory(inside.work, "scratch"),
            pins=step.pins,
            on_output=self.supply.on_output,
        )

    def _check_size(self, below: tuple[Built, ...], image: Path) -> None:
        size_bytes = image.stat().st_size + sum(layer.size_bytes for layer in below)
        if size_bytes > self.limit_bytes:
            raise NotEnough(
                f"the image would have {size_bytes} bytes, and {self.limit_bytes} is the"
                " most",
                hint=f"allow more with ?max_image_gib={size_bytes // _GIBIBYTE + 1}",
                operation="images.build",
                backend="libvirt",
            )

    def _published(
        self, step: Step, tree: Path, image: Path, tools: tuple[Tool, ...]
    ) -> Built:
        """Publish layer and tree; the note comes last and makes them count."""
        pool = self.pool
        content, size_bytes = erofs.content_digest(image), image.stat().st_size
        kept = pool.tree(step.name)
        shutil.rmtree(kept, ignore_errors=True)  # of a build that was never noted
        pool.publish(tree, kept)
        pool.publish(image, pool.layer(content))
        seen_whole(pool, content, (pool.layer(content),))
        note = {
            "content": content,
            "is_base": step.is_base,
            "pins": step.pins_name,
            "schema": _SCHEMA,
            "tools": [[tool.name, tool.version] for tool in tools],
        }
        pool.note(pool.build(step.name), note)
        return Built(
            what=step.what,
            step=step.digest,
            name=step.name,
            content=content,
            size_bytes=size_bytes,
            tools=tools,
        )


def _placed(step: Step, below: tuple[Path, ...], tree: Path) -> Path:
    tree.mkdir()
    tree.chmod(0o755)
    staging = Staging(root=tree, below=below)
    for layer in step.layers:
        if isinstance(layer, Placed):
            staging.place(layer)
    return tree


def _check_unchanged(step: Step) -> None:
    if not step.is_base and digest_now(step) != step.key:
        raise BuildFailed(
            "the recipe's files have changed while they were copied",
            hint="build again when nothing writes to them",
            operation="images.build",
            backend="libvirt",
        )


def _tools(rows: object) -> tuple[Tool, ...]:
    pairs = rows if isinstance(rows, list) else []
    return tuple(Tool(name=str(name), version=str(version)) for name, version in pairs)


def _directory(parent: Path, name: str) -> Path:
    path = parent / name
    path.mkdir()
    return path
