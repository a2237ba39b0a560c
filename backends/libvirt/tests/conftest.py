"""What tests with real virtual machines share: a pool, an image and a network."""

import os
import subprocess
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import attrs
import libvirt
import pytest

import immutable_libvirt
from immutable.images.recipe import Recipe
from immutable.model import Image, InstanceId
from immutable.urls import Url
from immutable_libvirt import LibvirtBackend
from immutable_libvirt.archive import Archive
from immutable_libvirt.config import LibvirtConfig
from immutable_libvirt.daemon import Daemon
from immutable_libvirt.images import LibvirtImages, boot_files
from immutable_libvirt.pool import Pool

_CACHE = Path(os.environ.get("IMMUTABLE_CACHE_DIR", "/var/tmp/immutable-tests"))  # noqa: S108 - root's, and kept between runs
# Tests get a network of their own, so that they never meet a real deployment.
_NETWORK = "network=immutable-test&bridge=immtestbr0&subnet=10.84.19.0/24"
# The guest's own BusyBox serves the files that say who the instance is.
_HTTPD = "/run/immutable/bin/busybox httpd -f -p 8080 -h /run/immutable"


@pytest.fixture(scope="session")
def vm_url() -> Iterator[str]:
    """Return the URL of a backend for tests; its network is removed afterwards."""
    yield f"libvirt:///system?pool={_CACHE}/pool&acceleration=tcg&{_NETWORK}"
    with suppress(libvirt.libvirtError):
        connection = libvirt.open("qemu:///system")
        network = connection.networkLookupByName("immutable-test")
        network.destroy()
        network.undefine()


@pytest.fixture
def connection() -> Iterator[libvirt.virConnect]:
    """Return a connection to the daemon beside the backend's own; it is started if need be."""
    opened = Daemon(uri="qemu:///system").connection()
    yield opened
    opened.close()


@pytest.fixture
def backend(vm_url: str) -> Iterator[LibvirtBackend]:
    """Return a backend; what a test leaves in the tests' own pool is destroyed."""
    opened = immutable_libvirt.open_backend(Url.parse(vm_url))
    yield opened
    # not list(): that finds every instance of this host, other people's too
    for left in list(opened.machines.store.remains()):
        opened.machines.destroy(InstanceId(left.facts.name))


@pytest.fixture(scope="session")
def image(vm_url: str) -> Image:
    """Return an image that answers on port 8080 with who it is."""
    images = immutable_libvirt.open_backend(Url.parse(vm_url)).images
    recipe = Recipe.base("debian:12").service("web", _HTTPD)
    return images.build(recipe, on_output=lambda _: None)


@pytest.fixture
def vm_backends(
    backend: LibvirtBackend, vm_url: str
) -> tuple[LibvirtBackend, LibvirtBackend]:
    """Return two backends that share nothing but the machine."""
    return backend, immutable_libvirt.open_backend(Url.parse(vm_url))


@attrs.frozen(kw_only=True)
class Workshop:
    """Builds in the tests' own pool, and takes apart what was built."""

    images: LibvirtImages
    lines: list[str] = attrs.field(factory=list)
    """What the last build printed."""

    def build(self, recipe: Recipe) -> Image:
        """Build an image that stays."""
        self.lines.clear()
        return self.images.build(recipe, on_output=self.lines.append)

    @contextmanager
    def built(self, recipe: Recipe) -> Iterator[tuple[Image, Path]]:
        """Build an image; yield it with the contents of its last layer; delete it."""
        image = self.build(recipe)
        try:
            with tempfile.TemporaryDirectory() as place:
                layer = boot_files(self.images.pool, image.id).layers[-1]
                contents = Path(place) / "layer"
                command = ["fsck.erofs", f"--extract={contents}", layer]
                subprocess.run(command, check=True, capture_output=True)
                yield image, contents
        finally:
            self.images.delete(image.id)


@pytest.fixture(scope="session")
def workshop(vm_url: str) -> Workshop:
    """Return where images of the tests' pool are built."""
    return Workshop(images=immutable_libvirt.open_backend(Url.parse(vm_url)).images)


@pytest.fixture(scope="session")
def with_agents(workshop: Workshop) -> Recipe:
    """Return a recipe with what tools need in an image, whose layers stay in the pool."""
    packages = ("cfengine3", "puppet-agent", "python3", "systemd")
    recipe = Recipe.base("debian:12").packages(*packages)
    workshop.build(recipe)
    return recipe


