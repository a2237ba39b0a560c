"""The backend: local processes behind `immutable.protocols.Backend`."""

import os
from datetime import timedelta

import attrs

from immutable.capabilities import Capabilities, Need
from immutable.errors import NotEnough, PermissionDenied
from immutable.fleets import MachineFleets
from immutable.model import ServiceName
from immutable.protocols import PROTOCOL_VERSION
from immutable.urls import Url
from immutable_process.config import directory_of
from immutable_process.errors import NAME
from immutable_process.fleet import PORTS, ProcessMachines
from immutable_process.images import ProcessImages
from immutable_process.logs import ProcessLogs

_CAPABILITIES = Capabilities(
    builds_images=True,
    launch_binds=False,
    keeps_logs=True,
    reachable_elsewhere=False,
    # no process knows of the switch
    guards_deletion=False,
    staleness=timedelta(),
    # a killed deployer's last child may still become an instance, within milliseconds
    late=timedelta(seconds=1),
)


@attrs.frozen(kw_only=True)
class ProcessBackend:
    """Supervised processes of this machine, as fleets."""

    images: ProcessImages
    machines: ProcessMachines
    fleets: MachineFleets
    logs: ProcessLogs
    protocol_version: int = PROTOCOL_VERSION
    name: str = NAME
    capabilities: Capabilities = _CAPABILITIES

    def default_switch(self, service: ServiceName, *, port: int) -> Url:  # noqa: ARG002 - the port tells services apart
        """Return the URL of a HAProxy on this machine that listens on the port."""
        return Url(scheme="haproxy", options={"listen": f"127.0.0.1:{port}"})

    def preflight(self, need: Need) -> tuple[str, ...]:
        """Check directory and ports; there is nothing to warn of.

        Raises:
            PermissionDenied: the directory cannot be written.
            NotEnough: there are fewer ports.
        """
        if need.new_instances > len(PORTS) - len(self.machines.list()):
            hint = "retire fleets that nobody needs"
            raise NotEnough(f"there are {len(PORTS)} ports", hint=hint, backend=NAME)
        directory = self.machines.directory
        place = next(path for path in directory.parents if path.exists())
        if not os.access(place, os.W_OK | os.X_OK):
            hint = "name a directory of yours: ?dir=/path"
            raise PermissionDenied(
                f"{place} cannot be written", hint=hint, backend=NAME
            )
        return ()


def open_backend(url: Url) -> ProcessBackend:
    """Return the backend at ``process://?dir=/path``; no I/O.

    Raises:
        InvalidInput: the URL means nothing.
    """
    directory = directory_of(url)
    images = ProcessImages(directory=directory / "images")
    machines = ProcessMachines(
        images=images, directory=directory / "instances", logs=directory / "logs"
    )
    return ProcessBackend(
        images=images,
        machines=machines,
        fleets=MachineFleets(machines=machines),
        logs=ProcessLogs(directory=machines.logs),
    )
