"""Layers made in a machine that has booted what lies below: on real machines."""

import http.server
import multiprocessing
import os
import signal
import subprocess
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from pathlib import Path

import libvirt
import pytest

from immutable.baking import tags_of
from immutable.errors import BuildFailed, InvalidInput, NotEnough
from immutable.images.recipe import Recipe
from immutable.model import Token
from immutable_libvirt import domains
from immutable_libvirt.building.booted import leftovers, places, sweep
from immutable_libvirt.building.booted.ports import Port
from immutable_libvirt.domain import BuilderSpec, Machine, build_builder
from immutable_libvirt.images import LibvirtImages, boot_files

pytestmark = pytest.mark.vm
BASE = Recipe.base("debian:12")
FORK = multiprocessing.get_context("fork")
BUSYBOX = "/run/immutable/bin/busybox"
NOW = datetime.now(UTC)
LATER = NOW + timedelta(hours=1)


@pytest.fixture(scope="module")
def images(prepared: LibvirtImages) -> LibvirtImages:
    """Return the images of the tests' pool, which has its base."""
    return prepared


def builders(connection: libvirt.virConnect, images: LibvirtImages) -> list[str]:
    """Return the names of the pool's builders that are on."""
    return [domain.name() for domain, _ in leftovers.builders(connection, images.pool)]


def is_clean(images: LibvirtImages, connection: libvirt.virConnect) -> bool:
    """Return whether nothing of any builder is left."""
    return not builders(connection, images) and not places.is_any(images.pool)


