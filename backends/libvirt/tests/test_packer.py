"""Images that Packer makes: built for real, adopted, refused, and booted as instances."""

import json
import multiprocessing
import shutil
import struct
import subprocess
import time
import urllib.request
from collections.abc import Iterator
from ipaddress import IPv4Address
from multiprocessing.synchronize import Event
from pathlib import Path

import libvirt
import pytest

from immutable.errors import (
    BuildFailed,
    ImmutableError,
    InvalidInput,
    MissingFiles,
    NotEnough,
    Unsupported,
)
from immutable.images.content import digest_of_file
from immutable.images.lock import Lock
from immutable.images.recipe import Recipe
from immutable.machines import MachineSpec
from immutable.model import (
    DeploymentId,
    FleetName,
    FleetSpec,
    Image,
    Instance,
    InstanceId,
    LedgerId,
    ReleaseNumber,
    ServiceName,
    Tags,
    digest_of,
)
from immutable_libvirt import LibvirtBackend, network
from immutable_libvirt.building import packer
from immutable_libvirt.building.cpio import archive, program
from immutable_libvirt.images import BootFiles, boot_disk, boot_files

HERE = Path(__file__).with_name("packer")
FORK = multiprocessing.get_context("fork")
FLEET = FleetName("immtest-packed-v1-abcdef")
BOOT_DEADLINE_S = 240.0
# The boot loader reads these commands from itself: the disk needs no other settings.
GRUB = """\
linux (hd0,msdos1)/boot/vmlinuz console=ttyS0 quiet no_timer_check cryptomgr.notests
initrd (hd0,msdos1)/boot/initrd
boot
"""
LOADER = f"""
mkdir -p /srv/boot
printf '{GRUB}' >/tmp/early
grub-mkimage --format=i386-pc --prefix=/boot --config=/tmp/early \\
    --output=/srv/boot/core.img biosdisk part_msdos ext2 linux
cp /usr/lib/grub/i386-pc/boot.img /srv/boot
"""
MIB, SECTOR = 1 << 20, 512


