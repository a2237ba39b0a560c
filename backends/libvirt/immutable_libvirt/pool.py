"""The directory that holds everything images are made of, safe for many builders.

    images/<image id>.json      what an image consists of
    layers/<digest>.erofs       read-only layers, named by their contents
    kernels/<digest>/           vmlinuz and initrd
    builds/<key>.json           which layer, kernel or image a digest of inputs led to
    trees/<key>/                unpacked layers, upon which the next layer is built
    cache/apt/                  downloaded packages and package lists
    locks/, work/               one lock for each thing being built, and unfinished work

Whatever has one of these names is whole: it was written elsewhere, synced to disk and
renamed. ``trees`` and ``cache`` may be deleted at any time; they only save work.
"""

import fcntl
import json
import os
import shutil
import subprocess
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path

import attrs

from immutable.errors import NotEnough, PermissionDenied
from immutable.model import Digest, ImageId

_FLAGS = os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW
_FILE = 0o600
# Unpacked trees hold set-user-id programs, which others must not be able to run.
_PRIVATE = ("builds", "cache", "images", "locks", "trees", "work")
# QEMU runs as another user, who opens files in these by name and cannot list them.
_PASSABLE = ("kernels", "layers")
_MEBIBYTE = 1 << 20


def _absolute(path: Path) -> Path:
    return path.absolute()


@attrs.frozen
class Pool:
    """The paths of a pool, and the only ways to write to it."""

    root: Path = attrs.field(converter=_absolute)

    def image(self, image: ImageId) -> Path:
        """Return where an image's manifest is."""
        return self.root / "images" / f"{image}.json"

    def layer(self, content: str) -> Path:
        """Return where the layer with these contents is."""
        return self.root / "layers" / f"{content}.erofs"

    def kernel(self, content: str) -> Path:
        """Return the directory of a kernel and its initramfs."""
        return self.root / "kernels" / content

    def build(self, key: Digest) -> Path:
        """Return where the result of building a digest of inputs is noted."""
        return self.root / "builds" / f"{key}.json"

    def tree(self, key: Digest) -> Path:
        """Return where the unpacked form of a layer or kernel is kept."""
        return self.root / "trees" / key

    def cache(self, name: str) -> Path:
        """Return a directory for what may be downloaded again, made when absent."""
        path = self.root / "cache" / name
        path.mkdir(mode=0o700, parents=True, exist_ok=True)
        return path

    def prepare(self) -> None:
        """Make the directories, and remove what dead builders left behind.

        Raises:
            PermissionDenied: the pool cannot be written.
        """
        try:
            for name in _PRIVATE:
                _make_directory(self.root / name, 0o700)
            for name in _PASSABLE:
                _make_directory(self.root / name, 0o711)
            self._sweep()
        except OSError as exc:
            raise PermissionDenied(
                f"the pool {self.root} cannot be written: {exc.strerror}",
                hint="run as root, or name another directory with ?pool=/path",
                operation="images.build",
                resource=str(self.root),
                backend="libvirt",
            ) from exc

    def require_space(self, needed_bytes: int) -> None:
        """Check that something of this size fits.

        Raises:
            NotEnough: it does not.
        """
        status = os.statvfs(self.root)
        free_bytes = status.f_bavail * status.f_frsize
        if free_bytes < needed_bytes:
            raise NotEnough(
                f"the pool {self.root} has {free_bytes // _MEBIBYTE} MiB free, and the"
                f" build may need {needed_bytes // _MEBIBYTE} MiB",
                hint="delete images, or name a pool on another disk with ?pool=/path",
                operation="images.build",
                resource=str(self.root),
                backend="libvirt",
            )

    @contextmanager
    def lock(self, name: str, *, shared: bool = False) -> Iterator[None]:
        """Hold a named lock between threads and processes, waiting for it."""
        descriptor = os.open(self.root / "locks" / name, _FLAGS, _FILE)
        try:
            fcntl.flock(descriptor, fcntl.LOCK_SH if shared else fcntl.LOCK_EX)
            yield
        finally:
            os.close(descriptor)

    @contextmanager
    def workspace(self) -> Iterator[Path]:
        """Yield a directory for unfinished work; afterwards it is gone."""
        with self.lock("work"):  # or a sweep could come between the two
            path = Path(tempfile.mkdtemp(dir=self.root / "work"))
            descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
            fcntl.flock(descriptor, fcntl.LOCK_SH)
        try:
            yield path
        finally:
            shutil.rmtree(path, ignore_errors=True)
            os.close(descriptor)

    def publish(self, made: Path, target: Path) -> None:
        """Give a finished file or directory its name, durably.

        A directory that is already there is kept: its name says that it is as good.
        """
        _sync(made)
        try:
            made.rename(target)
        except OSError:
            if not target.is_dir():
                raise
        _sync(target.parent)

    def note(self, target: Path, fields: Mapping[str, object]) -> None:
        """Write a small JSON document, durably and in one step."""
        text = json.dumps(dict(fields), indent=1, sort_keys=True)
        with self.workspace() as work:
            made = work / "note"
            made.touch(mode=_FILE)
            made.write_text(text + "\n", encoding="utf-8")
            self.publish(made, target)

    def _sweep(self) -> None:
        with self.lock("work"):
            for path in (self.root / "work").iterdir():
                with suppress(FileNotFoundError, NotADirectoryError):
                    _remove_abandoned(path)


def read(path: Path) -> dict[str, object] | None:
    """Return a document written by `Pool.note`, or None when there is none."""
    try:
        document = json.loads(path.read_bytes())
    except (FileNotFoundError, ValueError):
        return None
    return document if isinstance(document, dict) else None


def _make_directory(path: Path, mode: int) -> None:
    if not path.is_dir():
        path.mkdir(parents=True, exist_ok=True)
        path.chmod(mode)


def _remove_abandoned(path: Path) -> None:
    """Remove a workspace whose builder no longer holds its lock, because it died."""
    descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    try:
        if _took_lock(descriptor):
            shutil.rmtree(path, ignore_errors=True)
    finally:
        os.close(descriptor)


def _took_lock(descriptor: int) -> bool:
    """Take the lock of a file if nobody has it, and return whether that was so."""
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


def _sync(path: Path) -> None:
    """Bring a file to disk, or with a directory its whole file system."""
    if path.is_dir():
        subprocess.run(["sync", "--file-system", path], check=True)
        return
    descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
