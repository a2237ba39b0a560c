"""The bare script: the calls that a deploy cannot do without, and nothing else.

No ledger, no fence, no durable files, no checks, no recovery: what is left is libvirt,
HAProxy and the guests' boot. The domains, disks and servers are the backend's own.
"""

import contextlib
import json
import shutil
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime
from ipaddress import IPv4Address
from pathlib import Path

import attrs
import libvirt

from bench.fleets import PORT
from bench.runtime import Runtime
from immutable.model import (
    DeploymentId,
    Digest,
    FleetName,
    FleetSpec,
    Image,
    LedgerId,
    ReleaseNumber,
    ServiceName,
    Tags,
)
from immutable_haproxy import Probing
from immutable_haproxy.servers import Server, adding
from immutable_libvirt.acceleration import decide
from immutable_libvirt.bootable import BootFiles
from immutable_libvirt.config import LibvirtConfig
from immutable_libvirt.disks import config_disk, ensure_scratch
from immutable_libvirt.domain import Disk, DomainSpec, Machine, build
from immutable_libvirt.facts import InstanceFacts, facts_of
from immutable_libvirt.images import boot_files

SLOTS = 6
_PARALLEL = 4
_POLL_S = 0.02
_PATIENCE_S = 300
_SERVICE = ServiceName("bench-bare")


@attrs.frozen(kw_only=True)
class Prepared:
    """One instance, ready to be made: everything but the calls."""

    name: str
    directory: Path
    xml: str
    config: bytes
    server: Server


@attrs.frozen(kw_only=True)
class Phases:
    """Where the seconds of a deploy went."""

    launch_s: float
    ready_s: float
    """From the last instance started until the switch found all of them ready."""
    rest_s: float
    """Everything else: before the launch, the shift, and the last fleet's end."""

    @property
    def total_s(self) -> float:
        """Return the whole."""
        return self.launch_s + self.ready_s + self.rest_s


