"""Run a daemon, and be the parent of the orphans that it makes; a program of its own.

libvirt takes a machine for running until its process is reaped, and machines are
orphans of their daemon. Where process 1 is not a real init, as in containers, orphans
are reaped late or never, and destroying a machine takes seconds or fails. This stands
in for init, and ends with the last of them. It runs on the system's Python, with
nothing but the standard library.
"""

import ctypes
import os
import subprocess
import sys

_PR_SET_CHILD_SUBREAPER = 36


def main(argv: list[str]) -> int:
    """Start the daemon in the background; return its status once it has started."""
    answer, question = os.pipe()
    if os.fork():
        os.close(question)
        return int.from_bytes(os.read(answer, 1), "little")
    os.setsid()
    ctypes.CDLL(None).prctl(_PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0)
    status = subprocess.call(argv)
    _detach()
    os.write(question, bytes([status & 0xFF]))
    os.close(question)
    _reap()
    os._exit(0)


def _detach() -> None:
    """Let go of the terminal, or of the file that collected the daemon's output."""
    null = os.open(os.devnull, os.O_RDWR)
    for descriptor in (0, 1, 2):
        os.dup2(null, descriptor)


def _reap() -> None:
    try:
        while True:
            os.wait()
    except ChildProcessError:
        return


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