@pytest.fixture
def greeter() -> Iterator[int]:
    """Return a port of this machine on which somebody says hello."""

    class Greeter(http.server.BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_response(200)
            self.end_headers()
            self.wfile.write(b"hello from here\n")

        def log_message(self, *_: object) -> None:
            """Say nothing."""

    with http.server.HTTPServer(("127.0.0.1", 0), Greeter) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield server.server_port
        server.shutdown()


def test_a_machine_of_its_own(
    images: LibvirtImages, connection: libvirt.virConnect, greeter: int
) -> None:
    """Its own kernel and modules, the network when asked for, its output as it comes."""
    command = f"""
        uname -r; cat /proc/1/comm; echo the first line; sleep 1
        {BUSYBOX} rmmod virtio_rng; test ! -e /sys/module/virtio_rng
        {BUSYBOX} wget -q -O /etc/greeting http://10.0.2.2:{greeter}/
        (sleep 1000 &)
        cat /etc/greeting
    """
    seen: list[tuple[str, int]] = []

    def listen(line: str) -> None:
        seen.append((line, len(builders(connection, images))))

    recipe = BASE.run(command, network=True, booted=True)
    image = images.build(recipe, on_output=listen)
    images.delete(image.id)
    lines = [line for line, _ in seen]
    assert lines[0] != os.uname().release
    assert lines[1:] == ["bake", "the first line", "hello from here"]
    assert dict(seen)["the first line"] == 1
    assert is_clean(images, connection)


def test_a_failing_command_shows_its_last_lines(
    images: LibvirtImages, connection: libvirt.virConnect
) -> None:
    """Status and reason are in the error, and nothing is left of the machine."""
    recipe = BASE.run("echo the reason >&2; exit 4", booted=True)
    with pytest.raises(BuildFailed, match="failed with status 4") as caught:
        images.build(recipe, on_output=lambda _line: None)
    assert "the reason" in str(caught.value)
    assert is_clean(images, connection)


@pytest.mark.matrix
def test_a_command_that_takes_too_long_is_ended(
    images: LibvirtImages, connection: libvirt.virConnect
) -> None:
    """By this machine's clock, whatever the other one does."""
    command = "echo begun; trap '' TERM INT; while :; do :; done"
    recipe = BASE.run(command, booted=True, deadline="1s")
    with pytest.raises(BuildFailed, match="did not end within 1s") as caught:
        images.build(recipe, on_output=lambda _line: None)
    assert "begun" in str(caught.value)
    assert is_clean(images, connection)


def test_a_hostile_machine_is_refused(
    images: LibvirtImages, connection: libvirt.virConnect
) -> None:
    """One that writes its own archive and reports that all is well gets no layer."""
    before = set((images.pool / "layers").iterdir())
    command = r"""
        cd /tmp; mkdir -p a; : >a/x
        tar --create --file=evil --absolute-names --transform='s,^,../../../,' a
        for disk in /sys/block/*; do
            case $(cat $disk/serial) in difference) cat evil >/dev/${disk##*/} ;; esac
        done
        sync
        echo '{"schema":1,"event":"ended"}' >/dev/ttyS1
        echo '{"schema":1,"event":"captured"}' >/dev/ttyS1
        sleep 1
        echo b >/proc/sysrq-trigger
    """
    recipe = BASE.run(command, booted=True)
    with pytest.raises(BuildFailed, match="leads elsewhere"):
        images.build(recipe, on_output=lambda _line: None)
    assert set((images.pool / "layers").iterdir()) == before
    assert is_clean(images, connection)


@pytest.fixture
def crowded(images: LibvirtImages) -> Iterator[None]:
    """Leave little room for what builders write."""
    bakes = images.pool / "bakes"
    bakes.mkdir(exist_ok=True)
    size = ["-t", "tmpfs", "-o", "size=24m,mode=711"]
    subprocess.run(["mount", *size, "tmpfs", bakes], check=True)
    yield
    subprocess.run(["umount", bakes], check=True)


@pytest.mark.matrix
def test_a_full_disk_is_said(
    images: LibvirtImages, connection: libvirt.virConnect, crowded: None
) -> None:
    """A machine that cannot write is not waited for."""
    command = f"{BUSYBOX} dd if=/dev/urandom of=/opt/large bs=1M count=40; sync"
    with pytest.raises(NotEnough, match="no room left"):
        images.build(BASE.run(command, booted=True), on_output=lambda _line: None)
    assert is_clean(images, connection)


def _build(images: LibvirtImages, recipe: Recipe, begun: Path) -> None:
    images.build(recipe, on_output=begun.write_text)


@pytest.mark.parametrize(
    "stage",
    [
        pytest.param("directory", marks=pytest.mark.matrix),
        pytest.param("machine", marks=pytest.mark.matrix),
        "work",
    ],
)
def test_a_killed_build_leaves_nothing(
    images: LibvirtImages, connection: libvirt.virConnect, tmp_path: Path, stage: str
) -> None:
    """The machine ends with its owner; its disks are found by the next sweep."""
    recipe = BASE.run(f"echo begun; sleep 1000; echo {tmp_path}", booted=True)
    begun = tmp_path / "begun"
    reached = {
        "directory": lambda: places.is_any(images.pool),
        "machine": lambda: builders(connection, images),
        "work": begun.exists,
    }
    builder = FORK.Process(target=_build, args=(images, recipe, begun))
    builder.start()
    while not reached[stage]():
        time.sleep(0.01)
    assert sweep(images.config) == ()  # nobody touches what is held
    os.kill(builder.pid or 0, signal.SIGKILL)
    builder.join()
    while builders(connection, images):
        time.sleep(0.05)
    (name,) = sweep(images.config)
    assert name.startswith(leftovers.PREFIX)
    while not is_clean(images, connection):
        time.sleep(0.05)  # what was asked of libvirt before the end is begun, and ended
    assert sweep(images.config) == ()


def start_alone(
    connection: libvirt.virConnect,
    images: LibvirtImages,
    place: Path,
    name: str,
    expires_at: datetime,
) -> libvirt.virDomain:
    """Start a machine as a builder's, which ends with nobody."""
    boot = boot_files(images.pool, images.build(BASE, on_output=lambda _line: None).id)
    facts = leftovers.Facts(place=place, tags=tags_of(Token("0" * 32), expires_at))
    spec = BuilderSpec(
        name=f"{leftovers.PREFIX}{name}",
        machine=Machine(
            kernel=boot.kernel,
            initrd=boot.initrd,
            arguments=boot.command_line,
            memory_mib=128,
            vcpus=1,
            hypervisor="tcg",
        ),
        disks=(),
        ports=(),
        network=False,
        metadata=facts.to_element(),
    )
    return connection.createXML(build_builder(spec), libvirt.VIR_DOMAIN_START_PAUSED)


def test_machines_without_owners_are_found_by_their_tags(
    images: LibvirtImages, connection: libvirt.virConnect, tmp_path: Path
) -> None:
    """Without an owner, or expired; but nobody's who lives, nor another pool's."""
    held = [places.make(images.pool, name) for name in ("held", "late")]
    bakes = images.pool / "bakes"
    started = [
        start_alone(connection, images, place, name, expires_at)
        for place, name, expires_at in (
            (bakes / "dead", "dead", LATER),
            (bakes / "held", "held", LATER),
            (bakes / "late", "late", NOW - timedelta(hours=1)),
            (bakes / "dead", "copied", LATER),
            (tmp_path / "bakes" / "else", "else", LATER),
        )
    ]
    try:
        removed = leftovers.remove_all(connection, images.pool, now=NOW)
        assert removed == tuple(
            f"{leftovers.PREFIX}{name}" for name in ("dead", "late")
        )
        left = {domain.name() for domain in connection.listAllDomains()}
        kept = {f"{leftovers.PREFIX}{name}" for name in ("copied", "else", "held")}
        assert kept <= left
        assert left.isdisjoint(removed)
    finally:
        with ThreadPoolExecutor() as pool:
            list(pool.map(domains.destroy, started))
        for place in held:
            place.remove()
    assert is_clean(images, connection)


def test_a_pool_with_too_long_a_path_is_refused(tmp_path: Path) -> None:
    """Sockets have short paths; the error says what to do."""
    with pytest.raises(InvalidInput, match="too long for a socket"):
        Port.at(tmp_path / ("n" * 110))
