"""Domain XML: what is built is what is meant, and no value can add to it."""

import json
from collections import Counter
from datetime import UTC, datetime
from ipaddress import IPv4Address
from pathlib import Path

import attrs
import pytest
from hypothesis import given
from hypothesis import strategies as st

from immutable.errors import InvalidInput
from immutable.model import FleetName, ImageId, InstanceId
from immutable_libvirt import xml
from immutable_libvirt.domain import Disk, DomainSpec, Machine, build, build_probe
from immutable_libvirt.facts import InstanceFacts, from_json
from immutable_libvirt.metadata import from_text

NAMES = st.from_regex(r"[a-z0-9][a-z0-9-]{0,62}", fullmatch=True)
TEXTS = st.text(st.characters(min_codepoint=0x20, max_codepoint=0x7E), max_size=60)
PATHS = st.builds(lambda part: Path("/pool") / part.replace("/", "_"), TEXTS)
FACTS = st.builds(
    InstanceFacts,
    name=NAMES.map(InstanceId),
    fleet=NAMES.map(FleetName),
    image=TEXTS.map(ImageId),
    address=st.ip_addresses(v=4),
    launched_at=st.datetimes(timezones=st.just(UTC)),
    tags=st.dictionaries(NAMES, TEXTS, max_size=8),
    document=st.builds(json.dumps, st.dictionaries(st.text(), st.text())),
)
MACHINES = st.builds(
    Machine,
    kernel=PATHS,
    initrd=PATHS,
    arguments=TEXTS,
    memory_mib=st.integers(64, 1 << 20),
    vcpus=st.integers(1, 256),
    hypervisor=st.sampled_from(["kvm", "tcg"]),
)
SPECS = st.builds(
    DomainSpec,
    facts=FACTS,
    machine=MACHINES,
    disks=st.builds(
        lambda layers, scratch: (
            *(Disk(serial=f"layer{i}", path=p) for i, p in enumerate(layers)),
            Disk(serial="scratch", path=scratch, is_writable=True, backing=Path("/t")),
            Disk(serial="config", path=Path("/pool/config.tar")),
        ),
        st.lists(PATHS, min_size=1, max_size=5),
        PATHS,
    ),
    network=NAMES,
    console=PATHS,
    journal=PATHS,
)


@given(SPECS)
def test_metadata_comes_back_out_of_the_domain(spec: DomainSpec) -> None:
    """Name, fleet, image, address, time, tags and document survive the way through XML."""
    assert from_text(build(spec)) == spec.facts


@given(FACTS)
def test_facts_come_back_out_of_json(facts: InstanceFacts) -> None:
    """What an instance's directory keeps is the same."""
    assert from_json(facts.to_json()) == facts


@given(SPECS)
def test_a_domain_has_exactly_the_expected_elements(spec: DomainSpec) -> None:
    """No name, path, argument or tag makes an element appear or vanish."""
    root = xml.parse(build(spec))
    found = Counter(element.tag.rpartition("}")[2] for element in root.iter())
    disks, readers = len(spec.disks), len(spec.disks) - 1
    assert found == Counter(
        {
            "domain": 1, "name": 1, "metadata": 1, "instance": 1,
            "tag": len(spec.facts.tags), "document": 1, "memory": 1, "vcpu": 1, "os": 1, "type": 1,
            "kernel": 1, "initrd": 1, "cmdline": 1, "features": 1, "acpi": 1,
            "apic": 1, "cpu": 1, "clock": 1, "on_poweroff": 1, "on_reboot": 1,
            "on_crash": 1, "devices": 1, "disk": disks, "driver": disks,
            "readonly": readers, "shareable": readers, "backingStore": 2, "format": 1,
            "serial": disks + 2, "interface": 1, "mac": 1, "rom": 1,
            "controller": 1, "memballoon": 1, "rng": 1, "backend": 1,
            "model": 1 + (spec.machine.hypervisor == "tcg"),
            "target": disks + 2, "seclabel": readers + 1,
            "source": disks + 1 + 1 + 2,
        }
    )  # fmt: skip


