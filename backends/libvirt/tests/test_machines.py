"""Real virtual machines: created, found, listed when dead, destroyed; logs stay."""

import json
import shutil
import time
import urllib.request
from concurrent.futures import ThreadPoolExecutor

import attrs
import libvirt
import pytest

from immutable.capabilities import Need
from immutable.errors import InvalidInput, NotEnough, Taken, UnknownImage
from immutable.fleets import member_name
from immutable.machines import MachineSpec
from immutable.model import (
    DeploymentId,
    FleetName,
    FleetSpec,
    Image,
    ImageId,
    Instance,
    InstanceId,
    InstanceState,
    LedgerId,
    ReleaseNumber,
    ServiceName,
    Tags,
    Token,
    digest_of,
)
from immutable_libvirt import LibvirtBackend
from immutable_libvirt.xml import add, parse, text_of

pytestmark = pytest.mark.vm

SHOP = ServiceName("immtest")
FLEET = FleetName("immtest-v1-abcdef")
LEDGER = LedgerId("test-ledger")
BOOT_DEADLINE_S = 120.0


@pytest.fixture
def spec(image: Image) -> FleetSpec:
    """Return what a fleet of three is launched from."""
    return FleetSpec(
        name=FLEET,
        image=image,
        document='{"configuration": {"GREETING": "hello"}}',
        size=3,
        port=8080,
        tags=Tags(
            service=SHOP,
            ledger=LEDGER,
            deployment=DeploymentId("d1"),
            release=ReleaseNumber(1),
            digest=digest_of("release"),
        ),
    )


@pytest.fixture
def one(backend: LibvirtBackend, spec: FleetSpec) -> Instance:
    """Return an instance that was just created."""
    return backend.machines.create(MachineSpec(name=f"{FLEET}-1", fleet=spec))


def _only(backend: LibvirtBackend) -> Instance:
    ((instance, _),) = backend.machines.list()
    return instance


def _answer(instance: Instance, path: str) -> bytes:
    url = f"http://{instance.address}:8080/{path}"
    deadline = time.monotonic() + BOOT_DEADLINE_S
    while True:
        try:
            with urllib.request.urlopen(url, timeout=5) as reply:
                content: bytes = reply.read()
                return content
        except OSError:
            if time.monotonic() > deadline:
                raise
            time.sleep(0.1)


def test_an_instance_knows_who_it_is(backend: LibvirtBackend, one: Instance) -> None:
    """It boots the image, has its address, and its logs outlive it."""
    told = json.loads(_answer(one, "identity.json"))
    assert told["instance"] == one.id
    assert told["fleet"] == FLEET
    assert told["digest"][:16] == one.digest
    assert json.loads(_answer(one, "config.json"))["configuration"]["GREETING"]
    backend.machines.destroy(one.id)
    log = next(
        log
        for log in backend.logs.read(FLEET, tail_bytes=10_000)
        if log.instance == one.id
    )
    assert "immutable: up" in log.console
    assert "web: immutable: started" in log.journal


def test_what_is_created_is_listed_with_its_tags(
    backend: LibvirtBackend, one: Instance, spec: FleetSpec
) -> None:
    """State, address, digest and tags come out of the domain itself."""
    ((found, tags),) = backend.machines.list()
    assert found == one
    assert found.state is InstanceState.RUNNING
    assert dict(tags) == spec.tags.to_mapping()


def test_the_same_name_again_is_the_same_instance(
    backend: LibvirtBackend, one: Instance, spec: FleetSpec
) -> None:
    """Creating repeats safely."""
    again = backend.machines.create(MachineSpec(name=one.id, fleet=spec))
    assert again == one
    assert len(backend.machines.list()) == 1


def test_the_same_name_for_something_else_is_taken(
    backend: LibvirtBackend, one: Instance, spec: FleetSpec
) -> None:
    """An instance of another deployment is never handed out as this one's."""
    tags = attrs.evolve(spec.tags, deployment=DeploymentId("d2"))
    other = attrs.evolve(spec, tags=tags)
    with pytest.raises(Taken):
        backend.machines.create(MachineSpec(name=one.id, fleet=other))


def test_a_dead_instance_stays_listed_until_it_is_destroyed(
    backend: LibvirtBackend,
    one: Instance,
    spec: FleetSpec,
    connection: libvirt.virConnect,
) -> None:
    """It is gone, with its tags; it is not started again; then nothing is left."""
    connection.lookupByName(one.id).destroy()
    ((found, tags),) = backend.machines.list()
    assert found == attrs.evolve(one, state=InstanceState.GONE)
    assert dict(tags) == spec.tags.to_mapping()
    again = backend.machines.create(MachineSpec(name=one.id, fleet=spec))
    assert again.state is InstanceState.GONE
    backend.machines.destroy(one.id)
    backend.machines.destroy(one.id)
    assert backend.machines.list() == ()


