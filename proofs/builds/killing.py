"""A build in a child process that ends at a point, and the points that it passed."""

import os
import select
import signal
import sys
import time
from collections.abc import Callable
from pathlib import Path

import attrs

_EFFECTS = frozenset(
    {
        *("os.chmod", "os.chown", "os.link", "os.mkdir", "os.remove", "os.rename"),
        *("os.removexattr", "os.rmdir", "os.setxattr", "os.symlink", "os.truncate"),
        *("os.utime", "fcntl.flock", "shutil.rmtree", "shutil.copyfile"),
    }
)
_STARTS = "subprocess.Popen"
_WRITES = os.O_WRONLY | os.O_RDWR | os.O_CREAT
_TIMEOUT_S = 900


@attrs.frozen(kw_only=True)
class Point:
    """The number-th effect of a build; ``after_s`` is how long it then goes on."""

    number: int
    event: str
    after_s: float = 0.0

    def __str__(self) -> str:
        """Return it as people read it."""
        later = f" and {self.after_s * 1000:g} ms" if self.after_s else ""
        return f"{self.number} ({self.event}){later}"


@attrs.frozen(kw_only=True)
class Life:
    """How a build ended: the effects that it began, and whether it was killed."""

    events: tuple[str, ...]
    was_killed: bool


def live(build: Callable[[], object], point: Point | None) -> Life:
    """Run a build in a child process, killed at a point, or to its end.

    Raises:
        RuntimeError: it failed, or did not end in time.
    """
    read, write = os.pipe()
    child = os.fork()
    if child == 0:
        os.close(read)
        _run(build, write, point.number if point else -1)
    os.close(write)
    try:
        events = _follow(read, child, point)
    finally:
        os.close(read)
    _, status = os.waitpid(child, 0)
    killed = os.WIFSIGNALED(status) and os.WTERMSIG(status) == signal.SIGKILL
    if not killed and status:
        raise RuntimeError(f"the build failed by itself, status {status}")
    return Life(events=events, was_killed=killed)


def _run(build: Callable[[], object], write: int, stop_at: int) -> None:
    """Build, telling each effect before it happens; at the last one, wait to be killed."""
    count = 0
    # A build that a terminal's tool started has a group of its own: so does this.
    os.setsid()

    def hook(event: str, arguments: tuple[object, ...]) -> None:
        nonlocal count
        if not _is_effect(event, arguments):
            return
        os.write(write, f"{event}\n".encode())
        count += 1
        if count == stop_at:
            os.write(write, b"!\n")
            if event != _STARTS:
                signal.pause()

    sys.addaudithook(hook)
    status = 1
    try:
        build()
        status = 0
    except BaseException as exc:  # noqa: BLE001 - it is the child's end, and is told
        os.write(2, f"{type(exc).__name__}: {exc}\n".encode())
    finally:
        os._exit(status)


def _is_effect(event: str, arguments: tuple[object, ...]) -> bool:
    if event == "open":
        flags = arguments[2] if len(arguments) > 2 else 0  # noqa: PLR2004 - path, mode, flags
        return isinstance(flags, int) and bool(flags & _WRITES)
    return event in _EFFECTS or event == _STARTS


def _follow(read: int, child: int, point: Point | None) -> tuple[str, ...]:
    """Collect what a child tells until it ends, or is to be killed."""
    text, deadline = b"", time.monotonic() + _TIMEOUT_S
    while select.select([read], [], [], max(0, deadline - time.monotonic()))[0]:
        part = os.read(read, 65536)
        text += part
        if not part:
            break
        if point is not None and text.endswith(b"!\n"):
            time.sleep(point.after_s)
            os.kill(child, signal.SIGKILL)
            break
    else:
        os.kill(child, signal.SIGKILL)
        raise RuntimeError("the build does not end")
    return tuple(line for line in text.decode().split("\n") if line not in {"", "!"})


def points_of(
    events: tuple[str, ...], delays_s: tuple[float, ...]
) -> tuple[Point, ...]:
    """Return every point of a build: before each effect, and within each tool's run."""
    found = []
    for number, event in enumerate(events, start=1):
        found.append(Point(number=number, event=event))
        if event == _STARTS:
            found += [
                Point(number=number, event=event, after_s=delay) for delay in delays_s
            ]
    return tuple(found)


def is_used(place: Path) -> str:
    """Return what of a dead build is still there outside files: a mount or a process."""
    mounts = Path("/proc/self/mountinfo").read_text()
    if f" {place}/" in mounts:
        return "something is mounted in the pool"
    for process in Path("/proc").glob("[0-9]*"):
        try:
            line = (process / "cmdline").read_bytes()
        except OSError:
            continue
        if str(place).encode() in line and process.name != str(os.getpid()):
            return f"{line.decode(errors='replace')!r} still runs"
    return ""
