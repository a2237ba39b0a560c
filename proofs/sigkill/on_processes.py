"""Fleets of local processes, and what can be seen of them from outside."""

import json
import os
import signal
from datetime import timedelta
from functools import partial
from pathlib import Path

import attrs

from immutable.fleets import MachineFleets
from immutable.model import Image, InstanceId
from immutable.protocols import Backend
from proofs.sigkill.points import Watch
from proofs.sigkill.processes import IMAGE, NAME, SERVER, open_processes
from proofs.sigkill.site import Traces
from proofs.sigkill.taps import tapped
from proofs.sigkill.verbs import Verb

_ASKED = "asking for a server"
_DAWDLE = timedelta(seconds=2.5)


@attrs.frozen(kw_only=True)
class OnProcesses:
    """A directory of instances that are processes."""

    directory: Path
    port: int
    size: int = 2
    name: str = NAME
    image: Image = IMAGE
    verbs: tuple[Verb, ...] = (Verb.DEPLOY, Verb.REJECT, Verb.ROLLBACK)
    requests_per_second: int = 120
    looks_into_switch: bool = True

    def backend(self, watch: Watch | None) -> Backend:
        """Open the backend, with its effects told to a watch."""
        opened = open_processes(self.directory)
        if watch is None:
            return opened
        # whoever dies between asking and the answer leaves a server that comes too late
        dawdle = _DAWDLE if watch.is_armed_at(_ASKED) else timedelta()
        asked = partial(watch.meet, _ASKED, "after")
        told = attrs.evolve(opened.logs.machines, asked=asked, dawdle=dawdle)
        machines = tapped(told, "machines", watch)
        return attrs.evolve(
            opened, machines=machines, fleets=MachineFleets(machines=machines)
        )

    def traces(self) -> Traces:
        """Return the processes there are, and the files."""
        files = (path.stem for path in self.directory.glob("[!.]*.json"))
        return {
            "processes": frozenset(self._processes()),
            "files": frozenset(files),
        }

    def debris(self) -> frozenset[str]:
        """Return files that servers began and never finished."""
        return frozenset(path.name for path in self.directory.glob(".*.json.*"))

    def hurt(self, instance: str) -> None:
        """Kill an instance behind the library's back."""
        facts = json.loads((self.directory / f"{instance}.json").read_text())
        os.kill(facts["pid"], signal.SIGKILL)

    def clear(self) -> None:
        """Kill whatever is left."""
        machines = open_processes(self.directory).machines
        for instance, _ in machines.list():
            machines.destroy(InstanceId(instance.id))

    def _processes(self) -> list[str]:
        ours = [str(SERVER), str(self.directory)]
        lines = (_command(path) for path in Path("/proc").glob("[0-9]*/cmdline"))
        requests = (line[-2] for line in lines if line[-4:-2] == ours)
        return [str(json.loads(request)["name"]) for request in requests]


def _command(path: Path) -> list[str]:
    """Return a process's arguments and an empty string; nothing when it has ended."""
    try:
        return path.read_text(errors="replace").split("\0")
    except OSError:
        return []