@pytest.fixture(scope="session")
def prepared() -> LibvirtImages:
    """Return the images of the tests' pool, which has its base."""
    pool = _CACHE / "pool"
    config = LibvirtConfig(pool=pool, acceleration="tcg")
    images = LibvirtImages(pool=pool, config=config)
    images.build(Recipe.base("debian:12"), on_output=lambda _: None)
    return images


@pytest.fixture
def copied(prepared: LibvirtImages, tmp_path: Path) -> Iterator[LibvirtImages]:
    """Return the images of another pool, with its own archive, that has the same base."""
    with memory(tmp_path / "copied", "2g") as disk:
        yield base_alone(prepared, disk)


@pytest.fixture
def small(prepared: LibvirtImages, tmp_path: Path) -> Iterator[LibvirtImages]:
    """Return the images of such a pool with little room left."""
    with memory(tmp_path / "small", "420m") as disk:
        yield base_alone(prepared, disk)


@contextmanager
def memory(place: Path, size: str) -> Iterator[Path]:
    """Mount a disk in memory, of which nothing stays: copies would fill ``/tmp``."""
    place.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", f"size={size}", "tmpfs", place]
    subprocess.run(mount, check=True)
    try:
        yield place
    finally:
        subprocess.run(["umount", place], check=True)


def base_alone(images: LibvirtImages, place: Path) -> LibvirtImages:
    """Return the images of a copy of a pool, of which there is the base and no more."""
    image = images.build(Recipe.base("debian:12"), on_output=lambda _: None)
    files = boot_files(images.pool, image.id)
    pool, archive = Pool(place / "pool"), Archive(place / "pool.archive")
    pool.prepare()
    archive.prepare()
    own = [
        images.pool / "images" / f"{image.id}.json",
        files.kernel.parent,
        *files.layers,
    ]
    own += [path.parents[2] for path in images.pool.glob("trees/*/usr/bin/dpkg")]
    own += [images.pool / name for name in ("builds", "seen")]
    for path in own:
        target = pool.root / path.parent.relative_to(images.pool)
        subprocess.run(["cp", "--archive", path, target], check=True)
    kept = images.pool.with_name(f"{images.pool.name}.archive")
    record = images.record(image.id)
    pins = (
        [pin for entry in record.lock.entries for pin in entry.pins] if record else []
    )
    debs = [kept / "packages" / pin.sha256 for pin in pins]
    subprocess.run(["cp", "--archive", *debs, archive.root / "packages"], check=True)
    records = archive.root / "records"
    subprocess.run(
        ["cp", "--archive", kept / "records" / image.id, records], check=True
    )
    alone = LibvirtImages(pool=pool.root)
    alone.sweep()  # notes on what was not copied
    return alone


@pytest.fixture
def disk_calls(monkeypatch: pytest.MonkeyPatch) -> list[tuple[str, Path]]:
    """Return what is brought to disk and what is renamed from here on, in order."""
    seen: list[tuple[str, Path]] = []
    fsync, rename, start = os.fsync, os.rename, subprocess.run

    def synced(descriptor: int) -> None:
        seen.append(("sync", Path(f"/proc/self/fd/{descriptor}").readlink()))
        fsync(descriptor)

    def renamed(source: Path, target: Path) -> None:
        seen.append(("rename", Path(target)))
        rename(source, target)

    def started(argv: list[str | Path], **options: bool) -> object:
        if argv[0] == "sync":
            seen.append(("sync", Path(argv[-1])))
        return start(argv, **options)

    monkeypatch.setattr(os, "fsync", synced)
    monkeypatch.setattr(os, "rename", renamed)
    monkeypatch.setattr(subprocess, "run", started)
    return seen


@pytest.fixture
def unreachable(monkeypatch: pytest.MonkeyPatch) -> Callable[[], None]:
    """Return what lets no mirror be reached any more."""
    sources = (
        # not a server that is gone: apt would try it again, for seven seconds
        "Types: deb\nUris: file:/nowhere\nSuites: bookworm\nComponents: main\n"
    )

    def cut() -> None:
        place = "immutable_libvirt.building.apt.sources_for"
        monkeypatch.setattr(place, lambda _codename: sources)

    return cut
