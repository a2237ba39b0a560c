"""Whether what the pool keeps is still what its name says: cheaply, and in full."""

import os
from collections.abc import Callable, Iterable, Iterator
from contextlib import suppress
from pathlib import Path

from immutable.model import Digest, digest_of
from immutable_libvirt.building import erofs
from immutable_libvirt.building.erofs import content_digest
from immutable_libvirt.building.process import Output
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


def tree_is_intact(
    pool: Pool, content: Digest, name: Digest, work: Path, *, on_output: Output
) -> bool:
    """Return whether an unpacked layer still makes the layer that it is of.

    It is only made again where something in the tree was changed since it was last seen
    whole: whatever changes a file, or what a directory holds, moves a ctime.

    Args:
        pool: where it is.
        content: what its layer is named by.
        name: of the tree.
        work: a directory with room for the layer.
        on_output: gets each line that is printed.
    """
    tree, again = pool.tree(name), work / "seen"
    noted = (read(pool.seen(name)) or {}).get("stamps")
    if noted == _tree_stamps(tree):
        return True
    erofs.make(tree, again, on_output=on_output)
    whole = erofs.content_digest(again) == content
    again.unlink()
    if whole:
        with suppress(OSError):
            pool.note(pool.seen(name), {"stamps": _tree_stamps(tree)})
    return whole


def _tree_stamps(tree: Path) -> list[int]:
    # Also how many: with a clock that was set back, the newest may be an older one.
    ctimes = [tree.lstat().st_ctime_ns, *_ctimes_below(tree)]
    return [len(ctimes), max(ctimes)]


def _ctimes_below(directory: Path | str) -> Iterator[int]:
    """Yield the ctimes of thousands of files, before each layer that runs something."""
    with os.scandir(directory) as entries:
        for entry in entries:
            yield entry.stat(follow_symlinks=False).st_ctime_ns
            if entry.is_dir(follow_symlinks=False):
                yield from _ctimes_below(entry.path)


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
