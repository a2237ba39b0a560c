"""libvirt and QEMU as a backend of `immutable`: virtual machines on this computer."""

from immutable_libvirt.backend import LibvirtBackend, open_backend

__all__ = ["LibvirtBackend", "open_backend"]