@attrs.define(kw_only=True)
class Bare:
    """What the script runs: the last fleet is live, the one before is the standby."""

    config: LibvirtConfig
    image: Image
    size: int
    folder: Path
    socket: Path
    connection: libvirt.virConnect
    fleets: list[tuple[Prepared, ...]] = attrs.field(factory=list)
    launching: tuple[Prepared, ...] = ()
    turn: int = 0

    def deploy(self) -> Phases:
        """Launch, wait until ready, shift, destroy the fleet before last; only that."""
        self.launching = fresh = self._prepare()
        began = time.perf_counter()
        self._for_each(self._launch, fresh)
        launched = time.perf_counter()
        with Runtime(self.socket) as runtime:
            for one in fresh:
                for command in adding(one.server, Probing()):
                    runtime.ask(command)
            self._wait_until_ready(runtime, fresh)
            ready = time.perf_counter()
            runtime.commit_map(runtime.prepare_map(self._entries(fresh)))
            self.fleets.append(fresh)
            self.launching = ()
            if len(self.fleets) > 2:  # noqa: PLR2004 - live and standby stay
                self._retire(runtime, self.fleets[0])
                del self.fleets[0]
        ended = time.perf_counter()
        return Phases(
            launch_s=launched - began,
            ready_s=ready - launched,
            rest_s=ended - ready,
        )

    def close(self) -> None:
        """Destroy everything that is left."""
        for fleet in (*self.fleets, self.launching):
            self._for_each(self._forget, fleet)

    def _launch(self, one: Prepared) -> None:
        _, overlay = ensure_scratch(self.config)
        one.directory.mkdir()
        shutil.copyfile(overlay, one.directory / "scratch.qcow2")
        (one.directory / "config.tar").write_bytes(one.config)
        self.connection.createXML(one.xml)

    def _wait_until_ready(self, runtime: Runtime, fleet: Sequence[Prepared]) -> None:
        slot, deadline = fleet[0].server.slot, time.monotonic() + _PATIENCE_S
        while _ready(runtime.ask(f"show stat {slot} 4 -1")) < len(fleet):
            if time.monotonic() > deadline:
                raise TimeoutError(f"{slot} is not ready after {_PATIENCE_S} s")
            time.sleep(_POLL_S)

    def _entries(self, fleet: Sequence[Prepared]) -> str:
        shares = "".join(f"{n} {fleet[0].server.slot}\n" for n in range(100))
        paths = (f"path.http-{n} /healthz\n" for n in range(1, SLOTS + 1))
        return shares + "".join(paths)

    def _retire(self, runtime: Runtime, fleet: Sequence[Prepared]) -> None:
        for one in fleet:
            runtime.ask(f"disable server {one.server.full_name}")
            runtime.ask(f"shutdown sessions server {one.server.full_name}")
            runtime.ask(f"del server {one.server.full_name}")
        self._for_each(self._destroy, fleet)

    def _destroy(self, one: Prepared) -> None:
        self.connection.lookupByName(one.name).destroy()
        shutil.rmtree(one.directory)

    def _forget(self, one: Prepared) -> None:
        # Whatever happened to the others, each one that is left has to go.
        with contextlib.suppress(libvirt.libvirtError, FileNotFoundError):
            self._destroy(one)

    def _for_each(
        self, act: Callable[[Prepared], None], fleet: Sequence[Prepared]
    ) -> None:
        with ThreadPoolExecutor(_PARALLEL) as pool:
            list(pool.map(act, fleet))

    def _prepare(self) -> tuple[Prepared, ...]:
        self.turn += 1
        spec = _spec(self.image, self.size, self.turn)
        boot = boot_files(self.config.pool, self.image.id)
        return tuple(self._one(spec, boot, index) for index in range(self.size))

    def _one(self, spec: FleetSpec, boot: BootFiles, index: int) -> Prepared:
        name = f"{spec.name}-{index}"
        address = self._address(index)
        facts = facts_of(spec, name=name, address=address, now=datetime.now(UTC))
        slot = f"http-{self.turn % SLOTS + 1}"
        return Prepared(
            name=name,
            directory=self.folder / name,
            xml=build(self._domain(facts, boot)),
            config=config_disk(self.config, spec, facts),
            server=Server(
                slot=slot, name=name, address=str(address), port=PORT, check_port=PORT
            ),
        )

    def _address(self, index: int) -> IPv4Address:
        """Return an address from the end that the backend reaches last."""
        position = (self.turn * self.size + index) % (4 * self.size)
        return self.config.subnet.broadcast_address - 5 - position

    def _domain(self, facts: InstanceFacts, boot: BootFiles) -> DomainSpec:
        directory = self.folder / facts.name
        template, _ = ensure_scratch(self.config)
        scratch = directory / "scratch.qcow2"
        layers = (Disk(serial=f"layer{i}", path=p) for i, p in enumerate(boot.layers))
        return DomainSpec(
            facts=facts,
            machine=self._machine(boot),
            disks=(
                *layers,
                Disk(
                    serial="scratch", path=scratch, is_writable=True, backing=template
                ),
                Disk(serial="config", path=directory / "config.tar"),
            ),
            network=self.config.network,
            console=directory / "console.log",
            journal=directory / "journal.log",
        )

    def _machine(self, boot: BootFiles) -> Machine:
        return Machine(
            kernel=boot.kernel,
            initrd=boot.initrd,
            arguments=boot.command_line,
            memory_mib=self.config.memory_mib,
            vcpus=self.config.vcpus,
            hypervisor=decide(self.connection, self.config, boot),
        )


def _spec(image: Image, size: int, turn: int) -> FleetSpec:
    return FleetSpec(
        name=FleetName(f"{_SERVICE}-v{turn}"),
        image=image,
        document=json.dumps({"configuration": {"RELEASE": str(turn)}}),
        size=size,
        port=PORT,
        tags=Tags(
            service=_SERVICE,
            ledger=LedgerId("00000000-0000-4000-8000-000000000000"),
            deployment=DeploymentId(f"{turn:016x}"),
            release=ReleaseNumber(turn),
            digest=Digest(image.digest),
        ),
    )


def _ready(statistics: str) -> int:
    """Return how many servers are up by a recorded probe that passed."""
    header, *rows = statistics.removeprefix("# ").splitlines()
    columns = header.split(",")
    status, check = columns.index("status"), columns.index("check_status")
    fields = (row.split(",") for row in rows if row)
    return sum(f[status] == "UP" and f[check] == "L7OK" for f in fields)