@given(SPECS)
def test_values_arrive_unchanged(spec: DomainSpec) -> None:
    """What was asked for is what libvirt reads."""
    root = xml.parse(build(spec))
    sources = [e.attrib["file"] for e in root.iterfind("devices/disk/source")]
    assert sources == [str(disk.path) for disk in spec.disks]
    assert root.findtext("os/cmdline") == spec.machine.arguments
    assert root.findtext("memory") == str(spec.machine.memory_mib)
    formats = [e.attrib["type"] for e in root.iterfind("devices/disk/driver")]
    assert formats == ["raw"] * (len(spec.disks) - 2) + ["qcow2", "raw"]


@given(MACHINES)
def test_a_probe_has_no_disk_and_no_network(machine: Machine) -> None:
    """It only has to boot."""
    root = xml.parse(build_probe("probe", machine, Path("/console")))
    assert root.find("devices/disk") is None
    assert root.find("devices/interface") is None
    assert root.find("devices/serial") is not None


@given(SPECS)
def test_without_a_kernel_the_firmware_boots_the_first_disk(spec: DomainSpec) -> None:
    """There is nothing to boot beside it, and its backing file's format is stated."""
    machine = attrs.evolve(spec.machine, kernel=None, initrd=None, arguments="")
    backed = {"is_writable": True, "backing": Path("/t"), "backing_format": "qcow2"}
    disk = Disk(serial="root", path=Path("/pool/root"), **backed)
    root = xml.parse(build(attrs.evolve(spec, machine=machine, disks=(disk,))))
    found = root.find("os")
    assert found is not None
    assert [(e.tag, e.get("dev")) for e in found] == [("type", None), ("boot", "hd")]
    backing = root.find("devices/disk/backingStore/format")
    assert backing is not None
    assert backing.get("type") == "qcow2"


def _facts(**changed: object) -> InstanceFacts:
    fields: dict[str, object] = {
        "name": "shop-1",
        "fleet": "shop",
        "image": "img-1",
        "address": IPv4Address("10.83.0.2"),
        "launched_at": datetime(2026, 1, 1, tzinfo=UTC),
        "tags": {"immutable-service": "shop"},
    }
    return InstanceFacts(**(fields | changed))  # type: ignore[arg-type]


@pytest.mark.parametrize(
    "changed",
    [
        {"name": "../../etc"},
        {"name": "a/b"},
        {"name": ""},
        {"name": "a" * 64},
        {"name": "-dash"},
        {"name": "new\nline"},
        {"fleet": "<domain>"},
        {"image": "\x00"},
        {"image": "img\ufffe"},
        {"tags": {"no space": "x"}},
        {"tags": {"key": "bell\x07"}},
        {"tags": {"key": "x" * 256}},
        {"document": "bell\x07"},
    ],
)
def test_facts_that_some_place_could_not_hold_are_refused(
    changed: dict[str, object],
) -> None:
    """Names that escape a directory, and characters that XML does not have."""
    with pytest.raises(InvalidInput):
        _facts(**changed)


def test_entities_are_refused() -> None:
    """A document type is an error before anything in it is expanded."""
    bomb = '<!DOCTYPE d [<!ENTITY a "aa"><!ENTITY b "&a;&a;">]><d>&b;</d>'
    with pytest.raises(ValueError, match="document type"):
        xml.parse(bomb)


@pytest.mark.parametrize("text", ["", "<a>", "<a/><b/>", "<a>&undefined;</a>"])
def test_text_that_is_not_xml_is_refused(text: str) -> None:
    """One kind of error for all of it."""
    with pytest.raises(ValueError, match="not XML"):
        xml.parse(text)


def test_a_bare_element_is_read() -> None:
    """Libvirt answers a question for our namespace with the namespace left out."""
    text = (
        '<instance name="a" fleet="f" image="i" address="10.0.0.2"'
        ' launched-at="2026-01-01T00:00:00+00:00"><tag key="k" value="v"/></instance>'
    )
    assert from_text(text).tags == (("k", "v"),)


@pytest.mark.parametrize("text", ["<other/>", "<instance/>", "<metadata/>"])
def test_elements_that_are_not_ours_are_refused(text: str) -> None:
    """Foreign or damaged metadata is no instance of ours."""
    with pytest.raises(ValueError):  # noqa: PT011 - the message differs with the damage
        from_text(text)


@pytest.mark.parametrize("text", ["", "[]", "{}", '{"name": 5}', "null"])
def test_json_that_is_something_else_is_refused(text: str) -> None:
    """A damaged file is an error, not an instance with odd values."""
    with pytest.raises(ValueError):  # noqa: PT011 - the message differs with the damage
        from_json(text)
