"""Whether a deployment fits this machine; nothing is touched."""

import os
from pathlib import Path

import libvirt

from immutable.capabilities import Need
from immutable.errors import BackendError, NotEnough, PermissionDenied, Unavailable
from immutable_libvirt import network
from immutable_libvirt.addresses import capacity_of
from immutable_libvirt.config import LibvirtConfig
from immutable_libvirt.daemon import Daemon
from immutable_libvirt.errors import BACKEND, translated
from immutable_libvirt.store import InstanceStore

OVERHEAD_MIB = 120
"""QEMU itself and what it translates: 214 MiB resident were seen for a 96 MiB guest."""
SCRATCH_MIB = 256
"""What an instance is expected to write: the disk grows as it is written."""
_MIB = 1 << 20
_MEMORY = Path("/proc/meminfo")
_OTHERS_MAY_PASS = 0o001


def check(
    config: LibvirtConfig, daemon: Daemon, store: InstanceStore, need: Need
) -> tuple[str, ...]:
    """Check that a need can be met; return warnings, one line each.

    Raises:
        Unavailable: libvirt or QEMU is missing.
        PermissionDenied: this user may not use them, or QEMU may not use the pool.
        Taken: the network is in use by somebody else.
        NotEnough: memory, disk or addresses do not suffice.
    """
    connection = daemon.connection()
    with translated("preflight", config.uri):
        _check_qemu(connection)
    network.check(connection, config)
    _check_rights(config)
    _check_addresses(config, store, need)
    _check_memory(config, need)
    return _check_disk(config, need)


def _refuse(kind: type[BackendError], message: str, hint: str) -> BackendError:
    return kind(message, hint=hint, operation="preflight", backend=BACKEND)


def _check_qemu(connection: libvirt.virConnect) -> None:
    try:
        connection.getVersion()
        connection.getDomainCapabilities(None, "x86_64", "q35", "qemu")
    except libvirt.libvirtError as exc:
        message = f"libvirt finds no QEMU for x86_64: {exc}"
        hint = "apt-get install qemu-system-x86"
        raise _refuse(Unavailable, message, hint) from exc


def _check_rights(config: LibvirtConfig) -> None:
    place = _existing(config.pool)
    if not os.access(place, os.W_OK | os.X_OK):
        hint = "run as its owner, or name another directory with ?pool=…"
        raise _refuse(PermissionDenied, f"{place} cannot be written", hint)
    if config.connection == "session":
        return
    for directory in (place, *place.parents):
        if not directory.stat().st_mode & _OTHERS_MAY_PASS:
            message = f"QEMU runs as a user of its own and cannot pass {directory}"
            hint = f"chmod o+x {directory}, or name another pool with ?pool=…"
            raise _refuse(PermissionDenied, message, hint)


def _check_addresses(config: LibvirtConfig, store: InstanceStore, need: Need) -> None:
    left = capacity_of(config.subnet) - len(store.used())
    if left < need.new_instances:
        message = f"{config.subnet} has {left} free addresses, not {need.new_instances}"
        hint = "retire fleets, or choose a larger network with ?subnet=…&network=…"
        raise _refuse(NotEnough, message, hint)


def _check_memory(config: LibvirtConfig, need: Need) -> None:
    needed = need.new_instances * (config.memory_mib + OVERHEAD_MIB)
    available = available_mib(_MEMORY.read_text(encoding="ascii"))
    if needed > available:
        message = (
            f"{need.new_instances} instances need {needed} MiB of memory,"
            f" {available} MiB are available"
        )
        hint = "deploy fewer, choose a smaller ?memory_mib=…, or retire fleets"
        raise _refuse(NotEnough, message, hint)


def available_mib(meminfo: str) -> int:
    """Return how much memory can be used without swapping, out of /proc/meminfo."""
    fields = dict(line.split(":", 1) for line in meminfo.splitlines())
    return int(fields["MemAvailable"].split()[0]) // 1024


def _check_disk(config: LibvirtConfig, need: Need) -> tuple[str, ...]:
    status = os.statvfs(_existing(config.pool))
    free = status.f_bavail * status.f_frsize // _MIB
    needed = need.new_instances * SCRATCH_MIB
    if free < needed:
        message = f"the pool {config.pool} has {free} MiB free, {needed} MiB are needed"
        hint = "delete images, or name a pool on another disk with ?pool=…"
        raise _refuse(NotEnough, message, hint)
    most = need.new_instances * config.disk_gib * 1024
    if free >= most:
        return ()
    warning = (
        f"the pool {config.pool} has {free} MiB free: instances that fill their"
        f" {config.disk_gib} GiB disks would run out of it"
    )
    return (warning,)


def _existing(path: Path) -> Path:
    return next(p for p in (path, *path.parents) if p.exists())