@pytest.fixture(scope="module")
def template(workshop, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a template, with the disk that it starts from beside it."""
    loader = Recipe.base("debian:12").packages("grub-pc-bin").run(LOADER)
    boot = boot_files(workshop.images.pool, workshop.build(loader).id)
    folder = tmp_path_factory.mktemp("packer")
    (folder / "http").mkdir()
    (folder / "http" / "app.html").write_text("packed")
    shutil.copy(HERE / "template.json", folder)
    work = tmp_path_factory.mktemp("disk")
    (folder / "disk.raw").write_bytes(bootable(boot, work))
    # Packer's machine boots them directly: only instances need to take the longer way.
    for path in (work / "tree" / "boot").iterdir():
        shutil.copy(path, folder)
    return folder / "template.json"


@pytest.fixture(scope="module")
def packed(workshop, template: Path) -> Iterator[Image]:
    """Return the image that Packer makes of the template."""
    image = workshop.build(Recipe.packer(template))
    yield image
    workshop.images.delete(image.id)


def bootable(boot: BootFiles, work: Path) -> bytes:
    """Return a disk that the firmware boots: a loader, and one partition."""
    loader, tree = work / "loader", work / "tree"
    run("fsck.erofs", f"--extract={loader}", boot.layers[-1])
    (tree / "boot").mkdir(parents=True)
    shutil.copy(boot.kernel, tree / "boot" / "vmlinuz")
    first = boot.initrd.read_bytes()
    programs = [program(name, (HERE / name).read_bytes()) for name in ("init", "lease")]
    padding = b"\0" * (-len(first) % 4)
    (tree / "boot" / "initrd").write_bytes(first + padding + archive(programs))
    run("mke2fs", "-q", "-F", "-t", "ext4", "-d", tree, work / "partition", "40M")
    partition = (work / "partition").read_bytes()
    places = (MIB // SECTOR, len(partition) // SECTOR)
    entry = struct.pack("<B3xB3xII", 0x80, 0x83, *places)
    start = (loader / "srv/boot/boot.img").read_bytes()[:446]
    sector = start + entry.ljust(64, b"\0") + b"\x55\xaa"
    core = (loader / "srv/boot/core.img").read_bytes()
    return (sector + core).ljust(MIB, b"\0") + partition


def run(*command: str | Path) -> None:
    """Run a program that must succeed."""
    subprocess.run(command, check=True, capture_output=True)


def machine(image: Image) -> MachineSpec:
    """Return an instance of an image to be created."""
    tags = Tags(
        service=ServiceName("immtest-packed"),
        ledger=LedgerId("test-ledger"),
        deployment=DeploymentId("d1"),
        release=ReleaseNumber(1),
        digest=digest_of("release"),
    )
    document = '{"configuration": {"GREETING": "hello"}}'
    fleet = FleetSpec(
        name=FLEET, image=image, document=document, size=1, port=8080, tags=tags
    )
    return MachineSpec(name=f"{FLEET}-1", fleet=fleet)


def answer(instance: Instance, path: str) -> bytes:
    """Return what an instance serves, once it does."""
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


@pytest.mark.vm
def test_what_packer_made_boots_as_an_instance(
    backend: LibvirtBackend, packed: Image
) -> None:
    """By its own boot loader, at the address reserved for it, with its configuration."""
    instance = backend.machines.create(machine(packed))
    assert answer(instance, "") == b"packed"
    told = json.loads(answer(instance, "identity.json"))
    assert told["instance"] == instance.id
    assert told["image"] == packed.id
    assert json.loads(answer(instance, "config.json"))["configuration"]["GREETING"]
    assert reservations(backend, instance) == 1
    backend.machines.destroy(InstanceId(instance.id))
    disk = boot_disk(backend.config.pool, packed.id)
    assert disk is not None
    assert digest_of_file(disk.path) == disk.path.stem  # nothing was written to it


def reservations(backend: LibvirtBackend, instance: Instance) -> int:
    """Reserve an instance's address again; return how often that was done."""
    connection, config = libvirt.open("qemu:///system"), backend.config
    address, lock = IPv4Address(instance.address), backend.machines.store.network_lock
    network.reserve(connection, config, address, lock=lock)
    text: str = connection.networkLookupByName(config.network).XMLDesc()
    connection.close()
    return text.count(f"ip='{address}'")


@pytest.mark.vm
def test_a_template_is_run_once(workshop, template: Path, packed: Image) -> None:
    """The second build finds the first one's image, as with any other recipe."""
    assert workshop.build(Recipe.packer(template)) == packed
    assert workshop.lines == []


@pytest.mark.vm
def test_a_manifest_is_adopted(workshop, packed: Image, tmp_path: Path) -> None:
    """The same disk is the same image, whoever ran Packer."""
    disk = boot_disk(workshop.images.pool, packed.id)
    assert disk is not None
    shutil.copy(disk.path, tmp_path / "disk")
    assert workshop.images.adopt(manifest(tmp_path, "disk")).id == packed.id


@pytest.mark.vm
def test_its_record_says_what_it_is(workshop, template: Path, packed: Image) -> None:
    """Packer's version, the disk as its one layer, and that nothing pins it."""
    record = workshop.images.record(packed.id)
    assert [tool for tool in record.tools if tool == packer.version()]
    (layer,) = record.built
    disk = boot_disk(workshop.images.pool, packed.id)
    assert disk is not None
    assert layer.content == disk.path.stem
    assert not record.is_reproducible
    assert workshop.images.lock(Recipe.packer(template), on_output=print) == Lock()


@pytest.mark.vm
def test_an_adopted_disk_cannot_be_made_again(workshop, tmp_path: Path) -> None:
    """Nothing is known of how it was made; and nothing stands on it or looks into it."""
    raw(tmp_path / "disk")
    image = workshop.images.adopt(manifest(tmp_path, "disk", format="raw"))
    with pytest.raises(Unsupported, match="adopted"):
        workshop.images.rebuild(image.id, on_output=print)
    with pytest.raises(Unsupported, match="whole disk"):
        workshop.build(Recipe.on(image).run("true"))
    with pytest.raises(Unsupported, match="whole disk"):
        boot_files(workshop.images.pool, image.id)
    with pytest.raises(Unsupported), workshop.images.root(image.id):
        pass
    workshop.images.delete(image.id)
    assert workshop.images.find(image.id) is None


@pytest.mark.vm
def test_layers_upon_a_template_are_refused(workshop, template: Path) -> None:
    """Before Packer is run."""
    with pytest.raises(Unsupported, match="provisioners"):
        workshop.build(Recipe.packer(template).run("true"))


HCL = """
variable "accelerator" {
  default = "kvm"
}
source "file" "shop" {
  source = "boot.raw"
  target = "made by ${var.accelerator}"
}
build {
  sources = ["source.file.shop"]
  post-processor "manifest" {
    custom_data = { format = "raw" }
  }
}
"""


@pytest.mark.vm
def test_a_template_in_hcl_is_run(workshop, tmp_path: Path) -> None:
    """It writes its manifest itself, and is told what machines can run on."""
    (tmp_path / "shop.pkr.hcl").write_text(HCL)
    raw(tmp_path / "boot.raw")
    image = workshop.build(Recipe.packer(tmp_path / "shop.pkr.hcl"))
    assert any("made by tcg" in line for line in workshop.lines)
    disk = boot_disk(workshop.images.pool, image.id)
    assert disk is not None
    assert disk.format == "raw"
    assert disk.path.read_bytes() == (tmp_path / "boot.raw").read_bytes()
    workshop.images.delete(image.id)
    assert not disk.path.exists()


@pytest.mark.vm
def test_a_template_that_makes_two_disks_is_refused(workshop, tmp_path: Path) -> None:
    """Which of them is the image, nobody says."""
    builders = [
        {"type": "file", "name": name, "content": "", "target": name} for name in "ab"
    ]
    path = tmp_path / "template.json"
    path.write_text(json.dumps({"builders": builders}))
    with pytest.raises(InvalidInput, match="2 files"):
        workshop.build(Recipe.packer(path))


@pytest.mark.vm
@pytest.mark.matrix
def test_a_disk_that_is_made_again_differs(workshop, packed: Image) -> None:
    """A running machine wrote it: rebuilding says so, and keeps nothing of it."""
    before = set((workshop.images.pool / "disks").iterdir())
    rebuilt = workshop.images.rebuild(packed.id, on_output=print)
    assert not rebuilt.is_identical
    (difference,) = rebuilt.differences
    assert difference.layer == "packer template.json"
    assert set((workshop.images.pool / "disks").iterdir()) == before


@pytest.mark.vm
def test_a_failing_template_says_what_packer_said(workshop, tmp_path: Path) -> None:
    """Its last lines are in the error, and nothing is kept."""
    text = (HERE / "template.json").read_text()
    (tmp_path / "template.json").write_text(text)
    before = set((workshop.images.pool / "disks").iterdir())
    with pytest.raises(BuildFailed, match=r"disk\.raw"):
        workshop.build(Recipe.packer(tmp_path / "template.json"))
    assert set((workshop.images.pool / "disks").iterdir()) == before
    assert not list((workshop.images.pool / "work").glob("*/template"))


@pytest.mark.vm
def test_a_build_that_is_cancelled_leaves_no_machine(workshop, template: Path) -> None:
    """What Packer started ends with it."""

    class Cancelled(Exception):
        """What the reader raises."""

    def read(line: str) -> None:
        if "Waiting for shutdown" in line:
            raise Cancelled

    recipe = Recipe.packer(template, variables={"name": "immutable-cancelled"})
    with pytest.raises(Cancelled):
        workshop.images.build(recipe, on_output=read)
    wait_until_it_ended(b"immutable-cancelled")


@pytest.mark.vm
def test_a_build_that_is_killed_leaves_no_machine(workshop, template: Path) -> None:
    """Packer and its machine die with the builder, and the next one clears its place."""
    name = "immutable-killed"
    recipe = Recipe.packer(template, variables={"name": name})
    started = FORK.Event()

    def build() -> None:
        workshop.images.build(recipe, on_output=lambda line: told(line, started))

    builder = FORK.Process(target=build)
    builder.start()
    assert started.wait(60)
    assert is_running(name.encode())
    builder.kill()
    builder.join()
    wait_until_it_ended(name.encode())
    workshop.images.sweep()
    assert not list((workshop.images.pool / "work").glob("*/template"))


def told(line: str, started: Event) -> None:
    """Tell when Packer has started its machine."""
    if "Waiting for shutdown" in line:
        started.set()


def wait_until_it_ended(word: bytes) -> None:
    """Wait for a machine that was killed; the test's own time limit is the last word."""
    while is_running(word):
        time.sleep(0.01)


def is_running(word: bytes) -> bool:
    """Return whether a machine's command line has this word in it."""
    for path in Path("/proc").glob("[0-9]*/cmdline"):
        try:
            line = path.read_bytes()
        except OSError:
            continue
        if line.startswith(b"/usr/bin/qemu") and word in line:
            return True
    return False


@pytest.mark.vm
def test_a_template_that_is_not_there_is_said(workshop, tmp_path: Path) -> None:
    """A name that was misspelt is no failure of Packer's."""
    (tmp_path / "template.json").write_text("{}")
    with pytest.raises(MissingFiles, match=r"templet\.json"):
        workshop.build(Recipe.packer(tmp_path / "templet.json"))


def manifest(folder: Path, *names: str, **data: str) -> Path:
    """Write a manifest as Packer does; return it."""
    files = [{"name": name, "size": 1} for name in names]
    built = {"files": files, "packer_run_uuid": "2", "custom_data": data or None}
    older = {"files": [{"name": "old"}], "packer_run_uuid": "1"}
    path = folder / "packer-manifest.json"
    path.write_text(json.dumps({"builds": [older, built], "last_run_uuid": "2"}))
    return path


def qcow2(path: Path, *options: str, size: str = "1M") -> Path:
    """Make a qcow2 disk."""
    run("qemu-img", "create", "-q", "-f", "qcow2", *options, path, size)
    return path


def raw(path: Path, *_: str) -> Path:
    """Make a raw disk with a boot sector."""
    path.write_bytes(b"\0" * 510 + b"\x55\xaa" + b"\0" * MIB)
    return path


def refused(
    workshop, manifest: Path, error: type[ImmutableError] = InvalidInput
) -> str:
    """Check that a manifest is refused without a trace; return why."""
    disks = workshop.images.pool / "disks"
    before = set(disks.iterdir())
    with pytest.raises(error) as caught:
        workshop.images.adopt(manifest)
    assert set(disks.iterdir()) == before
    return str(caught.value)


@pytest.mark.vm
def test_a_disk_upon_another_file_is_refused(workshop, tmp_path: Path) -> None:
    """It could name any file of this machine, for an instance to read."""
    secret = raw(tmp_path / "secret")
    qcow2(tmp_path / "disk", "-b", str(secret), "-F", "raw")
    assert "several files" in refused(workshop, manifest(tmp_path, "disk"))


@pytest.mark.vm
def test_a_disk_with_its_data_elsewhere_is_refused(workshop, tmp_path: Path) -> None:
    """The same by another field of the header."""
    qcow2(tmp_path / "disk", "-o", f"data_file={tmp_path}/data,data_file_raw=on")
    assert "several files" in refused(workshop, manifest(tmp_path, "disk"))


@pytest.mark.vm
def test_an_encrypted_disk_is_refused(workshop, tmp_path: Path) -> None:
    """No instance could read it."""
    with qcow2(tmp_path / "disk").open("r+b") as disk:
        disk.seek(32)  # the header's field for the method of encryption
        disk.write(struct.pack(">I", 2))
    assert "encrypted" in refused(workshop, manifest(tmp_path, "disk"))


@pytest.mark.vm
def test_a_disk_beyond_the_limit_is_refused(workshop, tmp_path: Path) -> None:
    """Instances could fill the pool with it."""
    qcow2(tmp_path / "disk", size="21G")
    said = refused(workshop, manifest(tmp_path, "disk"), NotEnough)
    assert "max_image_gib=22" in said


@pytest.mark.vm
@pytest.mark.parametrize(("make", "said"), [(raw, "qcow2"), (qcow2, "raw")])
def test_a_format_is_stated_and_never_guessed(
    workshop, tmp_path: Path, make, said: str
) -> None:
    """A disk that is something else than was said is refused, not looked into."""
    make(tmp_path / "disk")
    assert refused(workshop, manifest(tmp_path, "disk", format=said))
    made = workshop.images.adopt(manifest(tmp_path, "disk", format=make.__name__))
    workshop.images.delete(made.id)


@pytest.mark.vm
def test_a_link_is_no_disk(workshop, tmp_path: Path) -> None:
    """It could lead to a device of this machine."""
    (tmp_path / "disk").symlink_to(raw(tmp_path / "other"))
    assert "no file" in refused(workshop, manifest(tmp_path, "disk", format="raw"))


@pytest.mark.parametrize("names", [(), ("one", "two"), ("nowhere",)])
def test_a_run_makes_exactly_one_disk(tmp_path: Path, names: tuple[str, ...]) -> None:
    """Nothing, several files, and one that is gone are no image."""
    with pytest.raises(InvalidInput):
        packer.artefact_of(manifest(tmp_path, *names), tmp_path)


@pytest.mark.parametrize(
    "text", ["", "[]", "{}", '{"builds": [1], "last_run_uuid": 1}']
)
def test_what_is_no_manifest_is_refused(tmp_path: Path, text: str) -> None:
    """Whatever else it may be."""
    path = tmp_path / "manifest.json"
    path.write_text(text)
    with pytest.raises(InvalidInput, match="no manifest"):
        packer.artefact_of(path, tmp_path)


def test_a_template_without_a_manifest_gets_one(tmp_path: Path) -> None:
    """Beside its own post-processors, with the format that its builder says."""
    path = tmp_path / "template.json"
    compress = ["compress", {"type": "checksum"}]
    path.write_text(
        json.dumps({"builders": [{"format": "raw"}], "post-processors": [compress]})
    )
    read = packer._Template.read(path)
    assert read.format == "raw"
    assert not read.takes_accelerator
    sequence, ours = json.loads(path.read_text())["post-processors"]
    assert sequence == compress
    assert ours["output"] == read.manifest
    assert ours["custom_data"] == {"format": "raw"}


@pytest.mark.parametrize(
    ("row", "name"),
    [
        ("manifest", "packer-manifest.json"),
        ({"type": "manifest"}, "packer-manifest.json"),
        ([{"type": "manifest", "output": "made.json"}], "made.json"),
    ],
)
def test_a_template_keeps_its_own_manifest(tmp_path: Path, row, name: str) -> None:
    """It is not written again: where the manifest is, the template says."""
    path = tmp_path / "template.json"
    text = json.dumps({"variables": {"accelerator": "kvm"}, "post-processors": [row]})
    path.write_text(text)
    read = packer._Template.read(path)
    assert read.manifest == name
    assert read.takes_accelerator
    assert path.read_text() == text


def test_a_template_in_hcl_is_left_alone(tmp_path: Path) -> None:
    """Only whether it declares the accelerator is looked for."""
    path = tmp_path / "shop.pkr.hcl"
    path.write_text('variable "accelerator" {\n  default = "kvm"\n}\n')
    read = packer._Template.read(path)
    assert read.takes_accelerator
    assert read.manifest == "packer-manifest.json"


def test_a_template_that_is_no_json_is_said(tmp_path: Path) -> None:
    """Packer's own words for it come only when it is run."""
    path = tmp_path / "template.json"
    path.write_text('source "qemu" "shop" {}')
    with pytest.raises(InvalidInput, match="no template"):
        packer._Template.read(path)


@pytest.mark.vm
def test_the_version_is_that_of_the_program() -> None:
    """It is part of the image's record."""
    assert packer.version().name == "packer"
    assert packer.version().version[0].isdecimal()
