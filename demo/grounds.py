"""Where the demo can be played: virtual machines, or processes of this user."""

import os
import signal
import subprocess
from typing import Protocol

import attrs

from immutable import Recipe
from immutable.urls import Url

_DEBIAN = Recipe.base("debian:12").packages("python3-minimal")
_HOST = Recipe.base("host:local")


class Ground(Protocol):
    """What differs between the places."""

    @property
    def word(self) -> str:
        """Return what an instance is called there."""
        ...

    @property
    def base(self) -> Recipe:
        """Return an image with Python, without the app."""
        ...

    @property
    def patience(self) -> str:
        """Return for how long to wait for what will never be ready."""
        ...

    def kill(self, instance: str) -> str:
        """Let an instance die as by accident; return the command that did it."""
        ...


@attrs.frozen(kw_only=True)
class VirtualMachines:
    """libvirt's, by their own tool."""

    word: str = "machine"
    base: Recipe = _DEBIAN
    patience: str = "25s"

    def kill(self, instance: str) -> str:
        """Pull the plug, with the very command that an accident would be tried with."""
        command = ["virsh", "--connect", "qemu:///system", "destroy", instance]
        subprocess.run(command, check=True, stdout=subprocess.DEVNULL)
        return f"virsh destroy {instance}"


@attrs.frozen(kw_only=True)
class Processes:
    """Processes, by their numbers."""

    url: Url
    word: str = "process"
    base: Recipe = _HOST
    patience: str = "5s"

    def kill(self, instance: str) -> str:
        """Kill the process, and what keeps it running, the hard way."""
        from immutable_process import open_backend

        home = open_backend(self.url).machines.directory / instance
        group = int((home / "pid").read_text())
        os.killpg(group, signal.SIGKILL)
        return f"kill -9 -- -{group}  # {instance}"


def ground_of(backend: str) -> Ground:
    """Return the place that a backend's URL leads to."""
    url = Url.parse(backend)
    return Processes(url=url) if url.scheme == "process" else VirtualMachines()
