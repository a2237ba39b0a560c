"""Directories that many builders write to, and in which whatever has a name is whole."""

import fcntl
import json
import os
import shutil
import subprocess
import tempfile
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

import attrs

from immutable.errors import PermissionDenied

FILE = 0o600
PRIVATE, PASSABLE = 0o700, 0o711
_FLAGS = os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW


def _absolute(path: Path) -> Path:
    return path.absolute()


@attrs.frozen
class Durable:
    """A directory whose parts are written in ``work``, synced to disk and renamed."""

    root: Path = attrs.field(converter=_absolute)

    @contextmanager
    def lock(self, name: str, *, shared: bool = False) -> Iterator[None]:
        """Hold a named lock between threads and processes, waiting for it."""
        descriptor = self._opened(name)
        try:
            fcntl.flock(descriptor, fcntl.LOCK_SH if shared else fcntl.LOCK_EX)
            yield
        finally:
            os.close(descriptor)

    @contextmanager
    def free(self, name: str) -> Iterator[bool]:
        """Hold a named lock if nobody has it; yield whether that is so."""
        descriptor = self._opened(name)
        try:
            yield _took_lock(descriptor)
        finally:
            os.close(descriptor)

    def _opened(self, name: str) -> int:
        try:
            return os.open(self.root / "locks" / name, _FLAGS, FILE)
        except PermissionError as exc:
            raise self._unwritable(exc) from exc

    def _unwritable(self, exc: OSError) -> PermissionDenied:
        return PermissionDenied(
            f"the pool {self.root} cannot be written: {exc.strerror}",
            hint="run as root, or name another directory with ?pool=/path",
            operation="images.build",
            resource=str(self.root),
            backend="libvirt",
        )

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
            _remove(path)
            os.close(descriptor)

    def publish(self, made: Path, target: Path) -> None:
        """Give a finished file or directory its name, durably.

        A directory that is already there is kept: its name says that it is as good.
        """
        sync(made)
        try:
            made.rename(target)
        except OSError:
            if not target.is_dir():
                raise
        sync(target.parent)

    def write(self, target: Path, content: bytes) -> None:
        """Write a small file, durably and in one step."""
        with self.workspace() as work:
            made = work / "file"
            made.touch(mode=FILE)
            made.write_bytes(content)
            self.publish(made, target)

    def note(self, target: Path, fields: Mapping[str, object]) -> None:
        """Write a small JSON document, durably and in one step."""
        text = json.dumps(dict(fields), indent=1, sort_keys=True)
        self.write(target, text.encode() + b"\n")

    def make_directories(
        self, private: Iterable[str], passable: Iterable[str] = ()
    ) -> None:
        """Make the directories, and remove what dead builders left behind.

        Raises:
            PermissionDenied: it cannot be written.
        """
        try:
            for name in private:
                _make_directory(self.root / name, PRIVATE)
            for name in passable:
                _make_directory(self.root / name, PASSABLE)
            self.sweep()
        except OSError as exc:
            raise self._unwritable(exc) from exc

    def sweep(self) -> tuple[str, ...]:
        """Remove what dead builders left in work, and return what that was.

        Raises:
            PermissionDenied: it cannot be looked at, or not be written.
        """
        try:
            if not (self.root / "work").is_dir():
                return ()
        except PermissionError as exc:
            raise self._unwritable(exc) from exc
        with self.lock("work"):
            left = sorted((self.root / "work").iterdir())
            return tuple(str(path) for path in left if _removed_abandoned(path))


def read(path: Path) -> dict[str, object] | None:
    """Return a document written by `Durable.note`, or None when there is none.

    Raises:
        PermissionDenied: the caller may not read it.
    """
    try:
        document = json.loads(contents(path) or b"")
    except ValueError:
        return None
    return document if isinstance(document, dict) else None


def contents(path: Path) -> bytes | None:
    """Return what a file holds, or None when there is none.

    Raises:
        PermissionDenied: the caller may not read it: pools are their owner's alone.
    """
    try:
        return path.read_bytes()
    except (FileNotFoundError, NotADirectoryError):
        return None
    except OSError as exc:
        raise PermissionDenied(
            f"{path} cannot be read: {exc.strerror}",
            hint="run as root, or name another pool with ?pool=/path",
            operation="images.find",
            resource=str(path),
            backend="libvirt",
        ) from exc


def sync(path: Path) -> None:
    """Bring a file to disk, or with a directory its whole file system."""
    if path.is_dir():
        subprocess.run(["sync", "--file-system", path], check=True)
        return
    descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _make_directory(path: Path, mode: int) -> None:
    if not path.is_dir():
        path.mkdir(parents=True, exist_ok=True)
        path.chmod(mode)


def _removed_abandoned(path: Path) -> bool:
    """Remove a workspace whose builder no longer holds its lock, because it died."""
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NOFOLLOW)
    except FileNotFoundError:  # its builder has just finished
        return False
    try:
        if not _took_lock(descriptor):
            return False
        _remove(path)
        return True
    finally:
        os.close(descriptor)


def _remove(path: Path) -> None:
    """Remove a workspace; what is mounted in it is not part of it."""
    for mounted in _mounts_below(path):
        subprocess.run(["umount", "--lazy", mounted], check=False, capture_output=True)
    if path.is_dir():
        shutil.rmtree(path, ignore_errors=True)
    else:
        path.unlink(missing_ok=True)


def _mounts_below(path: Path) -> list[str]:
    """Return what is mounted below a directory; lazily, any order does."""
    table = Path("/proc/self/mountinfo").read_text(encoding="utf-8", errors="replace")
    points = (line.split()[4] for line in table.splitlines())
    return [point for point in points if point.startswith(f"{path}/")]


def _took_lock(descriptor: int) -> bool:
    """Take the lock of a file if nobody has it, and return whether that was so."""
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True
