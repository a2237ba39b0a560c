"""What a guest is given, and what it makes of it: real boots, without libvirt."""

import io
import json
import os
import subprocess
import tarfile
import time
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import attrs
import pytest
from hypothesis import given
from hypothesis import strategies as st

from immutable.errors import InvalidInput
from immutable.images.recipe import Recipe
from immutable_libvirt.bootable import BootFiles
from immutable_libvirt.building.guest import GuestNetwork, guest_disk, guest_files
from immutable_libvirt.images import LibvirtImages, boot_files

NETWORK = GuestNetwork(
    hostname="shop-1", address="10.0.2.15", gateway="10.0.2.2", dns=("10.0.2.3",)
)
TEXT = st.text(
    st.characters(blacklist_characters="\0", blacklist_categories=["Cs"]), max_size=30
)
PATIENCE_S = 120

REPORT = """\
#!/bin/sh
exec 2>&1
mkdir -p /tmp/www
{
    echo "hello=$GREETING" "own=$OWN" "host=$(hostname)" "hosts=$(cat /etc/hosts)"
    echo "dns=$(cat /etc/resolv.conf)" "logger=$(ls /usr/bin/logger)"
    echo "opaque=$(ls /etc/skel)" "identity=$(cat "$IMMUTABLE_IDENTITY")"
    ls /usr/sbin/sshd /etc/ssh /etc/machine-id /var/lib/dbus/machine-id
    echo "config=$(cat "$IMMUTABLE_CONFIG")"
} >/tmp/www/index.html
echo "the first line"
exec /bin/busybox httpd -f -p 8080 -h /tmp/www
"""


@attrs.frozen(kw_only=True)
class Guest:
    """A running instance: where its port 8080 is, and what it has said."""

    process: subprocess.Popen[bytes]
    directory: Path
    port: int

    def said(self, name: str) -> str:
        """Return the console or the journal so far."""
        return (self.directory / name).read_text(errors="replace")

    def wait_for(self, name: str, text: str) -> str:
        """Return what was said once the text is part of it."""
        deadline = time.monotonic() + PATIENCE_S
        while text not in self.said(name) and time.monotonic() < deadline:
            time.sleep(0.05)
        assert text in self.said(name)
        return self.said(name)

    def get(self) -> str:
        """Return the page, once it is served."""
        deadline = time.monotonic() + PATIENCE_S
        while time.monotonic() < deadline:
            with suppress(OSError):
                url = f"http://127.0.0.1:{self.port}/"
                with urllib.request.urlopen(url, timeout=5) as answer:
                    return str(answer.read().decode())
            time.sleep(0.05)
        raise AssertionError(self.said("console") + self.said("journal"))


def disks_of(boot: BootFiles, directory: Path) -> dict[str, Path]:
    """Return an instance's disks by serial number, its own ones made."""
    document = json.dumps({"configuration": {"GREETING": "it's $HOME", "a.b": "c"}})
    files = guest_files(document, {"instance": "i-1"}, NETWORK)
    (directory / "config").write_bytes(guest_disk(files))
    with (directory / "scratch").open("wb") as stream:
        stream.truncate(64 << 20)
    subprocess.run(["mke2fs", "-q", "-t", "ext4", directory / "scratch"], check=True)
    layers = {f"layer{n}": path for n, path in enumerate(boot.layers)}
    own = {name: directory / name for name in ("scratch", "config")}
    return layers | own


def arguments_of(disks: dict[str, Path]) -> list[str]:
    """Return QEMU's arguments for disks."""
    arguments = []
    for serial, path in disks.items():
        read_only = "off" if serial == "scratch" else "on"
        drive = f"if=none,id={serial},file={path},format=raw,readonly={read_only}"
        device = f"virtio-blk-pci,drive={serial},serial={serial}"
        arguments += ["-drive", drive, "-device", device]
    return arguments


@contextmanager
def running(
    boot: BootFiles, directory: Path, *, without: str = "", extra: str = ""
) -> Iterator[Guest]:
    """Run an instance under emulation; it is gone afterwards."""
    disks = disks_of(boot, directory)
    disks.pop(without, None)
    port = 20000 + os.getpid() % 20000
    network = f"user,id=net,hostfwd=tcp:127.0.0.1:{port}-:8080"
    argv = ["qemu-system-x86_64", "-accel", "tcg", "-machine", "q35", "-cpu", "Nehalem"]
    argv += ["-m", "128", "-nodefaults", "-display", "none", "-no-reboot"]
    argv += ["-kernel", str(boot.kernel), "-initrd", str(boot.initrd)]
    argv += ["-append", f"{boot.command_line} {extra}"]
    for name in ("console", "journal"):
        (directory / name).touch()
        argv += ["-serial", f"file:{directory / name}"]
    argv += ["-netdev", network, "-device", "virtio-net-pci,netdev=net,romfile="]
    with subprocess.Popen([*argv, *arguments_of(disks)]) as process:
        try:
            yield Guest(process=process, directory=directory, port=port)
        finally:
            process.kill()


