"""A builder on libvirt: `immutable.baking.Baking`, whose result is a directory tree."""

import errno
import os
import shutil
from datetime import UTC, datetime, timedelta
from pathlib import Path

import attrs
import libvirt

from immutable.baking import Bake, Builder, Said, report_of, tags_of
from immutable.errors import NotEnough
from immutable.images.bundling import write_bundle
from immutable.model import Token
from immutable_libvirt import domains
from immutable_libvirt.acceleration import decide
from immutable_libvirt.bootable import BootFiles
from immutable_libvirt.building import cpio, kernel
from immutable_libvirt.building.booted import leftovers, places
from immutable_libvirt.building.booted.ports import Port, wait_for
from immutable_libvirt.building.booted.unpacking import Limits, unpack
from immutable_libvirt.building.process import PLAIN
from immutable_libvirt.config import LibvirtConfig
from immutable_libvirt.daemon import Daemon
from immutable_libvirt.disks import ensure_scratch
from immutable_libvirt.domain import BuilderSpec, Disk, Machine, build_builder
from immutable_libvirt.errors import BACKEND, translated

MEMORY_MIB = 768
SCRATCH_GIB = 16
DIFFERENCE_BYTES = 8 << 30
"""How large the archive of what has changed may be; sparse, so that little is used."""
_NAME_DIGITS = 16
_STUCK = [libvirt.VIR_DOMAIN_PAUSED, libvirt.VIR_DOMAIN_PAUSED_IOERROR]
_LOOK = timedelta(seconds=1)
# libvirt gives QEMU's user what it writes to: nobody else can read what is handed over.
_PRIVATE = 0o600
_PORTS = ("console", "reports")
# The guest's init without its last lines: functions for this builder's process 1.
_FUNCTIONS_END = "\nmount_kernel_filesystems\nfirst_line /proc/cmdline\n"


@attrs.frozen(kw_only=True)
class LibvirtBaking:
    """Throw-away domains that boot the layers of an image; see `immutable.baking`.

    libvirt itself destroys them when the connection of their owner ends; `sweep` finds
    what is left where it could not.
    """

    config: LibvirtConfig
    daemon: Daemon
    boot: BootFiles
    """The kernel, and the layers that make the parent, the lowest first."""
    target: Path
    """The directory that what has changed is unpacked to; not there yet."""

    def start(self, bake: Bake, *, token: Token, expires_at: datetime) -> Builder[Path]:
        """Boot a builder from the layers, and hand it the work.

        Raises:
            NotEnough: there is no memory for it; nothing is left of it.
        """
        connection = self.daemon.connection()
        name = f"{leftovers.PREFIX}{token[:_NAME_DIGITS]}"
        with translated("images.build", name):
            self.sweep(now=datetime.now(UTC))
            _destroy(connection, name)
            place = places.make(self.config.pool, token[:_NAME_DIGITS])
            try:
                return self._boot(connection, bake, place, tags_of(token, expires_at))
            except BaseException:
                _destroy(connection, name)
                place.remove()
                raise

    def sweep(self, *, now: datetime) -> tuple[str, ...]:
        """Destroy the builders of this pool that nobody waits for."""
        with translated("images.sweep", str(self.config.pool)):
            return leftovers.remove_all(
                self.daemon.connection(), self.config.pool, now=now
            )

    def _boot(
        self,
        connection: libvirt.virConnect,
        bake: Bake,
        place: places.Place,
        tags: tuple[tuple[str, str], ...],
    ) -> Builder[Path]:
        paths = tuple(place.path / name for name in _PORTS)
        console, reports = (Port.at(path) for path in paths)
        spec = BuilderSpec(
            name=f"{leftovers.PREFIX}{place.path.name}",
            machine=self._machine(connection, bake, place.path),
            disks=self._disks(bake, place.path),
            ports=paths,
            network=bake.network,
            metadata=leftovers.Facts(place=place.path, tags=tags).to_element(),
        )
        builder = _Builder(
            connection=connection,
            name=spec.name,
            place=place,
            console=console,
            reports=reports,
            target=self.target,
        )
        ends_with_us = libvirt.VIR_DOMAIN_START_AUTODESTROY
        connection.createXML(build_builder(spec), ends_with_us)
        return builder

    def _machine(
        self, connection: libvirt.virConnect, bake: Bake, directory: Path
    ) -> Machine:
        initrd = directory / "initrd"
        initrd.write_bytes(self.boot.initrd.read_bytes() + _own_programs())
        words = [self.boot.command_line, "rdinit=/bake"]
        words += [f"immutable.layers={len(self.boot.layers)}"]
        words += ["immutable.network=1"] if bake.network else []
        return Machine(
            kernel=_passable(self.boot.kernel, directory / "vmlinuz"),
            initrd=initrd,
            arguments=" ".join(words),
            memory_mib=max(MEMORY_MIB, self.config.memory_mib),
            vcpus=self.config.vcpus,
            hypervisor=decide(connection, self.config, self.boot),
        )

    def _disks(self, bake: Bake, directory: Path) -> tuple[Disk, ...]:
        work, difference = directory / "work.tar", directory / "difference.tar"
        with work.open("wb") as stream:
            work.chmod(_PRIVATE)
            write_bundle(bake, stream, plain=PLAIN)
        with difference.open("wb") as stream:
            difference.chmod(_PRIVATE)
            stream.truncate(DIFFERENCE_BYTES)
        config = attrs.evolve(self.config, disk_gib=SCRATCH_GIB)
        template, overlay = ensure_scratch(config)
        scratch = directory / "scratch.qcow2"
        shutil.copyfile(overlay, scratch)
        scratch.chmod(_PRIVATE)
        layers = (f"layer{i}" for i in range(len(self.boot.layers)))
        return (
            *(
                Disk(serial=name, path=_passable(path, directory / name))
                for name, path in zip(layers, self.boot.layers, strict=True)
            ),
            Disk(serial="scratch", path=scratch, is_writable=True, backing=template),
            Disk(serial="work", path=work, is_writable=True),
            Disk(serial="difference", path=difference, is_writable=True),
        )


