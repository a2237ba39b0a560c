"""Fleets of real virtual machines, and what can be seen of them from outside."""

import re
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import attrs
import libvirt

from immutable.fleets import MachineFleets
from immutable.images.recipe import Recipe
from immutable.model import Image, InstanceId
from immutable.protocols import Backend
from immutable.urls import Url
from immutable_libvirt import LibvirtBackend, open_backend
from proofs.sigkill.points import Watch
from proofs.sigkill.site import SERVICE, Traces
from proofs.sigkill.taps import tapped
from proofs.sigkill.verbs import Verb

# A network of its own, so that nothing of it is anybody else's affair.
_NETWORK = "immutable-sigkill"
_OPTIONS = f"network={_NETWORK}&bridge=immsigkill0&subnet=10.84.23.0/24"
# The guest's own BusyBox serves the configuration that it was handed.
_HTTPD = "/run/immutable/bin/busybox httpd -f -p 8080 -h /run/immutable"
_GUEST = re.compile(rf"guest=({SERVICE}-[a-z0-9-]+)")


@attrs.frozen(kw_only=True)
class OnLibvirt:
    """A pool and a network of this machine's libvirt."""

    pool: Path
    image: Image
    port: int = 8080
    size: int = 1
    name: str = "libvirt"
    verbs: tuple[Verb, ...] = (Verb.DEPLOY,)
    requests_per_second: int = 20
    # Machines take their time: each of these points would cost a boot.
    looks_into_switch: bool = False

    def backend(self, watch: Watch | None) -> Backend:
        """Open the backend, with its effects told to a watch."""
        opened = _open(self.pool)
        if watch is None:
            return opened
        store = tapped(opened.machines.store, "instances", watch)
        machines = tapped(attrs.evolve(opened.machines, store=store), "machines", watch)
        fleets = MachineFleets(
            machines=machines, max_parallel=opened.fleets.max_parallel
        )
        return attrs.evolve(opened, machines=machines, fleets=fleets)

    def traces(self) -> Traces:
        """Return the domains there are, QEMU's processes, directories and overlays."""
        directories = {path.name for path in self._entries() if path.is_dir()}
        overlays = self._instances.glob("*/scratch.qcow2")
        return {
            "domains": frozenset(_domains()),
            "processes": frozenset(_processes()),
            "files": frozenset(directories),
            "overlays": frozenset(path.parent.name for path in overlays),
        }

    def debris(self) -> frozenset[str]:
        """Return directories that were never finished, and locks of nothing."""
        made = {path.name for path in self._entries() if path.is_dir()}
        locks = {path.name for path in self._entries() if path.suffix == ".lock"}
        drafts = self._instances.glob(f".{SERVICE}-*")
        stale = {name for name in locks if name.removesuffix(".lock") not in made}
        return frozenset(stale | {path.name for path in drafts})

    def hurt(self, instance: str) -> None:
        """Kill an instance behind the library's back."""
        machines = _open(self.pool).machines
        machines.daemon.connection().lookupByName(instance).destroy()

    def clear(self) -> None:
        """Destroy whatever is left, and the network."""
        machines = _open(self.pool).machines
        for name in frozenset[str]().union(*self.traces().values()):
            machines.destroy(InstanceId(name))
        with suppress(libvirt.libvirtError):
            network = machines.daemon.connection().networkLookupByName(_NETWORK)
            network.destroy()
            network.undefine()

    @property
    def _instances(self) -> Path:
        return self.pool / "instances"

    def _entries(self) -> Iterator[Path]:
        return self._instances.glob(f"{SERVICE}-*")


def on_libvirt(pool: Path) -> OnLibvirt:
    """Return the ground in a pool, building the image that is not there yet."""
    recipe = Recipe.base("debian:12").service("web", _HTTPD)
    image = _open(pool).images.build(recipe, on_output=lambda _: None)
    return OnLibvirt(pool=pool, image=image)


def _open(pool: Path) -> LibvirtBackend:
    return open_backend(Url.parse(f"libvirt:///system?pool={pool}&{_OPTIONS}"))


def _domains() -> list[str]:
    connection = libvirt.open("qemu:///system")
    try:
        names = [str(domain.name()) for domain in connection.listAllDomains()]
    finally:
        connection.close()
    return [name for name in names if name.startswith(f"{SERVICE}-")]


def _processes() -> Iterator[str]:
    for path in Path("/proc").glob("[0-9]*/cmdline"):
        with suppress(OSError):
            yield from _GUEST.findall(path.read_text(errors="replace"))
