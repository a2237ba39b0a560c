"""Layers made in a machine that has booted what lies below: on real machines."""

import http.server
import inspect
import multiprocessing
import os
import signal
import subprocess
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path

import libvirt
import pytest

from immutable.baking import tags_of
from immutable.errors import BuildFailed, InvalidInput, NotEnough
from immutable.images.layers import Cfengine
from immutable.images.recipe import Recipe
from immutable.model import Image, Token
from immutable_libvirt import domains
from immutable_libvirt.archive import Archive
from immutable_libvirt.building import erofs, provisioning
from immutable_libvirt.building.booted import Booted, leftovers, places, sweep
from immutable_libvirt.building.booted.ports import Port
from immutable_libvirt.building.chroot import Chroot
from immutable_libvirt.building.inside import Inside
from immutable_libvirt.building.manifest import load
from immutable_libvirt.building.provisioning import Site
from immutable_libvirt.config import LibvirtConfig
from immutable_libvirt.domain import BuilderSpec, Machine, build_builder
from immutable_libvirt.images import LibvirtImages, boot_files
from immutable_libvirt.pool import Pool

pytestmark = pytest.mark.vm
BASE = Recipe.base("debian:12")
FORK = multiprocessing.get_context("fork")
BUSYBOX = "/run/immutable/bin/busybox"
NOW = datetime.now(UTC)
LATER = NOW + timedelta(hours=1)
CHANGES = r"""
# the same in a machine of its own as in a chroot
test $(hostname) = image
test $(grep -c : /proc/net/dev) = 1
test "$(cat /etc/below)" = below
test ! -t 1
env | sort >/opt/environment
# one of each thing that a layer may hold
cd /opt
echo plain >plain; chmod 640 plain; chown 33:70000 plain; ln plain hard
ln -s ../etc/passwd link; ln -s "dangling target" "a link"; mkfifo fifo; : >nothing
mkdir empty; mkdir -m 2775 setgid; mkdir -m 1777 sticky
cp /bin/true suid; chmod 4755 suid
for name in -rf " space " "$(printf 'new\nline')" "$(printf '\377\376')" "=%3D"; do
    printf x >"./$name"
done
deep=$(printf 'd%.0s' $(seq 250))/$(printf 'e%.0s' $(seq 200))
mkdir -p "$deep"; echo long >"$deep/file"
dd if=/dev/zero of=sparse bs=1 count=1 seek=300000 2>/dev/null
cat >/tmp/attributes <<'P'
sub set {
    my ($path, $name, $value) = @_;
    my $length = length $value;
    syscall(188, $path, $name, $value, $length, 0) == 0 or die "$name: $!";
}
set("/opt/suid", "security.capability", "\x01\x00\x00\x02\x00\x20" . "\x00" x 14);
set("/opt/plain", "user.odd=%3Dname", "a\n=\x00\xff b");
set("/opt/empty", "trusted.mine", "v");
P
perl /tmp/attributes
# deletions: of files and directories, by renaming, and a directory made anew
rm /etc/shells /etc/profile /etc/below /usr/bin/tac
rm -r /etc/cron.daily /etc/skel; mkdir /etc/skel; echo new >/etc/skel/new
mv /etc/issue /etc/issue.moved
chmod 600 /etc/passwd; chown 1000:1000 /home; touch -h -d @1 plain
echo done
"""


@pytest.fixture(scope="module")
def images(tmp_path_factory: pytest.TempPathFactory) -> LibvirtImages:
    """Return the images of a pool that has its base already, where one is kept."""
    cache = os.environ.get("IMMUTABLE_CACHE_DIR")
    place = Path(cache) if cache else tmp_path_factory.getbasetemp()
    pool = place / "test-pool"
    config = LibvirtConfig(pool=pool, acceleration="tcg")
    images = LibvirtImages(pool=pool, config=config)
    images.build(BASE, on_output=lambda _line: None)
    return images


@pytest.fixture
def connection() -> Iterator[libvirt.virConnect]:
    """Return a connection to the daemon beside the backend's own."""
    opened = libvirt.open("qemu:///system")
    yield opened
    opened.close()


@contextmanager
def built(images: LibvirtImages, recipe: Recipe) -> Iterator[tuple[Image, list[str]]]:
    """Build an image for the time of a test; with the lines that this printed."""
    lines: list[str] = []
    image = images.build(recipe, on_output=lines.append)
    try:
        yield image, lines
    finally:
        images.delete(image.id)


def newest_layer(images: LibvirtImages, image: Image) -> Path:
    """Return the uppermost disk of an image; its name is its contents' digest."""
    return boot_files(images.pool, image.id).layers[-1]


def builders(connection: libvirt.virConnect) -> list[str]:
    """Return the names of the builders that are on."""
    names = [domain.name() for domain in connection.listAllDomains()]
    return [name for name in names if name.startswith(leftovers.PREFIX)]


def is_clean(images: LibvirtImages, connection: libvirt.virConnect) -> bool:
    """Return whether nothing of any builder is left."""
    return not builders(connection) and not places.is_any(images.pool)


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
        seen.append((line, len(builders(connection))))

    recipe = BASE.run(command, network=True, booted=True)
    image = images.build(recipe, on_output=listen)
    images.delete(image.id)
    lines = [line for line, _ in seen]
    assert lines[0] != os.uname().release
    assert lines[1:] == ["bake", "the first line", "hello from here"]
    assert dict(seen)["the first line"] == 1
    assert is_clean(images, connection)


