"""A search that a process of its own can be told to make, and to hang in."""

import signal
from pathlib import Path

import immutable
from immutable.bisecting import bisect


def hang(target: immutable.Target) -> bool:
    """Say that the trial is on, and answer no more."""
    Path(dict(target.release.configuration)["FLAG"]).write_text(target.fleet)
    signal.pause()
    return True


def search(service: immutable.Service, good: int, bad: int) -> None:
    """Search until somebody ends this process."""
    bisect(service, good, bad, hang)
