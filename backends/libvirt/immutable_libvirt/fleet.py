"""Servers on libvirt: `immutable.machines.Machines` for the core to make fleets of."""

from collections.abc import Iterator
from datetime import UTC, datetime
from ipaddress import IPv4Address

import attrs
import libvirt

from immutable.errors import Ambiguous, Taken
from immutable.machines import MachineSpec
from immutable.model import Instance, InstanceId, InstanceState
from immutable_libvirt import domains, network
from immutable_libvirt.acceleration import decide
from immutable_libvirt.bootable import BootDisk, BootFiles
from immutable_libvirt.config import LibvirtConfig
from immutable_libvirt.daemon import Daemon
from immutable_libvirt.disks import make_disks, make_whole_disks
from immutable_libvirt.domain import Disk, DomainSpec, Machine, build
from immutable_libvirt.errors import BACKEND, translated
from immutable_libvirt.facts import InstanceFacts, check_name, facts_of
from immutable_libvirt.images import boot_disk, boot_files
from immutable_libvirt.store import InstanceStore

_Row = tuple[Instance, tuple[tuple[str, str], ...]]


@attrs.define(kw_only=True)
class LibvirtMachines:
    """Transient domains: one that stops is replaced, never started again."""

    config: LibvirtConfig
    daemon: Daemon
    store: InstanceStore
    # Addresses of domains whose directory somebody deleted; None before the first look.
    _foreign: frozenset[IPv4Address] | None = attrs.field(default=None, init=False)

    def create(self, spec: MachineSpec) -> Instance:
        """Create an instance and start it, or return the one that has this name.

        Raises:
            Taken: something with this name is not what is asked for.
            NotEnough: memory, disk or addresses are used up; nothing is left of it.
            UnknownImage: the pool does not have the image.
            Ambiguous: the daemon went away; list to know.
        """
        name = check_name(spec.name)
        self.store.prepare()
        if self._foreign is None:
            self.list()
        with self.store.lock(name), translated("fleets.launch", name, changes=True):
            found = self._find(name)
            if found is None:
                return self._make(spec)
            if dict(found[1]) != spec.fleet.tags.to_mapping():
                raise _not_ours(name)
            return found[0]

    def list(self) -> tuple[_Row, ...]:
        """Return every instance on this network with its tags, the dead too, by id."""
        # Directories first: an instance made after them is seen by its domain, and one
        # whose domain is missing afterwards is either still being made, or dead.
        remains = {r.facts.name: r for r in self.store.remains()}
        with translated("fleets.list", self.config.uri):
            running = tuple(self._on_our_network())
        strangers = (facts for facts, _ in running if facts.name not in remains)
        self._foreign = frozenset(facts.address for facts in strangers)
        rows = {facts.name: _row(facts, state) for facts, state in running}
        for name, left in remains.items():
            unseen = InstanceState.PENDING if left.is_busy else InstanceState.GONE
            rows.setdefault(name, _row(left.facts, unseen))
        return tuple(row for _, row in sorted(rows.items()))

    def destroy(self, instance: InstanceId) -> None:
        """Destroy an instance with its disks; its logs stay.

        Raises:
            Taken: a domain with this name is not ours.
            Ambiguous: the daemon went away; list to know.
        """
        name = check_name(instance)
        self.store.prepare()
        with self.store.lock(name), translated("fleets.retire", name, changes=True):
            domain = domains.lookup(self.daemon.connection(), name)
            if domain is not None:
                if domains.facts_of_domain(domain) is None:
                    raise _not_ours(name)
                domains.destroy(domain)
            self.store.remove(name)

    def _on_our_network(self) -> Iterator[tuple[InstanceFacts, InstanceState]]:
        # another network is another place: its instances are somebody else's affair
        for facts, state in domains.ours(self.daemon.connection()):
            if facts.address in self.config.subnet:
                yield facts, state

    def _find(self, name: str) -> _Row | None:
        domain = domains.lookup(self.daemon.connection(), name)
        if domain is None:
            left = self.store.find(name)
            return _row(left, InstanceState.GONE) if left else None
        facts = domains.facts_of_domain(domain)
        if facts is None:
            raise _not_ours(name)
        return _row(facts, domains.state_of(domain))

    def _make(self, spec: MachineSpec) -> Instance:
        pool, image = self.config.pool, spec.fleet.image.id
        boot = boot_disk(pool, image) or boot_files(pool, image)
        connection = self.daemon.connection()
        network.ensure(connection, self.config, lock=self.store.network_lock)
        machine = self._machine(connection, boot)
        facts = self._reserve(spec)
        try:
            if isinstance(boot, BootDisk):
                lock = self.store.network_lock
                network.reserve(connection, self.config, facts.address, lock=lock)
            domain = build(self._domain(spec, boot, machine, facts))
            with translated("fleets.launch", facts.name, changes=True):
                connection.createXML(domain)
        except Ambiguous:
            raise
        except BaseException:
            self.store.remove(facts.name)
            raise
        return _row(facts, InstanceState.RUNNING)[0]

    def _machine(
        self, connection: libvirt.virConnect, boot: BootFiles | BootDisk
    ) -> Machine:
        files = boot if isinstance(boot, BootFiles) else None
        return Machine(
            kernel=files.kernel if files else None,
            initrd=files.initrd if files else None,
            arguments=files.command_line if files else "",
            memory_mib=self.config.memory_mib,
            vcpus=self.config.vcpus,
            hypervisor=decide(connection, self.config, files),
        )

    def _reserve(self, spec: MachineSpec) -> InstanceFacts:
        now = datetime.now(UTC)
        return self.store.reserve(
            spec.name,
            lambda address: facts_of(
                spec.fleet, name=spec.name, address=address, now=now
            ),
            foreign=self._foreign or frozenset(),
        )

    def _domain(
        self,
        spec: MachineSpec,
        boot: BootFiles | BootDisk,
        machine: Machine,
        facts: InstanceFacts,
    ) -> DomainSpec:
        logs = self.store.logs(facts)
        return DomainSpec(
            facts=facts,
            machine=machine,
            disks=self._disks(spec, boot, facts),
            network=self.config.network,
            console=logs / "console.log",
            journal=logs / "journal.log",
        )

    def _disks(
        self, spec: MachineSpec, boot: BootFiles | BootDisk, facts: InstanceFacts
    ) -> tuple[Disk, ...]:
        directory = self.store.directory(facts.name)
        if isinstance(boot, BootDisk):
            return make_whole_disks(self.config, boot, spec.fleet, facts, directory)
        return make_disks(self.config, boot, spec.fleet, facts, directory)


def _row(facts: InstanceFacts, state: InstanceState) -> _Row:
    instance = Instance(
        id=facts.name,
        fleet=facts.fleet,
        state=state,
        address=str(facts.address),
        digest=facts.digest,
        launched_at=facts.launched_at,
        image=facts.image,
        document=facts.document or None,
    )
    return instance, facts.tags


def _not_ours(name: str) -> Taken:
    return Taken(
        f"the name {name} belongs to a domain or instance that is not this one",
        hint="see virsh dumpxml; rename or remove it",
        operation="fleets.launch",
        resource=name,
        backend=BACKEND,
    )
