"""Who writes: named so that another process on the same host can tell that it died."""

import functools
import os
import socket
from pathlib import Path


def this_process() -> str:
    """Return host, boot, process number and process start, in one word."""
    return "/".join((*_host(), str(os.getpid()), _started(os.getpid()) or "?"))


def is_dead(owner: str) -> bool:
    """Return whether a writer is known to be dead; False when it cannot be known.

    Only a process of this host and this boot can be known. A reused process number is
    told apart by the time at which its process started.
    """
    host, boot, pid, started = (*owner.split("/"), "", "", "", "")[:4]
    if (host, boot) != _host() or not pid.isdigit() or started == "?":
        return False
    return _started(int(pid)) != started


@functools.cache
def _host() -> tuple[str, str]:
    boot = Path("/proc/sys/kernel/random/boot_id")
    name = socket.gethostname().replace("/", "-")
    return (name, boot.read_text().strip() if boot.exists() else "?")


def _started(pid: int) -> str | None:
    try:
        fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    except OSError:
        return None if Path("/proc/self/stat").exists() else "?"
    return None if fields[0] == "Z" else fields[19]
