"""Running the host's tools: no shell, a scrubbed environment, output line by line."""

import os
import shutil
import signal
import subprocess
import threading
from collections import deque
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from datetime import timedelta
from pathlib import Path

from immutable.durations import spell
from immutable.errors import BuildFailed, Unavailable
from immutable.images.layers import DEADLINE

Output = Callable[[str], None]
EPOCH = 315532800
"""The time of every file in every image: 1980, the oldest that zip can hold."""
PLAIN = (
    ("HOME", "/root"),
    ("LC_ALL", "C.UTF-8"),
    ("PATH", "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"),
    # A layer that runs Python would get what it compiled of the layers below.
    ("PYTHONDONTWRITEBYTECODE", "1"),
    ("SOURCE_DATE_EPOCH", str(EPOCH)),
)
"""The environment of all that runs inside an image, in a chroot or booted."""

_LAST_LINES = 15
_LONGEST = 500
_WHY = "the last lines say why; nothing of it was kept"
_PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
_PROXIES = ("http_proxy", "https_proxy", "no_proxy")
_PACKAGES = {
    "apt-get": "apt",
    "cp": "coreutils",
    "dpkg-deb": "dpkg",
    "lz4": "lz4",
    "mkfs.erofs": "erofs-utils",
    "mmdebstrap": "mmdebstrap",
    "packer": "packer",
    "prlimit": "util-linux",
    "qemu-img": "qemu-utils",
    "qemu-system-x86_64": "qemu-system-x86",
    "setpriv": "util-linux",
    "unshare": "util-linux",
}


def environment() -> dict[str, str]:
    """Return what every tool is given: nothing of the caller's but its proxies."""
    kept = {name: os.environ[name] for name in _PROXIES if name in os.environ}
    return kept | {
        "DEBIAN_FRONTEND": "noninteractive",
        "HOME": "/root",
        "LC_ALL": "C.UTF-8",
        "PATH": _PATH,
        "SOURCE_DATE_EPOCH": str(EPOCH),
    }


def require(*programs: str) -> None:
    """Check that programs are installed.

    Raises:
        Unavailable: some are missing; the hint is the command that installs them.
    """
    missing = [program for program in programs if not shutil.which(program, path=_PATH)]
    if missing:
        packages = " ".join(sorted({_PACKAGES[program] for program in missing}))
        raise Unavailable(
            f"building images needs {', '.join(missing)}, which is not installed",
            hint=f'run "apt-get install {packages}"',
            operation="images.build",
            backend="libvirt",
        )


def run(
    argv: Sequence[str | Path],
    *,
    what: str,
    on_output: Output,
    variables: Mapping[str, str] | None = None,
    deadline: timedelta = DEADLINE,
) -> None:
    """Run a program to its end and pass on each line that it prints.

    It is killed when the calling process dies, and when ``on_output`` raises.

    Args:
        argv: the program and its arguments.
        what: what it does, for the message when it fails.
        on_output: gets each line without its end.
        variables: added to the scrubbed environment.
        deadline: after so long it is killed, with all that it started.

    Raises:
        BuildFailed: it ended with another status than 0, or not in time.
    """
    last: deque[str] = deque(maxlen=_LAST_LINES)
    with (
        _started(argv, variables or {}) as process,
        _limited(process, deadline) as late,
    ):
        try:
            for line in process.stdout or ():
                last.append(_cut(line.rstrip()))
                on_output(line.rstrip())
        except BaseException:
            _kill(process)
            raise
    if late.is_set():
        hint = "it may wait for something, or need longer: deadline=; nothing was kept"
        raise _failed(f"{what} did not end within {spell(deadline)}", last, hint)
    if process.returncode:
        raise failed(what, process.returncode, last)


@contextmanager
def _limited(
    process: subprocess.Popen[str], deadline: timedelta
) -> Iterator[threading.Event]:
    """Kill a process that takes too long; yields what is set when that was done."""
    late = threading.Event()

    def end() -> None:
        late.set()
        _kill(process)

    timer = threading.Timer(deadline.total_seconds(), end)
    timer.daemon = True
    timer.start()
    try:
        yield late
    finally:
        timer.cancel()


def _kill(process: subprocess.Popen[str]) -> None:
    """Kill a process with all that it started, if it has not ended."""
    if process.poll() is None:
        os.killpg(process.pid, signal.SIGKILL)


def _started(
    argv: Sequence[str | Path], variables: Mapping[str, str]
) -> subprocess.Popen[str]:
    return subprocess.Popen(
        ["setpriv", "--pdeathsig", "KILL", "--", *argv],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        env=environment() | dict(variables),
        cwd="/",
        text=True,
        errors="replace",
        start_new_session=True,
        umask=0o022,
    )


def capture(argv: Sequence[str | Path], *, variables: Mapping[str, str]) -> str:
    """Run a quick program and return what it printed to standard output.

    Raises:
        BuildFailed: it ended with another status than 0.
    """
    done = subprocess.run(
        argv,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        env=environment() | dict(variables),
        cwd="/",
        text=True,
        check=False,
    )
    if done.returncode:
        raise failed(str(argv[0]), done.returncode, done.stderr.splitlines())
    return done.stdout


def _cut(line: str) -> str:
    """Return a line that a message can hold: some tools write everything in one."""
    return line if len(line) <= _LONGEST else f"{line[:_LONGEST]}…"


def failed(what: str, status: int, lines: Sequence[str]) -> BuildFailed:
    """Return the error for a program that failed, with the last lines it printed."""
    return _failed(f"{what} failed with status {status}", lines)


def _failed(message: str, lines: Sequence[str], hint: str = _WHY) -> BuildFailed:
    said = "\n".join(f"    {line}" for line in list(lines)[-_LAST_LINES:])
    last = f"it ended with\n{said}" if said else "it printed nothing"
    return BuildFailed(
        f"{message}; {last}",
        hint=hint if said or hint != _WHY else "nothing of it was kept",
        operation="images.build",
        backend="libvirt",
    )
