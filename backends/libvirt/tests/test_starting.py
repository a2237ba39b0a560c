"""Daemons that outlive their starter, and whose orphans are reaped."""

import subprocess
import sys
import time
from pathlib import Path

from immutable_libvirt import reaper

# A daemon as libvirtd is one: it returns when its child, an orphan from then on, is up.
_DAEMON = "( sleep 0.3 & echo $! > {pid} ) ; exit {status}"


def _start(tmp_path: Path, status: int = 0) -> tuple[int, Path]:
    pid = tmp_path / "pid"
    command = _DAEMON.format(pid=pid, status=status)
    argv = [sys.executable, "-I", reaper.__file__, "sh", "-c", command]
    return subprocess.run(argv, check=False, timeout=30).returncode, pid


def test_orphans_are_reaped_when_they_end(tmp_path: Path) -> None:
    """Whatever process 1 is, no zombie is left."""
    status, pid = _start(tmp_path)
    process = Path("/proc") / pid.read_text().strip()
    assert status == 0
    while process.exists() and "sleep" in (process / "cmdline").read_text():
        time.sleep(0.05)
    deadline = time.monotonic() + 10
    while process.exists() and time.monotonic() < deadline:
        time.sleep(0.01)
    assert not process.exists()


def test_a_daemon_that_fails_says_so(tmp_path: Path) -> None:
    """Its status is the status of the whole."""
    assert _start(tmp_path, status=7)[0] == 7