@pytest.fixture(scope="module")
def boot(
    prepared: LibvirtImages, tmp_path_factory: pytest.TempPathFactory
) -> BootFiles:
    """Return an image whose services report what they see, and crash."""
    source = tmp_path_factory.mktemp("source") / "report"
    source.write_text(REPORT)
    source.chmod(0o755)
    recipe = (
        Recipe.base("debian:12")
        .packages("busybox-static")
        .run("rm /usr/bin/logger; rm -r /etc/skel; mkdir /etc/skel; touch /etc/skel/x")
        .files(source, "/bin/report")
        .service("web", "/bin/report", environment={"OWN": "a 'b' $c"})
        .service("crash", "/bin/sh", "-c", "echo once; exit 7")
    )
    image = prepared.build(recipe, on_output=lambda _line: None)
    return boot_files(prepared.pool, image.id)


@given(values=st.dictionaries(st.from_regex(r"X[A-Z_]{0,9}", fullmatch=True), TEXT))
def test_configuration_reaches_the_environment_unchanged(
    values: dict[str, str],
) -> None:
    """Whatever the values hold, a shell that reads the file exports exactly them."""
    files = guest_files(json.dumps({"configuration": values}), {}, NETWORK)
    script = files["environment"] + b"env -0"
    said = subprocess.run(["sh"], input=script, stdout=-1, check=True).stdout.decode()
    found = dict(line.split("=", 1) for line in said.split("\0") if line)
    assert {name: found[name] for name in values} == values


def test_names_that_no_variable_can_have_stay_in_the_document() -> None:
    """They are left out of the environment, which would not be readable otherwise."""
    document = json.dumps({"configuration": {"a.b": "1", "ok": "2"}})
    files = guest_files(document, {}, NETWORK)
    assert files["environment"] == b"export ok=2\n"
    assert files["config.json"] == document.encode()


@pytest.mark.parametrize("document", ["", "[]", '{"configuration": []}', "nonsense"])
def test_other_documents_are_refused(document: str) -> None:
    """What is no object of the expected form is a typed error."""
    with pytest.raises(InvalidInput):
        guest_files(document, {}, NETWORK)


@pytest.mark.parametrize("name", ["", "a b", "-a", "a\nb", "x" * 64])
def test_impossible_host_names_are_refused(name: str) -> None:
    """A host name cannot bring anything else into the guest."""
    with pytest.raises(InvalidInput):
        guest_files("{}", {}, attrs.evolve(NETWORK, hostname=name))


def test_the_config_disk_is_a_tar_of_whole_sectors() -> None:
    """Equal files give equal bytes, and tar reads them back."""
    files = guest_files("{}", {"instance": "i"}, NETWORK)
    disk = guest_disk(files)
    assert disk == guest_disk(dict(reversed(files.items())))
    assert len(disk) % 512 == 0
    with tarfile.open(fileobj=io.BytesIO(disk)) as archive:
        assert {member.name for member in archive} == set(files)


@pytest.mark.vm
def test_a_guest_serves_what_it_was_given(boot: BootFiles, tmp_path: Path) -> None:
    """Address, names, configuration, identity and layers are as they should be."""
    with running(boot, tmp_path) as guest:
        page = guest.get()
        journal = guest.wait_for("journal", "ended with status 7")
    assert "hello=it's $HOME own=a 'b' $c host=shop-1" in page
    assert "127.0.1.1 shop-1" in page
    assert "dns=nameserver 10.0.2.3" in page
    assert '"instance": "i-1"' in page
    assert '"a.b": "c"' in page
    assert "web: the first line\n" in journal
    assert "crash: once\n" in journal


@pytest.mark.vm
def test_deletions_reach_the_guest(boot: BootFiles, tmp_path: Path) -> None:
    """What a command removed is not there; a directory made anew hides the old one."""
    with running(boot, tmp_path) as guest:
        page = guest.get()
    assert "logger= " in page or "logger=\n" in page
    assert "opaque=x identity" in page


@pytest.mark.vm
def test_the_image_has_no_ssh_and_no_identity(boot: BootFiles, tmp_path: Path) -> None:
    """No server, no host keys, no machine id: the instance is who it is told to be."""
    with running(boot, tmp_path) as guest:
        page = guest.get()
    for name in ("/usr/sbin/sshd", "/etc/ssh", "machine-id"):
        assert name not in page


@pytest.mark.vm
def test_services_are_started_again(boot: BootFiles, tmp_path: Path) -> None:
    """A service that ends is started after a moment, and the journal says so."""
    with running(boot, tmp_path) as guest:
        guest.wait_for("journal", "starts again in 1 s\ncrash: immutable: started")


@pytest.mark.vm
def test_a_probe_answers_and_ends(boot: BootFiles, tmp_path: Path) -> None:
    """Asked whether it boots, the guest says so and powers off at once."""
    with running(boot, tmp_path, extra="immutable.probe=1") as guest:
        assert guest.process.wait(PATIENCE_S) == 0
        assert "IMMUTABLE-PROBE-OK" in guest.said("console")


@pytest.mark.vm
@pytest.mark.parametrize("disk", ["layer0", "layer2", "scratch", "config"])
def test_a_missing_disk_is_named(boot: BootFiles, tmp_path: Path, disk: str) -> None:
    """Without one of its disks a guest says which, and stops there."""
    with running(boot, tmp_path, without=disk) as guest:
        console = guest.wait_for("console", "halted")
    assert f"BOOT FAILED: there is no disk with serial number {disk}" in console
