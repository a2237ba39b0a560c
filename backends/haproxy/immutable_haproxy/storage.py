"""The switch's files: replaced in one step, durable, one writer at a time."""

import fcntl
import os
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from datetime import timedelta
from pathlib import Path

import attrs

from immutable.errors import Unavailable

_PATIENCE = timedelta(seconds=15)
_PRIVATE_FILE = 0o600
_PRIVATE_DIRECTORY = 0o700


@attrs.frozen
class Home:
    """The directory of one switch. HAProxy runs in it: no path needs quoting."""

    directory: Path

    @property
    def settings(self) -> Path:
        """Return what was decided when it was set up; being there says that it was."""
        return self.directory / "settings.json"

    @property
    def configuration(self) -> Path:
        """Return HAProxy's configuration, with the members after a restart."""
        return self.directory / "haproxy.cfg"

    @property
    def routing(self) -> Path:
        """Return the map's text."""
        return self.directory / "routing.map"

    @property
    def socket(self) -> Path:
        """Return HAProxy's runtime socket."""
        return self.directory / "haproxy.sock"

    @property
    def log(self) -> Path:
        """Return what HAProxy and its restarter say."""
        return self.directory / "haproxy.log"

    @property
    def lock(self) -> Path:
        """Return the file that writers hold."""
        return self.directory / "writer.lock"

    def create(self) -> None:
        """Create the directory, for its owner alone."""
        self.directory.mkdir(mode=_PRIVATE_DIRECTORY, parents=True, exist_ok=True)


def replace(path: Path, text: str) -> None:
    """Replace a file in one step; when this returns it survives a loss of power."""
    draft = path.with_name(f".{path.name}.new")
    number = os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, _PRIVATE_FILE)
    with open(number, "w", encoding="utf-8") as file:  # noqa: PTH123 - mode from birth
        file.write(text)
        file.flush()
        os.fsync(file.fileno())
    draft.rename(path)
    sync_directory(path.parent)


def sync_directory(directory: Path) -> None:
    """Make the directory's own entries durable."""
    number = os.open(directory, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(number)
    finally:
        os.close(number)


@contextmanager
def writing(home: Home) -> Iterator[None]:
    """Keep other writers, in this process and in others, out of the files.

    HAProxy's map versions refuse who is late; this lock keeps the files in the order of
    the versions. The system releases it when its holder dies.

    Raises:
        Unavailable: somebody held it for 15 seconds; nothing was changed.
    """
    number = os.open(home.lock, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, _PRIVATE_FILE)
    try:
        _acquire(number, home)
        os.ftruncate(number, 0)
        os.pwrite(number, str(os.getpid()).encode(), 0)
        yield
    finally:
        os.close(number)


def _acquire(number: int, home: Home) -> None:
    deadline = time.monotonic() + _PATIENCE.total_seconds()
    while not _try_lock(number):
        if time.monotonic() > deadline:
            holder = os.pread(number, 20, 0).decode(errors="replace")
            raise Unavailable(
                f"process {holder} is writing to the switch and does not finish",
                hint="wait for it, or end it if it hangs",
                operation="switch",
                resource=str(home.directory),
                backend="haproxy",
                retryable=True,
            )
        time.sleep(0.002)


def _try_lock(number: int) -> bool:
    with suppress(BlockingIOError):
        fcntl.flock(number, fcntl.LOCK_EX | fcntl.LOCK_NB)
        return True
    return False
