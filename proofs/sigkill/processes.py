"""A small backend: instances are local processes, each at a loopback address of its own.

They outlive whoever launched them. All that is known of one is its file, which it wrote
itself and keeps locked: a file that nobody holds is what is left of a dead instance.
"""

import fcntl
import json
import os
import select
import signal
import subprocess
import sys
from collections.abc import Callable
from datetime import datetime, timedelta
from pathlib import Path

import attrs

from immutable.capabilities import Capabilities, Need
from immutable.errors import Ambiguous, BackendError
from immutable.fleets import MachineFleets
from immutable.images.recipe import Recipe
from immutable.machines import Machines, MachineSpec
from immutable.model import (
    Digest,
    FleetName,
    Image,
    ImageId,
    Instance,
    InstanceId,
    InstanceLog,
    InstanceState,
    ServiceName,
    digest_of,
)
from immutable.protocols import PROTOCOL_VERSION
from immutable.urls import Url

NAME = "processes"
SERVER = Path(__file__).with_name("server.py")
IMAGE = Image(id=ImageId("server"), digest=Digest(digest_of("server")), backend=NAME)
_CAPABILITIES = Capabilities(
    builds_images=False,
    launch_binds=False,
    keeps_logs=True,
    reachable_elsewhere=False,
    guards_deletion=False,
    staleness=timedelta(),
    # a server that was asked for by a deployer that died comes to be all the same
    late=timedelta(seconds=4),
)
_PATIENCE_S = 20.0
_Row = tuple[Instance, tuple[tuple[str, str], ...]]


def _go_on() -> None:
    """Take no notice."""


@attrs.frozen(kw_only=True)
class ProcessMachines:
    """`immutable.machines.Machines`: one file and one process for each instance.

    A server does not need whoever asked for it: it comes to be a moment later even when
    they are dead, as servers do that were asked of a cloud.
    """

    directory: Path
    asked: Callable[[], None] = _go_on
    """Called when a server was asked for and has not answered yet."""
    dawdle: timedelta = timedelta()
    """How long servers take to come to be, on top of what they need."""

    def create(self, spec: MachineSpec) -> Instance:
        """Start a server, or return the one that has this name.

        Raises:
            Ambiguous: it said nothing, or cannot be seen.
        """
        fleet = spec.fleet
        request = {
            "name": spec.name,
            "fleet": fleet.name,
            "tags": fleet.tags.to_mapping(),
            "port": fleet.port,
            "document": fleet.document,
            "dawdle_s": self.dawdle.total_seconds(),
        }
        found = self._find(spec.name)
        if found is None:
            self._start(spec.name, json.dumps(request))
            found = self._find(spec.name)
        if found is None:
            raise Ambiguous(f"{spec.name} was started and cannot be seen")
        return found[0]

    def list(self) -> tuple[_Row, ...]:
        """Return every instance that has a file, by name."""
        names = sorted(path.stem for path in self.directory.glob("[!.]*.json"))
        rows = (self._find(name) for name in names)
        return tuple(row for row in rows if row is not None)

    def destroy(self, instance: InstanceId) -> None:
        """Kill a server, then remove its file.

        Raises:
            BackendError: it does not die.
        """
        path = self._path(instance)
        try:
            with path.open() as file:
                while _is_held(file.fileno()):
                    _kill(int(json.load(file)["pid"]), instance)
                    file.seek(0)
        except FileNotFoundError:
            return
        path.unlink(missing_ok=True)

    def log(self, name: str) -> Path:
        """Return where a server says what went wrong; it stays."""
        return self.directory / "logs" / f"{name}.log"

    def _path(self, name: str) -> Path:
        return self.directory / f"{name}.json"

    def _start(self, name: str, request: str) -> None:
        self.log(name).parent.mkdir(parents=True, exist_ok=True)
        with self.log(name).open("ab") as log:
            process = subprocess.Popen(
                [sys.executable, "-I", "-S", SERVER, self.directory, request],
                stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE,
                stderr=log,
            )
        with process:
            self.asked()
            answer, _ = process.communicate(timeout=_PATIENCE_S)
        if not answer:
            said = self.log(name).read_text()[-500:]
            raise Ambiguous(f"{name} said nothing: {said}", resource=name, backend=NAME)

    def _find(self, name: str) -> _Row | None:
        try:
            with self._path(name).open() as file:
                is_alive = _is_held(file.fileno())
                facts = json.load(file)
        except FileNotFoundError:
            return None
        instance = Instance(
            id=InstanceId(name),
            fleet=facts["fleet"],
            state=InstanceState.RUNNING if is_alive else InstanceState.GONE,
            address=facts["address"],
            digest=facts["tags"]["immutable-digest"],
            launched_at=datetime.fromisoformat(facts["launched_at"]),
        )
        return instance, tuple(sorted(facts["tags"].items()))


