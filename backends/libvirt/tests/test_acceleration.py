"""KVM is believed in only when the image's kernel came up on it."""

import json
import time
from ipaddress import IPv4Network
from pathlib import Path

import attrs
import libvirt
import pytest

from immutable.model import Image
from immutable_libvirt import LibvirtBackend, acceleration
from immutable_libvirt.acceleration import Probe, decide
from immutable_libvirt.bootable import BootFiles
from immutable_libvirt.config import LibvirtConfig
from immutable_libvirt.domain import Machine
from immutable_libvirt.images import boot_files

pytestmark = pytest.mark.vm


@pytest.fixture
def connection(backend: LibvirtBackend) -> libvirt.virConnect:
    """Return the backend's connection."""
    return backend.machines.daemon.connection()


@pytest.fixture
def boot(backend: LibvirtBackend, image: Image) -> BootFiles:
    """Return what the image boots from."""
    return boot_files(backend.config.pool, image.id)


@pytest.fixture
def config(backend: LibvirtBackend) -> LibvirtConfig:
    """Return a configuration that leaves the decision to us; nothing is known yet."""
    verdict = backend.config.pool / "probe/acceleration.json"
    verdict.unlink(missing_ok=True)
    return attrs.evolve(backend.config, acceleration="auto")


def _crawling() -> float:
    return time.monotonic() / 10


def _machine(boot: BootFiles, *, asks: bool) -> Machine:
    asked = " immutable.probe=1" if asks else ""
    return Machine(
        kernel=boot.kernel,
        initrd=boot.initrd,
        arguments=boot.command_line + asked,
        memory_mib=192,
        vcpus=1,
        hypervisor="tcg",
    )


def _probe(connection: libvirt.virConnect, config: LibvirtConfig) -> Probe:
    directory = config.pool / "probe"
    directory.mkdir(exist_ok=True)
    return Probe(connection=connection, console=directory / "console.log")


def test_a_guest_that_comes_up_is_heard(
    connection: libvirt.virConnect, config: LibvirtConfig, boot: BootFiles
) -> None:
    """Its init says so on the console, and the probe leaves no domain."""
    # a loaded machine may need far longer than a probe is given: let its clock crawl
    patient = attrs.evolve(_probe(connection, config), clock=_crawling)
    assert patient.boots(_machine(boot, asks=True))
    assert [d.name() for d in connection.listAllDomains() if "probe" in d.name()] == []


def test_a_guest_that_says_nothing_does_not_count(
    connection: libvirt.virConnect,
    config: LibvirtConfig,
    boot: BootFiles,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """One that hangs is given up at the deadline, and destroyed."""
    monkeypatch.setattr(acceleration, "DEADLINE_S", 1.0)
    assert not _probe(connection, config).boots(_machine(boot, asks=False))
    assert [d.name() for d in connection.listAllDomains() if "probe" in d.name()] == []


def test_the_verdict_is_remembered(
    connection: libvirt.virConnect, config: LibvirtConfig, boot: BootFiles
) -> None:
    """For this boot, this QEMU and this kernel; a second look boots nothing."""
    verdict = decide(connection, config, boot)
    known = config.pool / "probe/acceleration.json"
    if not known.exists():
        assert verdict == "tcg"  # there is no /dev/kvm here
        return
    other = "kvm" if verdict == "tcg" else "tcg"
    known.write_text(json.dumps(dict.fromkeys(json.loads(known.read_text()), other)))
    assert decide(connection, config, boot) == other


def test_a_damaged_verdict_is_found_out_anew(
    connection: libvirt.virConnect, config: LibvirtConfig, boot: BootFiles
) -> None:
    """What cannot be read is not believed."""
    verdict = decide(connection, config, boot)
    for text in ("", "[]", '{"other boot": "kvm"}'):
        (config.pool / "probe/acceleration.json").write_text(text)
        assert decide(connection, config, boot) == verdict


def test_an_explicit_choice_is_obeyed(
    connection: libvirt.virConnect, boot: BootFiles, tmp_path: Path
) -> None:
    """Without a probe: nothing is written."""
    config = LibvirtConfig(
        pool=tmp_path, subnet=IPv4Network("10.84.19.0/24"), acceleration="kvm"
    )
    assert decide(connection, config, boot) == "kvm"
    assert list(tmp_path.iterdir()) == []
