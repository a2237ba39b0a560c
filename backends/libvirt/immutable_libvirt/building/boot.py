"""Kernel and initramfs in the pool, made once for each pair of packages and guest."""

import shutil
from pathlib import Path

from immutable.images.lock import Entry
from immutable.model import Digest, digest_of
from immutable_libvirt.building import kernel
from immutable_libvirt.building.intact import (
    kernel_digest,
    kernel_is_intact,
    seen_whole,
)
from immutable_libvirt.building.supply import Supply
from immutable_libvirt.durable import read
from immutable_libvirt.pool import Pool

FORMAT = 2
"""Raised when the same packages and guest programs would now boot otherwise."""


def guest_key(codename: str) -> Digest:
    """Return the digest of what is not in any lock, and decides over booting too."""
    programs = [(name, text.decode()) for name, text in kernel.guest_programs()]
    return digest_of("libvirt boot", FORMAT, codename, programs)


def find_kernel(pool: Pool, codename: str, pins: Entry) -> Digest | None:
    """Return the name of a kernel with its initramfs if it is there."""
    note = read(pool.build(_key(codename, pins))) or {}
    content = Digest(str(note.get("content", "")))
    return content if content and kernel_is_intact(pool, content) else None


def build_kernel(supply: Supply, pins: Entry) -> Digest:
    """Return the name of a kernel with its initramfs, made if it is not there yet.

    The kernel is kept apart, so that it is not unpacked again when only the guest's own
    programs have changed.

    Raises:
        MissingFiles: a package is to be had nowhere.
        BuildFailed: the packages are not as expected.
    """
    pool, key = supply.pool, _key(supply.codename, pins)
    with pool.lock(key):
        found = find_kernel(pool, supply.codename, pins)
        if found:
            return found
        content = _publish(pool, _unpacked(supply, pins))
        pool.note(pool.build(key), {"content": content, "schema": 1})
        return content


def _key(codename: str, pins: Entry) -> Digest:
    return digest_of(guest_key(codename), pins.digest)


def _unpacked(supply: Supply, pins: Entry) -> Path:
    pool = supply.pool
    kept = pool.tree(digest_of("libvirt kernel", FORMAT, pins.digest))
    with pool.lock(kept.name), pool.workspace() as work:
        if not kept.is_dir():
            debs = supply.files(pins.pins).values()
            kernel.unpack(debs, work / "made", on_output=supply.on_output)
            pool.publish(work / "made", kept)
            pool.note(pool.build(Digest(kept.name)), {"what": "kernel", "schema": 1})
    return kept


def _publish(pool: Pool, packages: Path) -> Digest:
    with pool.workspace() as work:
        made = work / "kernel"
        made.mkdir()
        made.chmod(0o711)
        (made / "vmlinuz").write_bytes((packages / "vmlinuz").read_bytes())
        (made / "initrd").write_bytes(kernel.initramfs(packages))
        for path in made.iterdir():
            path.chmod(0o444)
        content = kernel_digest(made.iterdir())
        kept = pool.kernel(content)
        if kept.is_dir() and not kernel_is_intact(pool, content):
            shutil.rmtree(kept)
        pool.publish(made, kept)
        seen_whole(pool, content, tuple(kept.iterdir()))
        return content