def test_equal_work_makes_equal_layers(images: LibvirtImages, tmp_path: Path) -> None:
    """What a chroot and a machine leave is the same bytes, whatever a layer may hold."""
    below = BASE.run("echo below >/etc/below")
    changes = f"{CHANGES}# and never built before: {tmp_path}"
    with (
        built(images, below.run(changes)) as (chroot, lines),
        built(images, below.run(changes, booted=True)) as (booted, same_lines),
    ):
        assert newest_layer(images, booted) == newest_layer(images, chroot)
        assert booted == chroot
        assert same_lines == lines == ["done"]


@pytest.mark.matrix
def test_a_booted_layer_is_built_again_from_its_record(images: LibvirtImages) -> None:
    """Also where its machine boots layers that are still in somebody's workspace."""
    with built(images, BASE.run("uname -r >/etc/kernel", booted=True)) as (image, _):
        again = images.rebuild(image.id, on_output=lambda _line: None)
        assert again.is_identical


POLICY = """
bundle agent __main__ {
  files: "/srv/shop/role" create => "true", edit_line => role;
}
bundle edit_line role {
  insert_lines: "web";
}
"""


@pytest.mark.matrix
def test_a_tool_is_run_alike_in_both(images: LibvirtImages, tmp_path: Path) -> None:
    """What CFEngine's module says to run leaves the same layer in either place."""
    (tmp_path / "policy").mkdir()
    (tmp_path / "policy" / "shop.cf").write_text(POLICY)
    layer = Cfengine(source=tmp_path / "policy", policy="shop.cf")
    recipe = BASE.packages("cfengine3")
    with built(images, recipe) as (image, _):
        manifest = load(Pool(images.pool), image.id)
        assert manifest is not None
        below = tuple(Pool(images.pool).tree(t) for t in reversed(manifest.trees))
        boot = boot_files(images.pool, image.id)
        places_to_run = (
            Chroot(below=below, work=tmp_path / "chroot"),
            Booted(
                below=below, boot=boot, work=tmp_path / "booted", config=images.config
            ),
        )
        digests = {made_in(place, layer, images) for place in places_to_run}
    assert len(digests) == 1


def made_in(inside: Chroot | Booted, layer: Cfengine, images: LibvirtImages) -> str:
    """Return the digest of a layer that a tool makes somewhere."""
    scratch = inside.work / "scratch"
    scratch.mkdir(parents=True)
    site = Site(
        chroot=inside,
        pool=Pool(images.pool),
        archive=Archive.of(Pool(images.pool)),
        codename="bookworm",
        work=scratch,
        pins=None,
        on_output=lambda _line: None,
    )
    provisioning.make(layer, site)
    assert (inside.upper / "srv/shop/role").read_text() == "web\n"
    erofs.make(inside.upper, inside.work / "layer", on_output=lambda _line: None)
    return erofs.content_digest(inside.work / "layer")


def test_a_failing_command_shows_its_last_lines(
    images: LibvirtImages, connection: libvirt.virConnect
) -> None:
    """Status and reason are in the error, and nothing is left of the machine."""
    recipe = BASE.run("echo the reason >&2; exit 4", booted=True)
    with pytest.raises(BuildFailed, match="failed with status 4") as caught:
        images.build(recipe, on_output=lambda _line: None)
    assert "the reason" in str(caught.value)
    assert is_clean(images, connection)


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


def test_a_killed_build_leaves_nothing(
    images: LibvirtImages, connection: libvirt.virConnect, tmp_path: Path
) -> None:
    """The machine ends with its owner; its disks are found by the next sweep."""
    recipe = BASE.run(f"echo begun; sleep 1000; echo {tmp_path}", booted=True)
    begun = tmp_path / "begun"
    builder = FORK.Process(target=_build, args=(images, recipe, begun))
    builder.start()
    while not begun.exists():
        time.sleep(0.05)
    assert sweep(images.config) == ()  # nobody touches what is held
    (name,) = builders(connection)
    os.kill(builder.pid or 0, signal.SIGKILL)
    builder.join()
    while builders(connection):
        time.sleep(0.05)
    assert sweep(images.config) == (name,)
    assert is_clean(images, connection)
    assert sweep(images.config) == ()
    refused = images.find(images.build(BASE, on_output=lambda _line: None).id)
    assert refused is not None


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
        expected = {f"{leftovers.PREFIX}{name}" for name in ("copied", "else", "held")}
        assert set(builders(connection)) == expected
    finally:
        left = builders(connection)
        with ThreadPoolExecutor() as pool:
            list(pool.map(domains.destroy, (d for d in started if d.name() in left)))
        for place in held:
            place.remove()
    assert is_clean(images, connection)


def test_chroots_and_machines_are_called_alike() -> None:
    """What describes a run for one of them does so for the other."""
    shapes = [inspect.signature(kind.run) for kind in (Inside, Chroot, Booted)]
    assert shapes[0] == shapes[1] == shapes[2]
    assert inspect.signature(Chroot.has) == inspect.signature(Booted.has)


def test_a_pool_with_too_long_a_path_is_refused(tmp_path: Path) -> None:
    """Sockets have short paths; the error says what to do."""
    with pytest.raises(InvalidInput, match="too long for a socket"):
        Port.at(tmp_path / ("n" * 110))
