"""Run commands inside a directory on this machine: nothing is changed, nothing is reached."""

import os
import selectors
import subprocess
import time
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path

import attrs

from immutable.images.proof.places import Ran

OUTPUT_LIMIT_BYTES = 4 << 20
"""A command that says more than this could not be judged by what it says."""
_PIECE_BYTES = 64 << 10
# With --kill-child, whatever the command started ends when unshare does.
_NAMESPACES = (
    *("unshare", "--mount", "--pid", "--ipc", "--uts", "--net"),
    *("--fork", "--kill-child"),
)
_VARIABLES = (
    *("HOME=/root", "LC_ALL=C.UTF-8"),
    "PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin",
)
# Where the image has no directory to mount on, it has no use for what would be there.
# A link is none: until the root is entered, it would lead to somewhere on this machine.
_ENTER = """
set -e
root=$1
shift
mount --bind "$root" "$root"
mount -o remount,bind,ro "$root"
for place in tmp run dev; do
    [ ! -d "$root/$place" ] || [ -L "$root/$place" ] || mount -t tmpfs tmpfs "$root/$place"
done
if [ -d "$root/dev" ] && [ ! -L "$root/dev" ]; then
    for device in null zero full random urandom; do
        : > "$root/dev/$device"
        mount --bind "/dev/$device" "$root/dev/$device"
    done
fi
[ ! -d "$root/proc" ] || [ -L "$root/proc" ] || mount -t proc proc "$root/proc"
exec env -i "$@"
"""


@attrs.frozen
class Contained:
    """Runs commands in namespaces of their own, on a root that cannot be written.

    It keeps accidents in, not attackers: commands run as root.
    """

    path: Path

    def __call__(self, argv: tuple[str, ...], *, timeout: timedelta) -> Ran:
        """Run a program inside, without network, with scratch space in /tmp and /run.

        Raises:
            TimeoutError: it did not end in time; all that it started is ended.
            OSError: it cannot be run, or says more than `OUTPUT_LIMIT_BYTES`.
        """
        if os.geteuid() != 0:
            raise PermissionError("only root can run commands in a root of its own")
        inside = [*_VARIABLES, "chroot", str(self.path), *argv]
        command = [*_NAMESPACES, "sh", "-c", _ENTER, "enter", str(self.path), *inside]
        deadline = time.monotonic() + timeout.total_seconds()
        with subprocess.Popen(
            command,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            start_new_session=True,
        ) as process:
            try:
                stdout, stderr = _read(process, deadline)
                status = process.wait(max(0.0, deadline - time.monotonic()))
            except subprocess.TimeoutExpired as exc:
                raise TimeoutError(str(exc)) from exc
            finally:
                process.kill()
        return Ran(status=status, stdout=stdout, stderr=stderr)


def contained(path: str | os.PathLike[str]) -> Contained:
    """Return what runs commands inside a directory; it needs root and Linux."""
    return Contained(Path(path).resolve())


def _read(process: subprocess.Popen[bytes], deadline: float) -> tuple[bytes, bytes]:
    said: dict[str, bytearray] = {"stdout": bytearray(), "stderr": bytearray()}
    with selectors.DefaultSelector() as selector:
        selector.register(_fd(process.stdout), selectors.EVENT_READ, "stdout")
        selector.register(_fd(process.stderr), selectors.EVENT_READ, "stderr")
        while selector.get_map():
            for key in _ready(selector, deadline):
                piece = os.read(key.fd, _PIECE_BYTES)
                said[key.data] += piece
                if not piece:
                    selector.unregister(key.fd)
                if len(said[key.data]) > OUTPUT_LIMIT_BYTES:
                    raise OSError(f"it says more than {OUTPUT_LIMIT_BYTES} bytes")
    return bytes(said["stdout"]), bytes(said["stderr"])


def _ready(
    selector: selectors.BaseSelector, deadline: float
) -> Iterator[selectors.SelectorKey]:
    left = deadline - time.monotonic()
    events = selector.select(left) if left > 0 else []
    if not events:
        raise TimeoutError("it did not end in time")
    for key, _ in events:
        yield key


def _fd(stream: object) -> int:
    if not hasattr(stream, "fileno"):
        raise AssertionError("it was started with pipes")
    return int(stream.fileno())
