"""Trouble that is found before anything is touched."""

from ipaddress import IPv4Network
from pathlib import Path

import attrs
import libvirt
import pytest

from immutable.capabilities import Need
from immutable.errors import NotEnough, PermissionDenied, Taken
from immutable.model import ServiceName
from immutable_libvirt import LibvirtBackend, network, preflight
from immutable_libvirt.config import LibvirtConfig

MEMINFO = """\
MemTotal:       24683676 kB
MemFree:        20000000 kB
MemAvailable:   10485760 kB
HugePages_Total:       0
"""


def _need(instances: int) -> Need:
    return Need(service=ServiceName("shop"), new_instances=instances, image=None)


def test_available_memory_is_what_the_kernel_says() -> None:
    """Not the free memory: caches can be given up."""
    assert preflight.available_mib(MEMINFO) == 10240


def _check(backend: LibvirtBackend, config: LibvirtConfig, instances: int = 1) -> None:
    preflight.check(
        config, backend.machines.daemon, backend.machines.store, _need(instances)
    )


@pytest.mark.vm
def test_memory_that_would_not_suffice(backend: LibvirtBackend) -> None:
    """The sum over all new instances counts."""
    config = attrs.evolve(backend.config, memory_mib=1 << 20)
    with pytest.raises(NotEnough, match="2 instances need"):
        _check(backend, config, 2)


@pytest.mark.vm
def test_a_pool_that_qemu_cannot_enter(backend: LibvirtBackend, tmp_path: Path) -> None:
    """QEMU is another user, who must be able to pass every directory above."""
    tmp_path.chmod(0o700)
    config = attrs.evolve(backend.config, pool=tmp_path / "pool")
    with pytest.raises(PermissionDenied, match=r"chmod o\+x"):
        _check(backend, config)
    assert not config.pool.exists()


@pytest.mark.vm
@pytest.mark.parametrize(
    ("changed", "message"),
    [
        ({"network": "immutable-other"}, "bridge immtestbr0 belongs to"),
        ({"bridge": "immtestbr1"}, "other settings"),
        (
            {"network": "immutable-other", "bridge": "lo"},
            "interface called lo|overlaps",
        ),
        ({"network": "immutable-other", "bridge": "immtestbr1"}, "overlaps"),
        ({"subnet": IPv4Network("10.84.20.0/24")}, "other settings"),
    ],
)
def test_networks_that_are_taken(
    backend: LibvirtBackend, changed: dict[str, object], message: str, tmp_path: Path
) -> None:
    """Each is refused with what to do, and no network is made or changed."""
    connection: libvirt.virConnect = backend.machines.daemon.connection()
    network.ensure(connection, backend.config, lock=tmp_path / "lock")
    before = {n.name(): n.XMLDesc() for n in connection.listAllNetworks()}
    config = attrs.evolve(backend.config, **changed)
    with pytest.raises(Taken, match=message) as caught:
        _check(backend, config)
    assert "?network=" in caught.value.hint
    with pytest.raises(Taken):
        network.ensure(connection, config, lock=tmp_path / "lock")
    assert {n.name(): n.XMLDesc() for n in connection.listAllNetworks()} == before
