"""Whether guests run on KVM here: decided by booting one, never by a device file.

On nested or otherwise crippled hosts ``/dev/kvm`` is there, opens, creates machines,
and guests hang at their first instructions. So the image's own kernel has to come up.
"""

import hashlib
import json
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

import attrs
import libvirt

from immutable_libvirt.bootable import BootFiles
from immutable_libvirt.building.kernel import COMMAND_LINE
from immutable_libvirt.config import LibvirtConfig
from immutable_libvirt.daemon import Daemon
from immutable_libvirt.domain import Hypervisor, Machine, build_probe
from immutable_libvirt.locks import exclusive
from immutable_libvirt.store import make_passable

MARKER = b"IMMUTABLE-PROBE-OK"
DEADLINE_S = 15.0
"""A kernel takes 3 seconds without acceleration: with it, this is ample under load."""
_POLL_S = 0.05
_NAME = "immutable-probe"
_KVM = Path("/dev/kvm")
_BOOT_ID = Path("/proc/sys/kernel/random/boot_id")


def decide(
    connection: libvirt.virConnect, config: LibvirtConfig, boot: BootFiles | None
) -> Hypervisor:
    """Return what to run instances on; the first call of a boot may take the deadline.

    Args:
        connection: to the daemon that would run them.
        config: what was asked for.
        boot: what an image boots. One that brings a boot loader cannot tell whether it
            came up: None, any kernel of the pool, and without one no acceleration.

    Raises:
        libvirtError: the daemon went away.
    """
    if config.acceleration != "auto":
        return config.acceleration
    boot = boot or _any_kernel(config.pool)
    if boot is None or not _KVM.exists():
        return "tcg"
    directory = config.pool / "probe"
    make_passable(directory)
    with exclusive(directory / ".lock"):
        key = _key(connection, boot)
        known = _recall(directory / "acceleration.json", key)
        return known or _find_out(connection, config, boot, key)


def decide_alone(config: LibvirtConfig) -> Hypervisor:
    """Return what a machine runs on that another tool boots, not libvirt.

    Raises:
        Unavailable: libvirt is needed to find out, and is missing.
    """
    if config.acceleration != "auto":
        return config.acceleration
    if not _KVM.exists() or _any_kernel(config.pool) is None:
        return "tcg"
    return decide(Daemon(uri=config.uri).connection(), config, None)


def _any_kernel(pool: Path) -> BootFiles | None:
    for kernel in sorted((pool / "kernels").glob("*/vmlinuz")):
        initrd = kernel.with_name("initrd")
        return BootFiles(
            kernel=kernel, initrd=initrd, layers=(), command_line=COMMAND_LINE
        )
    return None


def _find_out(
    connection: libvirt.virConnect, config: LibvirtConfig, boot: BootFiles, key: str
) -> Hypervisor:
    directory = config.pool / "probe"
    probe = Probe(connection=connection, console=directory / "console.log")
    boots = probe.boots(_machine(config, boot))
    hypervisor: Hypervisor = "kvm" if boots else "tcg"
    _remember(directory / "acceleration.json", key, hypervisor)
    return hypervisor


def _machine(config: LibvirtConfig, boot: BootFiles) -> Machine:
    return Machine(
        kernel=boot.kernel,
        initrd=boot.initrd,
        arguments=f"{boot.command_line} immutable.probe=1",
        memory_mib=config.memory_mib,
        vcpus=config.vcpus,
        hypervisor="kvm",
    )


@attrs.frozen(kw_only=True)
class Probe:
    """A domain without disks that says the marker on its console, and ends."""

    connection: libvirt.virConnect
    console: Path
    clock: Callable[[], float] = time.monotonic

    def boots(self, machine: Machine) -> bool:
        """Return whether the machine says the marker before the deadline."""
        self._clear()
        try:
            self.connection.createXML(build_probe(_NAME, machine, self.console))
        except libvirt.libvirtError:
            return (
                False  # KVM is refused; whatever else is wrong shows itself under TCG
            )
        try:
            return self._hears(self.clock() + DEADLINE_S)
        finally:
            self._clear()

    def _hears(self, deadline: float) -> bool:
        while self.clock() < deadline:
            runs = self._runs()  # asked first: the marker may be the last thing it does
            if MARKER in self._said():
                return True
            if not runs:
                return False
            time.sleep(_POLL_S)
        return False

    def _said(self) -> bytes:
        return self.console.read_bytes() if self.console.exists() else b""

    def _runs(self) -> bool:
        try:
            return bool(self.connection.lookupByName(_NAME).isActive())
        except libvirt.libvirtError:
            return False

    def _clear(self) -> None:
        """Remove the probe, also one whose owner died."""
        with suppress(libvirt.libvirtError):
            self.connection.lookupByName(_NAME).destroy()
        self.console.unlink(missing_ok=True)


def _key(connection: libvirt.virConnect, boot: BootFiles) -> str:
    """Return what the verdict depends on: this boot, this QEMU, this kernel."""
    with boot.kernel.open("rb") as stream:
        kernel = hashlib.file_digest(stream, "sha256").hexdigest()
    return f"{_BOOT_ID.read_text().strip()}/{connection.getVersion()}/{kernel}"


def _recall(path: Path, key: str) -> Hypervisor | None:
    with suppress(FileNotFoundError, ValueError, AttributeError):
        verdict = json.loads(path.read_text(encoding="utf-8")).get(key)
        return verdict if verdict in {"kvm", "tcg"} else None
    return None


def _remember(path: Path, key: str, hypervisor: Hypervisor) -> None:
    made = path.with_suffix(".new")
    made.write_text(json.dumps({key: hypervisor}), encoding="utf-8")
    made.rename(path)
