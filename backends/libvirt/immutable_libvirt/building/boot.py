"""Kernel and initramfs in the pool, made once for each release of Debian and guest."""

from pathlib import Path

from immutable.model import Digest, digest_of
from immutable_libvirt.building import kernel
from immutable_libvirt.building.apt import Apt
from immutable_libvirt.building.erofs import content_digest
from immutable_libvirt.building.process import Output
from immutable_libvirt.durable import read
from immutable_libvirt.pool import Pool

FORMAT = 1
"""Raised when the same packages and guest programs would now boot otherwise."""


def boot_key(codename: str) -> Digest:
    """Return the digest of what decides over kernel and initramfs."""
    programs = [(name, text.decode()) for name, text in kernel.guest_programs()]
    return digest_of("libvirt boot", FORMAT, codename, programs)


def find_kernel(pool: Pool, key: Digest) -> Digest | None:
    """Return the name of a kernel with its initramfs if it is there."""
    note = read(pool.build(key)) or {}
    content = Digest(str(note.get("content", "")))
    return content if content and pool.kernel(content).is_dir() else None


def build_kernel(pool: Pool, codename: str, *, on_output: Output) -> Digest:
    """Return the name of a kernel with its initramfs, made if it is not there yet.

    The kernel is kept apart, so that it is not fetched again when only the guest's own
    programs have changed.

    Raises:
        Unavailable: the mirrors cannot be reached.
        BuildFailed: the packages are not as expected.
    """
    key = boot_key(codename)
    with pool.lock(key):
        found = find_kernel(pool, key)
        if found:
            return found
        packages = _packages(pool, codename, on_output)
        content = _publish(pool, packages)
        pool.note(pool.build(key), {"content": content, "schema": 1})
        return content


def _packages(pool: Pool, codename: str, on_output: Output) -> Path:
    kept = pool.tree(digest_of("libvirt kernel", FORMAT, codename))
    with pool.lock(f"apt-{codename}"), pool.workspace() as work:
        if not kept.is_dir():
            kernel.fetch(Apt.of(pool, codename), work / "fetched", on_output=on_output)
            pool.publish(work / "fetched", kept)
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
        names = sorted(made.iterdir())
        content = digest_of(*(content_digest(path) for path in names))
        pool.publish(made, pool.kernel(content))
        return content