@attrs.frozen(kw_only=True)
class _Builder:
    """A domain that was started for one bake."""

    connection: libvirt.virConnect
    name: str
    place: places.Place
    console: Port
    reports: Port
    target: Path

    def read(self, *, wait: timedelta) -> Said:
        """Return what is new; a domain that has gone says no more."""
        ready = wait_for((self.console, self.reports), min(wait, _LOOK))
        lines = self.console.take() if self.console in ready else ()
        said = self.reports.take() if self.reports in ready else ()
        found = tuple(report for line in said if (report := report_of(line)))
        is_on = bool(ready) or self._is_on()
        return Said(lines=lines, reports=found, is_on=is_on)

    def capture(self) -> Path:
        """Return the tree of what has changed, unpacked with every check.

        Raises:
            BuildFailed: it holds what no layer may hold.
        """
        with (self.place.path / "difference.tar").open("rb") as stream:
            unpack(stream, self.target, Limits(size_bytes=DIFFERENCE_BYTES))
        return self.target

    def destroy(self) -> None:
        """Destroy the domain, its disks and its sockets."""
        self.console.close()
        self.reports.close()
        try:
            with translated("images.build", self.name):
                _destroy(self.connection, self.name)
        finally:
            self.place.remove()

    def _is_on(self) -> bool:
        """Return whether more may come: a port is open, and the domain there.

        Raises:
            NotEnough: it stands still, for what it writes has no room any more.
        """
        if not (self.console.is_open or self.reports.is_open):
            return False
        with translated("images.build", self.name):
            domain = domains.lookup(self.connection, self.name)
            if domain is None:
                return False
            if domain.state() == _STUCK:
                raise _full(self.place.path)
            return True


def _passable(path: Path, name: Path) -> Path:
    """Return a file's second name, where QEMU's user can pass; else its own."""
    try:
        os.link(path, name)
    except OSError as exc:
        if exc.errno != errno.EXDEV:
            raise
        return path
    return name


def _full(place: Path) -> NotEnough:
    return NotEnough(
        f"the builder stands still: there is no room left in {place.parent}",
        hint="delete images, or name a pool on another disk with ?pool=/path",
        operation="images.build",
        resource=str(place.parent),
        backend=BACKEND,
    )


def _destroy(connection: libvirt.virConnect, name: str) -> None:
    domain = domains.lookup(connection, name)
    if domain is not None:
        domains.destroy(domain)


def _own_programs() -> bytes:
    """Return what is added to the initramfs of the image: the builder's process 1."""
    init = dict(kernel.guest_programs())["init"].decode()
    functions = init[: init.index(_FUNCTIONS_END)]
    own = Path(__file__).with_name("bake").read_text(encoding="utf-8")
    return cpio.archive([cpio.program("bake", f"{functions}\n{own}".encode())])
