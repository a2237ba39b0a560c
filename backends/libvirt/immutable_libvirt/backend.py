"""The backend: everything libvirt offers, behind `immutable.protocols.Backend`."""

from datetime import timedelta

import attrs

from immutable.capabilities import Capabilities, Need
from immutable.errors import Unsupported
from immutable.fleets import MachineFleets
from immutable.model import ServiceName
from immutable.protocols import PROTOCOL_VERSION
from immutable.urls import Url
from immutable_libvirt import preflight
from immutable_libvirt.config import LibvirtConfig
from immutable_libvirt.daemon import Daemon
from immutable_libvirt.errors import BACKEND
from immutable_libvirt.fleet import LibvirtMachines
from immutable_libvirt.images import LibvirtImages
from immutable_libvirt.logs import LibvirtLogs
from immutable_libvirt.store import InstanceStore

_CAPABILITIES = Capabilities(
    builds_images=True,
    keeps_records=True,
    adopts_artefacts=True,
    launch_binds=False,
    keeps_logs=True,
    reachable_elsewhere=False,
    # libvirt knows nothing of the switch.
    guards_deletion=False,
    staleness=timedelta(),
    # What a killed deployer leaves at work: a qemu-img, and one call of the daemon.
    late=timedelta(seconds=30),
)
# The daemon answers five calls of one connection at a time (max_client_requests), and
# one must stay free for those who look on.
_MAX_PARALLEL = 4


@attrs.frozen(kw_only=True)
class LibvirtBackend:
    """Virtual machines of this computer's libvirt, as fleets."""

    config: LibvirtConfig
    images: LibvirtImages
    machines: LibvirtMachines
    fleets: MachineFleets
    logs: LibvirtLogs
    protocol_version: int = PROTOCOL_VERSION
    name: str = BACKEND
    capabilities: Capabilities = _CAPABILITIES

    def default_switch(self, service: ServiceName, *, port: int) -> Url:  # noqa: ARG002 - one address for all: the URL's port tells services apart
        """Return the URL of a HAProxy on this machine that listens on the port."""
        return Url(scheme="haproxy", options={"listen": f"127.0.0.1:{port}"})

    def preflight(self, need: Need) -> tuple[str, ...]:
        """Check that the need can be met; return warnings, one line each.

        Raises:
            Unavailable: libvirt or QEMU is missing.
            PermissionDenied: this user may not use them, or QEMU may not use the pool.
            Taken: the network is in use by somebody else.
            NotEnough: memory, disk or addresses do not suffice.
        """
        machines = self.machines
        return preflight.check(self.config, machines.daemon, machines.store, need)


def open_backend(url: Url) -> LibvirtBackend:
    """Return the backend at ``libvirt:///system``; no I/O.

    Raises:
        InvalidInput: the URL has options or values that can never work.
    """
    config = LibvirtConfig.parse(url)
    if config.connection == "session":
        raise Unsupported(
            "libvirt:///session cannot run instances yet: it has no network to put"
            " them on",
            hint="use libvirt:///system, as root",
            backend=BACKEND,
        )
    daemon = Daemon(uri=config.uri)
    store = InstanceStore(pool=config.pool, subnet=config.subnet)
    machines = LibvirtMachines(config=config, daemon=daemon, store=store)
    return LibvirtBackend(
        config=config,
        images=LibvirtImages(pool=config.pool, config=config),
        machines=machines,
        fleets=MachineFleets(machines=machines, max_parallel=_MAX_PARALLEL),
        logs=LibvirtLogs(pool=config.pool),
    )