@attrs.frozen(kw_only=True)
class ProcessImages:
    """`immutable.protocols.Images`: there is one, the server program."""

    def find(self, image: ImageId) -> Image | None:
        """Return the one image when it is asked for."""
        return IMAGE if image == IMAGE.id else None

    def build(self, recipe: Recipe, *, on_output: object) -> Image:  # noqa: ARG002 - see capabilities
        """Return the one image; planning never asks, by the capabilities."""
        return IMAGE

    def delete(self, image: ImageId) -> None:
        """Keep it: the program is part of this package."""


@attrs.frozen(kw_only=True)
class ProcessLogs:
    """`immutable.protocols.Logs`: what servers wrote to standard error."""

    machines: ProcessMachines

    def read(self, fleet: FleetName, *, tail_bytes: int) -> tuple[InstanceLog, ...]:
        """Return the end of each server's log, by name."""
        paths = sorted(self.machines.log("").parent.glob(f"{fleet}-*.log"))
        return tuple(
            InstanceLog(
                instance=InstanceId(path.stem),
                fleet=fleet,
                console=path.read_text()[-tail_bytes:],
                journal="",
            )
            for path in paths
        )


@attrs.frozen(kw_only=True)
class ProcessBackend:
    """`immutable.protocols.Backend` on local processes."""

    machines: Machines
    fleets: MachineFleets
    logs: ProcessLogs
    images: ProcessImages = attrs.field(factory=ProcessImages)
    protocol_version: int = PROTOCOL_VERSION
    name: str = NAME
    capabilities: Capabilities = _CAPABILITIES

    def default_switch(self, service: ServiceName, *, port: int) -> Url:  # noqa: ARG002 - the port tells services apart
        """Return the URL of a HAProxy on this machine that listens on the port."""
        return Url(scheme="haproxy", options={"listen": f"127.0.0.1:{port}"})

    def preflight(self, need: Need) -> tuple[str, ...]:  # noqa: ARG002 - it always fits
        """Find nothing in the way."""
        return ()


def open_processes(directory: Path) -> ProcessBackend:
    """Return the backend whose instances have their files in a directory."""
    machines = ProcessMachines(directory=directory)
    fleets = MachineFleets(machines=machines)
    return ProcessBackend(
        machines=machines, fleets=fleets, logs=ProcessLogs(machines=machines)
    )


def _is_held(number: int) -> bool:
    try:
        fcntl.flock(number, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except BlockingIOError:
        return True
    fcntl.flock(number, fcntl.LOCK_UN)
    return False


def _kill(pid: int, name: str) -> None:
    try:
        handle = os.pidfd_open(pid)
    except ProcessLookupError:
        return
    try:
        signal.pidfd_send_signal(handle, signal.SIGKILL)
        if not select.select([handle], [], [], _PATIENCE_S)[0]:
            raise BackendError(f"{name} does not die", resource=name, backend=NAME)
    finally:
        os.close(handle)
