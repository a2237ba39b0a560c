"""Where the demo can be played: virtual machines, or processes of this user."""

import os
import signal
import subprocess
from collections.abc import Callable

import attrs

from immutable import Recipe
from immutable.urls import Url


@attrs.frozen(kw_only=True)
class Ground:
    """What differs between the places."""

    word: str
    """What an instance is called there."""
    base: Recipe
    """An image with Python, without the app."""
    patience: str
    """For how long to wait for what will never be ready."""
    kill: Callable[[str], str]
    """Lets an instance die as by accident, and returns the command that did it."""


def ground_of(backend: str) -> Ground:
    """Return the place that a backend's URL leads to."""
    url = Url.parse(backend)
    if url.scheme == "process":
        return Ground(
            word="process",
            base=Recipe.base("host:local"),
            patience="5s",
            kill=lambda instance: _kill_process(url, instance),
        )
    return Ground(
        word="machine",
        base=Recipe.base("debian:12").packages("python3-minimal"),
        patience="25s",
        kill=_pull_the_plug,
    )


def _pull_the_plug(instance: str) -> str:
    """Use the very command that an accident would be tried with."""
    command = ["virsh", "--connect", "qemu:///system", "destroy", instance]
    subprocess.run(command, check=True, stdout=subprocess.DEVNULL)
    return f"virsh destroy {instance}"


def _kill_process(url: Url, instance: str) -> str:
    """Kill a process, and what keeps it running, the hard way."""
    from immutable_process import open_backend

    home = open_backend(url).machines.directory / instance
    group = int((home / "pid").read_text())
    os.killpg(group, signal.SIGKILL)
    return f"kill -9 -- -{group}  # {instance}"
