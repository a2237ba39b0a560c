"""Whether what the pool keeps is still what its name says: cheaply, and in full."""

from collections.abc import Callable, Iterable
from contextlib import suppress
from pathlib import Path

from immutable.model import Digest, digest_of
from immutable_libvirt.building.erofs import content_digest
from immutable_libvirt.durable import read
from immutable_libvirt.pool import Pool


def layer_is_intact(pool: Pool, content: Digest, *, fully: bool = False) -> bool:
    """Return whether a layer has the contents that it is named by.

    All of it is read only where size, time or inode are others than when it was last
    seen whole: what changes a disk's bits and nothing else is seen by ``fully``.
    """
    path = pool.layer(content)
    return _is_intact(
        pool, content, (path,), lambda: content_digest(path) == content, fully=fully
    )


def disk_is_intact(pool: Pool, content: Digest, disk_format: str) -> bool:
    """Return whether a whole disk has the contents that it is named by."""
    path = pool.disk(content, disk_format)
    return _is_intact(
        pool, content, (path,), lambda: content_digest(path) == content, fully=False
    )


def kernel_is_intact(pool: Pool, content: Digest, *, fully: bool = False) -> bool:
    """Return whether a kernel and its initramfs are what they are named by."""
    files = tuple(sorted(pool.kernel(content).glob("*")))
    return _is_intact(
        pool, content, files, lambda: kernel_digest(files) == content, fully=fully
    )


def kernel_digest(files: Iterable[Path]) -> Digest:
    """Return what a kernel and its initramfs are named by."""
    return digest_of(*(content_digest(path) for path in sorted(files)))


def seen_whole(pool: Pool, content: Digest, files: tuple[Path, ...]) -> None:
    """Note that files have what they are named by, as they are now."""
    # Who may not write the pool only looks again the next time.
    with suppress(OSError):
        pool.note(pool.seen(content), {"stamps": _stamps(files)})


def _is_intact(
    pool: Pool,
    content: Digest,
    files: tuple[Path, ...],
    check: Callable[[], bool],
    *,
    fully: bool,
) -> bool:
    try:
        stamps = _stamps(files)
        note = read(pool.seen(content)) or {}
        if not fully and note.get("stamps") == stamps:
            return True
        whole = check()
    except FileNotFoundError:
        return False
    if whole:
        seen_whole(pool, content, files)
    return whole


def _stamps(files: tuple[Path, ...]) -> list[list[int]]:
    found = (path.stat() for path in sorted(files))
    return [[s.st_size, s.st_mtime_ns, s.st_ino] for s in found]
