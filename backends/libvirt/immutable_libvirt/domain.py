"""An instance as libvirt's domain XML; pure.

https://libvirt.org/formatdomain.html is the reference for every element here.
"""

from pathlib import Path
from typing import Literal
from xml.etree.ElementTree import Element

import attrs

from immutable_libvirt.addresses import mac_of
from immutable_libvirt.bootable import Format
from immutable_libvirt.facts import InstanceFacts
from immutable_libvirt.metadata import to_element
from immutable_libvirt.xml import add, text_of

Hypervisor = Literal["kvm", "tcg"]


@attrs.frozen(kw_only=True)
class Disk:
    """One virtio disk, found by the guest under its serial number."""

    serial: str
    path: Path
    is_writable: bool = False
    backing: Path | None = None
    """The file under a writable qcow2 overlay."""
    backing_format: Format = "raw"


@attrs.frozen(kw_only=True)
class Machine:
    """What is booted, with which kernel arguments, on how large a machine.

    Without a kernel, the firmware boots from the first disk.
    """

    kernel: Path | None = None
    initrd: Path | None = None
    arguments: str = ""
    memory_mib: int
    vcpus: int
    hypervisor: Hypervisor


@attrs.frozen(kw_only=True)
class DomainSpec:
    """Everything in a domain: the machine, its disks, its network and its two logs."""

    facts: InstanceFacts
    machine: Machine
    disks: tuple[Disk, ...]
    network: str
    console: Path
    journal: Path


def build(spec: DomainSpec) -> str:
    """Return the domain's XML."""
    root = _skeleton(spec.facts.name, spec.machine)
    root.insert(1, _metadata(spec.facts))
    devices = add(root, "devices")
    for index, disk in enumerate(spec.disks):
        _add_disk(devices, disk, index)
    _add_interface(devices, spec)
    _add_serial(devices, spec.console, "0")
    _add_serial(devices, spec.journal, "1")
    _add_randomness(devices)
    _leave_out(devices)
    return text_of(root)


@attrs.frozen(kw_only=True)
class BuilderSpec:
    """A machine that makes a layer: its disks, and the sockets of its serial ports.

    ``network`` is QEMU's own, which reaches what this machine reaches and is reached
    from nowhere.
    """

    name: str
    machine: Machine
    disks: tuple[Disk, ...]
    ports: tuple[Path, ...]
    network: bool
    metadata: Element


def build_builder(spec: BuilderSpec) -> str:
    """Return the XML of a builder."""
    root = _skeleton(spec.name, spec.machine)
    metadata = Element("metadata")
    metadata.append(spec.metadata)
    root.insert(1, metadata)
    devices = add(root, "devices")
    for index, disk in enumerate(spec.disks):
        _add_disk(devices, disk, index)
    if spec.network:
        _add_card(add(devices, "interface", type="user"))
    for port, path in enumerate(spec.ports):
        _add_socket(devices, path, str(port))
    _add_randomness(devices)
    _leave_out(devices)
    return text_of(root)


def build_probe(name: str, machine: Machine, console: Path) -> str:
    """Return the XML of a machine without disks or network that only has to boot."""
    root = _skeleton(name, machine)
    devices = add(root, "devices")
    _add_serial(devices, console, "0")
    _leave_out(devices)
    return text_of(root)


def _skeleton(name: str, machine: Machine) -> Element:
    root = Element("domain", type="kvm" if machine.hypervisor == "kvm" else "qemu")
    add(root, "name", name)
    add(root, "memory", str(machine.memory_mib), unit="MiB")
    add(root, "vcpu", str(machine.vcpus))
    _add_boot(root, machine)
    features = add(root, "features")
    add(features, "acpi")
    add(features, "apic")
    _add_cpu(root, machine.hypervisor)
    add(root, "clock", offset="utc")
    for event in ("on_poweroff", "on_reboot", "on_crash"):
        # An instance that stops is replaced, never started again with its old disk.
        add(root, event, "destroy")
    return root


def _metadata(facts: InstanceFacts) -> Element:
    metadata = Element("metadata")
    metadata.append(to_element(facts))
    return metadata


def _add_boot(root: Element, machine: Machine) -> None:
    boot = add(root, "os")
    add(boot, "type", "hvm", arch="x86_64", machine="q35")
    if machine.kernel is None:
        add(boot, "boot", dev="hd")
        return
    add(boot, "kernel", str(machine.kernel))
    add(boot, "initrd", str(machine.initrd))
    add(boot, "cmdline", machine.arguments)


def _add_cpu(root: Element, hypervisor: Hypervisor) -> None:
    if hypervisor == "kvm":
        add(root, "cpu", mode="host-passthrough")
        return
    # The oldest model at the x86-64-v2 level that common binaries ask for.
    cpu = add(root, "cpu", mode="custom", match="exact", check="none")
    add(cpu, "model", "Nehalem", fallback="forbid")


def _add_disk(devices: Element, disk: Disk, index: int) -> None:
    element = add(devices, "disk", type="file", device="disk")
    kind = "raw" if disk.backing is None else "qcow2"
    driver = add(element, "driver", name="qemu", type=kind)
    _add_source(element, disk.path, is_ours=not disk.is_writable)
    if disk.is_writable:
        # The disk dies with the instance, so nothing needs to reach the platter.
        driver.attrib.update(cache="unsafe", discard="unmap")
    else:
        add(element, "readonly")
        add(element, "shareable")
    if disk.backing is not None:
        _add_backing(element, disk.backing, disk.backing_format)
    add(element, "target", dev=f"vd{chr(ord('a') + index)}", bus="virtio")
    add(element, "serial", disk.serial)


def _add_source(parent: Element, path: Path, *, is_ours: bool) -> None:
    source = add(parent, "source", file=str(path))
    if is_ours:
        # Else libvirt gives the file to QEMU's user, who could then write to a layer.
        add(source, "seclabel", model="dac", relabel="no")


def _add_backing(element: Element, path: Path, backing_format: str) -> None:
    # Stated in full, so that neither libvirt nor QEMU looks into the overlay for it.
    backing = add(element, "backingStore", type="file")
    add(backing, "format", type=backing_format)
    _add_source(backing, path, is_ours=True)
    add(backing, "backingStore")


def _add_interface(devices: Element, spec: DomainSpec) -> None:
    interface = add(devices, "interface", type="network")
    add(interface, "mac", address=mac_of(spec.facts.address))
    add(interface, "source", network=spec.network)
    _add_card(interface)


def _add_card(interface: Element) -> None:
    add(interface, "model", type="virtio")
    add(interface, "rom", enabled="no")


def _add_serial(devices: Element, path: Path, port: str) -> None:
    serial = add(devices, "serial", type="file")
    add(serial, "source", path=str(path), append="on")
    add(serial, "target", type="isa-serial", port=port)


def _add_socket(devices: Element, path: Path, port: str) -> None:
    serial = add(devices, "serial", type="unix")
    add(serial, "source", mode="connect", path=str(path))
    add(serial, "target", type="isa-serial", port=port)


def _add_randomness(devices: Element) -> None:
    rng = add(devices, "rng", model="virtio")
    add(rng, "backend", "/dev/urandom", model="random")


def _leave_out(devices: Element) -> None:
    # Devices that libvirt would add by itself; the guest has no driver for them.
    add(devices, "controller", type="usb", model="none")
    add(devices, "memballoon", model="none")
