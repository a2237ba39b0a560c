"""What every instance boots: Debian's cloud kernel, and an initramfs of our own."""

import lzma
import re
import shutil
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path

from immutable.errors import BuildFailed
from immutable_libvirt.building import cpio
from immutable_libvirt.building.apt import Apt, architecture
from immutable_libvirt.building.process import Output, run

COMMAND_LINE = "console=ttyS0 quiet panic=-1 no_timer_check cryptomgr.notests"
"""Only grave messages, to the console; a panic ends the instance at once.

The last two leave out self-tests that cost a third of a second under emulation; nothing
here gives up hardening.
"""

_WANTED = ("virtio_pci", "virtio_blk", "virtio_net", "virtio_rng", "erofs", "overlay")
_GUEST = Path(__file__).parent / "guest"
_DIRECTORIES = (
    "bin",
    "dev",
    "layers",
    "modules",
    "proc",
    "root",
    "run",
    "scratch",
    "sys",
)
_DEPENDS = re.compile(rb"\0depends=([^\0]*)\0")


def packages(apt: Apt) -> tuple[str, ...]:
    """Return the packages that `unpack` needs: the kernel's, and BusyBox's.

    Raises:
        BuildFailed: this release has none, or names them otherwise.
    """
    meta = f"linux-image-cloud-{architecture()}"
    return (apt.depends_on(meta, r"linux-image-[0-9]\S+"), "busybox-static")


def unpack(packages: Iterable[Path], directory: Path, *, on_output: Output) -> None:
    """Put kernel, modules and BusyBox of a Debian release into a directory to be made.

    Afterwards it holds ``vmlinuz``, ``busybox`` and ``modules/``, the latter with their
    names in the order of loading in ``modules/order``.

    Raises:
        BuildFailed: they are not there, or not as expected.
    """
    unpacked = directory / "unpacked"
    unpacked.mkdir(parents=True)
    for package in packages:
        run(["dpkg-deb", "-x", package, unpacked], what="dpkg-deb", on_output=on_output)
    _only(unpacked, "boot/vmlinuz-*").rename(directory / "vmlinuz")
    _only(unpacked, "**/bin/busybox").rename(directory / "busybox")
    _pick_modules(unpacked, directory / "modules")
    shutil.rmtree(unpacked)


def initramfs(directory: Path) -> bytes:
    """Return the initramfs, made of what `fetch` left and the guest's programs."""
    modules = sorted((directory / "modules").iterdir())
    entries = [cpio.directory(name) for name in _DIRECTORIES]
    entries += [
        cpio.device("dev/console", 5, 1),
        cpio.program("bin/busybox", (directory / "busybox").read_bytes()),
        # The shell finds its other applets in itself, while /proc is mounted.
        *(
            cpio.link(f"bin/{name}", "busybox")
            for name in ("mount", "sh", "switch_root")
        ),
        *(cpio.program(f"modules/{path.name}", path.read_bytes()) for path in modules),
        *(cpio.program(name, content) for name, content in guest_programs()),
    ]
    return cpio.archive(entries)


def guest_programs() -> tuple[tuple[str, bytes], ...]:
    """Return the programs that this library brings into the guest, by name."""
    names = ("init", "supervise")
    return tuple((name, (_GUEST / name).read_bytes()) for name in names)


def _only(root: Path, pattern: str) -> Path:
    found = list(root.glob(pattern))
    if len(found) != 1:
        raise BuildFailed(
            f"the packages hold {len(found)} files like {pattern}, and one is needed",
            hint="this release packs its kernel or BusyBox in a way not known here",
            backend="libvirt",
        )
    return found[0]


def _pick_modules(unpacked: Path, target: Path) -> None:
    available = {_stem(path.name): path for path in unpacked.rglob("*.ko*")}
    builtin = {_stem(name) for name in _builtin(unpacked)}
    target.mkdir()
    order: list[str] = []
    for name in _in_order(_WANTED, available, builtin):
        content = _content(available[name])
        (target / f"{name}.ko").write_bytes(content)
        order.append(f"{name}.ko\n")
    (target / "order").write_text("".join(order), encoding="utf-8")


def _in_order(
    names: Sequence[str], available: dict[str, Path], builtin: set[str]
) -> Iterator[str]:
    """Yield modules after those that they depend on, each once."""
    seen = set(builtin)

    def visit(name: str) -> Iterator[str]:
        if name in seen:
            return
        seen.add(name)
        if name not in available:
            raise BuildFailed(f"the kernel has no module {name}", backend="libvirt")
        found = _DEPENDS.search(_content(available[name]))
        for needed in found[1].decode().split(",") if found else ():
            if needed:
                yield from visit(_stem(needed))
        yield name

    for name in names:
        yield from visit(name)


def _builtin(unpacked: Path) -> list[str]:
    lists = unpacked.rglob("modules.builtin")
    return [Path(line).name for path in lists for line in path.read_text().splitlines()]


def _stem(name: str) -> str:
    return name.partition(".")[0].replace("-", "_")


def _content(path: Path) -> bytes:
    data = path.read_bytes()
    return lzma.decompress(data) if path.suffix == ".xz" else data