def test_an_instance_is_found_without_its_directory(
    backend: LibvirtBackend, one: Instance, spec: FleetSpec
) -> None:
    """Its domain says everything, and its address is not given to another."""
    shutil.rmtree(backend.config.pool / "instances" / one.id)
    (backend.config.pool / "instances" / ".addresses.lock").unlink()
    assert _only(backend) == one
    other = backend.machines.create(MachineSpec(name=f"{FLEET}-2", fleet=spec))
    assert other.address != one.address
    backend.machines.destroy(one.id)
    assert _only(backend) == other


def test_a_foreign_domain_is_left_alone(
    backend: LibvirtBackend,
    one: Instance,
    spec: FleetSpec,
    connection: libvirt.virConnect,
) -> None:
    """A domain without our metadata is not listed, not adopted, not destroyed."""
    root = parse(connection.lookupByName(one.id).XMLDesc())
    backend.machines.destroy(one.id)
    foreign = root.__class__("domain", {"type": "qemu"})
    for tag in ("os", "memory", "vcpu"):
        foreign.extend(root.findall(tag))
    add(foreign, "name", one.id)
    domain = connection.createXML(text_of(foreign))
    try:
        assert backend.machines.list() == ()
        with pytest.raises(Taken):
            backend.machines.create(MachineSpec(name=one.id, fleet=spec))
        with pytest.raises(Taken):
            backend.machines.destroy(one.id)
        assert domain.isActive()
    finally:
        domain.destroy()


def test_a_fleet_is_launched_and_retired_in_parallel(
    backend: LibvirtBackend, spec: FleetSpec
) -> None:
    """Three instances with three addresses, found by tags; afterwards none."""
    backend.fleets.launch(spec, token=Token("t"))
    (view,) = backend.fleets.list(service=SHOP, ledger=LEDGER)
    names = sorted(member_name(FLEET, Token("t"), index) for index in range(3))
    assert [i.id for i in view.instances] == names
    assert len({i.address for i in view.instances}) == 3
    backend.fleets.retire(FLEET, token=Token("r"))
    assert backend.fleets.observe(FLEET) is None


def test_two_deployers_create_the_same_instance_once(
    vm_backends: tuple[LibvirtBackend, LibvirtBackend], spec: FleetSpec
) -> None:
    """At the same time, with connections and locks of their own."""
    wanted = MachineSpec(name=f"{FLEET}-1", fleet=spec)
    with ThreadPoolExecutor(2) as pool:
        made = list(pool.map(lambda b: b.machines.create(wanted), vm_backends))
    assert made[0] == made[1]
    assert len(vm_backends[0].machines.list()) == 1


def test_an_instance_at_work_is_pending(
    backend: LibvirtBackend, one: Instance, connection: libvirt.virConnect
) -> None:
    """A directory whose domain is still to come is not taken for a dead instance."""
    connection.lookupByName(one.id).destroy()
    with backend.machines.store.lock(one.id):
        assert _only(backend).state is InstanceState.PENDING
    assert _only(backend).state is InstanceState.GONE


def test_a_failed_creation_leaves_nothing(
    backend: LibvirtBackend, spec: FleetSpec
) -> None:
    """Neither address nor directory nor domain."""
    broken = attrs.evolve(spec, document="not JSON")
    with pytest.raises(InvalidInput):
        backend.machines.create(MachineSpec(name=f"{FLEET}-1", fleet=broken))
    assert backend.machines.list() == ()


def test_an_unknown_image_is_refused(backend: LibvirtBackend, spec: FleetSpec) -> None:
    """Before anything is made."""
    missing = attrs.evolve(spec.image, id=ImageId("img-0000000000000000"))
    other = attrs.evolve(spec, image=missing)
    with pytest.raises(UnknownImage):
        backend.machines.create(MachineSpec(name=f"{FLEET}-1", fleet=other))
    assert backend.machines.list() == ()


@pytest.mark.parametrize("name", ["../x", "UPPER", "", "a" * 64])
def test_names_that_are_no_names_are_refused(
    backend: LibvirtBackend, spec: FleetSpec, name: str
) -> None:
    """Before any path is made of them."""
    with pytest.raises(InvalidInput):
        backend.machines.create(MachineSpec(name=name, fleet=spec))
    with pytest.raises(InvalidInput):
        backend.machines.destroy(InstanceId(name))


def test_a_lost_connection_is_opened_again(
    backend: LibvirtBackend, one: Instance
) -> None:
    """The daemon's restart, or its idle timeout, is not for the caller to notice."""
    backend.machines.daemon.connection().close()
    assert _only(backend) == one


def test_a_need_that_fits_passes(backend: LibvirtBackend, image: Image) -> None:
    """Nothing to warn of."""
    need = Need(service=SHOP, new_instances=2, image=image)
    assert backend.preflight(need) == ()


def test_more_instances_than_addresses_do_not_fit(
    backend: LibvirtBackend, image: Image
) -> None:
    """Said before any effect, with what to do."""
    need = Need(service=SHOP, new_instances=254, image=image)
    with pytest.raises(NotEnough, match=r"253 free addresses.*subnet"):
        backend.preflight(need)
