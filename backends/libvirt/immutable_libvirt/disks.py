"""The disks of an instance: the image's layers, a scratch disk, its configuration."""

import os
import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path

from immutable.errors import BackendError, Unavailable
from immutable.model import FleetSpec
from immutable_libvirt.addresses import gateway_of
from immutable_libvirt.bootable import BootDisk, BootFiles
from immutable_libvirt.building.guest import GuestNetwork, guest_disk, guest_files
from immutable_libvirt.config import LibvirtConfig
from immutable_libvirt.domain import Disk
from immutable_libvirt.errors import BACKEND
from immutable_libvirt.facts import InstanceFacts
from immutable_libvirt.locks import exclusive
from immutable_libvirt.store import make_passable

_PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
_READABLE = 0o444


def make_disks(
    config: LibvirtConfig,
    boot: BootFiles,
    spec: FleetSpec,
    facts: InstanceFacts,
    directory: Path,
) -> tuple[Disk, ...]:
    """Make an instance's own disks and return all of them, the layers first.

    Raises:
        InvalidInput: the configuration document cannot be handed over.
        Unavailable: a tool is not installed.
    """
    template, overlay = ensure_scratch(config)
    scratch, handed = directory / "scratch.qcow2", directory / "config.tar"
    shutil.copyfile(overlay, scratch)
    _write(handed, config_disk(config, spec, facts))
    layers = (Disk(serial=f"layer{i}", path=p) for i, p in enumerate(boot.layers))
    return (
        *layers,
        Disk(serial="scratch", path=scratch, is_writable=True, backing=template),
        Disk(serial="config", path=handed),
    )


def make_whole_disks(
    config: LibvirtConfig,
    disk: BootDisk,
    spec: FleetSpec,
    facts: InstanceFacts,
    directory: Path,
) -> tuple[Disk, ...]:
    """Make the disks of an instance that boots from a disk of its own, that one first.

    Raises:
        InvalidInput: the configuration document cannot be handed over.
        Unavailable: a tool is not installed.
    """
    root, handed = directory / "root.qcow2", directory / "config.tar"
    _make_overlay(root, disk.path, disk.format)
    _write(handed, config_disk(config, spec, facts))
    return (
        Disk(
            serial="root",
            path=root,
            is_writable=True,
            backing=disk.path,
            backing_format=disk.format,
        ),
        Disk(serial="config", path=handed),
    )


def config_disk(config: LibvirtConfig, spec: FleetSpec, facts: InstanceFacts) -> bytes:
    """Return the disk that tells an instance who it is and what to do."""
    gateway = str(gateway_of(config.subnet))
    network = GuestNetwork(
        hostname=facts.name,
        address=str(facts.address),
        prefix=config.subnet.prefixlen,
        gateway=gateway,
        dns=(gateway,),
    )
    return guest_disk(guest_files(spec.document, identity(spec, facts), network))


def identity(spec: FleetSpec, facts: InstanceFacts) -> dict[str, str]:
    """Return what an instance answers when it is asked who it is."""
    return {
        "service": spec.tags.service,
        "release": str(spec.tags.release),
        "digest": spec.tags.digest,
        "fleet": spec.name,
        "instance": facts.name,
        "image": spec.image.id,
    }


def ensure_scratch(config: LibvirtConfig) -> tuple[Path, Path]:
    """Return an empty filesystem, and an empty overlay upon it; each is made once.

    Copying the overlay is all that an instance's scratch disk costs.
    """
    directory = config.pool / "scratch"
    template = directory / f"ext4-{config.disk_gib}g.raw"
    overlay = directory / f"ext4-{config.disk_gib}g.qcow2"
    if not overlay.exists():
        make_passable(directory)
        with exclusive(directory / ".lock"):
            _make(template, lambda path: _make_filesystem(path, config.disk_gib))
            _make(overlay, lambda path: _make_overlay(path, template))
    return template, overlay


def _make(target: Path, make: Callable[[Path], None]) -> None:
    if target.exists():
        return
    made = target.with_name(f".{target.name}")
    made.unlink(missing_ok=True)
    make(made)
    made.chmod(_READABLE)
    made.rename(target)


def _make_filesystem(path: Path, size_gib: int) -> None:
    with path.open("wb") as stream:
        stream.truncate(size_gib << 30)
    # No journal: the disk is never mounted a second time, so nothing is ever replayed.
    options = ["-O", "^has_journal", "-m", "0", "-E", "lazy_itable_init=0"]
    _run("mke2fs", "-q", "-F", "-t", "ext4", *options, "--", str(path))


def _make_overlay(path: Path, template: Path, backing_format: str = "raw") -> None:
    # The name in the file is not used: domains state the backing file themselves.
    backing = ["-b", str(template), "-F", backing_format]
    _run("qemu-img", "create", "-q", "-f", "qcow2", *backing, "--", str(path))


def _run(program: str, *arguments: str) -> None:
    path = shutil.which(program, path=_PATH)
    if path is None:
        raise Unavailable(
            f"{program} is not installed",
            hint="apt-get install e2fsprogs qemu-utils",
            operation="fleets.launch",
            resource=program,
            backend=BACKEND,
        )
    done = subprocess.run(
        [path, *arguments],
        env={"PATH": _PATH, "LANG": "C.UTF-8"},
        stdin=subprocess.DEVNULL,
        capture_output=True,
        check=False,
    )
    if done.returncode:
        said = done.stderr.decode(errors="replace").strip()
        raise BackendError(
            f"{program} failed: {said}", operation="fleets.launch", backend=BACKEND
        )


def _write(path: Path, content: bytes) -> None:
    # Read by QEMU's user through a descriptor of its own; the directory hides it.
    flags = os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC
    with os.fdopen(os.open(path, flags, _READABLE), "wb") as stream:
        stream.write(content)
