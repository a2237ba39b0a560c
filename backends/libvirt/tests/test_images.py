"""Images are built once, from what is there, and never seen unfinished."""

import multiprocessing
import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from immutable.errors import (
    BuildFailed,
    InvalidInput,
    MissingFiles,
    NotEnough,
    PermissionDenied,
    Unavailable,
    UnknownImage,
)
from immutable.images.recipe import Recipe
from immutable.model import Image, ImageId
from immutable_libvirt.images import LibvirtImages, boot_files

BASE = Recipe.base("debian:12")
FORK = multiprocessing.get_context("fork")


@pytest.fixture(scope="module")
def images(prepared: LibvirtImages) -> LibvirtImages:
    """Return the images of the tests' pool, which has its base."""
    return prepared


@pytest.fixture
def source(tmp_path: Path) -> Path:
    """Return a directory with one file that no other test has."""
    source = tmp_path / "source"
    source.mkdir()
    (source / "index.html").write_text(str(tmp_path))
    return source


def built(images: LibvirtImages, recipe: Recipe) -> tuple[Image, list[str]]:
    """Return an image, and the lines that building it printed."""
    lines: list[str] = []
    return images.build(recipe, on_output=lines.append), lines


def layers_of(images: LibvirtImages, image: Image) -> tuple[Path, ...]:
    """Return the disks of an image."""
    return boot_files(images.pool, image.id).layers


def state_of(pool: Path) -> set[str]:
    """Return the names of everything that has been published, or is in work."""
    parts = ("images", "layers", "kernels", "trees", "builds", "work")
    return {str(path) for part in parts for path in (pool / part).glob("*")}


def refuses(images: LibvirtImages, recipe: Recipe, error: type[Exception]) -> str:
    """Check that building raises an error and leaves the pool as it was."""
    before = state_of(images.pool)
    with pytest.raises(error) as caught:
        built(images, recipe)
    assert state_of(images.pool) == before
    return str(caught.value)


@contextmanager
def discarded(images: LibvirtImages, recipe: Recipe) -> Iterator[Image]:
    """Build an image for the time of a test."""
    image, _ = built(images, recipe)
    try:
        yield image
    finally:
        images.delete(image.id)


@pytest.mark.vm
def test_an_image_says_what_it_is(images: LibvirtImages, source: Path) -> None:
    """Its fields are filled, and it is found again by its exact id alone."""
    recipe = BASE.files(source, "/srv")
    with discarded(images, recipe) as image:
        assert image.id == f"img-{image.digest[:16]}"
        assert image.backend == "libvirt"
        assert image.recipe == recipe.digest
        assert image.size_bytes > sum(
            path.stat().st_size for path in layers_of(images, image)
        )
        assert image.built_at is not None
        assert image.built_at.utcoffset() is not None
        assert images.find(image.id) == image
        assert images.find(ImageId(image.id[:10])) is None


@pytest.mark.vm
def test_an_unchanged_recipe_is_not_built(images: LibvirtImages, source: Path) -> None:
    """The second time nothing is run and nothing is written."""
    recipe = BASE.files(source, "/srv").run("echo once")
    with discarded(images, recipe) as image:
        before = state_of(images.pool)
        assert built(images, recipe) == (image, [])
        assert state_of(images.pool) == before


@pytest.mark.vm
def test_a_changed_file_builds_only_what_is_above(
    images: LibvirtImages, source: Path
) -> None:
    """Layers below the change are the same disks; the image is another one."""
    recipe = BASE.run("echo below >/etc/below").files(source, "/srv")
    with discarded(images, recipe) as first:
        (source / "index.html").write_text("changed")
        with discarded(images, recipe) as second:
            old, new = layers_of(images, first), layers_of(images, second)
            assert old[:-1] == new[:-1]
            assert old[-1] != new[-1]
            assert first.digest != second.digest


@pytest.mark.vm
def test_neighbouring_files_share_a_disk(images: LibvirtImages, source: Path) -> None:
    """Files and services side by side are one layer above the base."""
    recipe = BASE.files(source, "/srv").files(source, "/opt/a").service("a", "/bin/a")
    with discarded(images, recipe) as image:
        assert len(layers_of(images, image)) == 2


@pytest.mark.vm
def test_equal_contents_are_one_image(images: LibvirtImages) -> None:
    """A recipe made again from nothing but the base gives the same bytes."""
    recipe = BASE.packages("busybox-static").run("echo 1 >/etc/one; mkdir /a; rmdir /a")
    recipe = recipe.run("mv /etc/one /etc/two; chmod 600 /etc/passwd; rm /etc/shells")
    with discarded(images, recipe) as first:
        pass
    time.sleep(1.1)  # files of the second build get another time
    with discarded(images, recipe) as second:
        assert first.digest == second.digest


@pytest.mark.vm
@pytest.mark.matrix
def test_a_base_is_the_same_bytes_twice(images: LibvirtImages, tmp_path: Path) -> None:
    """Base and kernel, made in another pool from the same packages, are equal."""
    lock = images.lock(BASE, on_output=print)
    shutil.copytree(
        f"{images.pool}.archive/packages", tmp_path / "pool.archive/packages"
    )
    again, _ = built(LibvirtImages(pool=tmp_path / "pool"), BASE.locked(lock))
    assert again.digest == built(images, BASE)[0].digest


@pytest.mark.vm
def test_missing_files_are_said_before_anything(
    images: LibvirtImages, tmp_path: Path
) -> None:
    """A recipe whose files are not there has no effect, however much is below them."""
    recipe = BASE.run("echo never built >/etc/never").files(tmp_path / "no", "/srv")
    assert str(tmp_path / "no") in refuses(images, recipe, MissingFiles)


@pytest.mark.vm
def test_a_failing_command_shows_its_last_lines(images: LibvirtImages) -> None:
    """The error ends with what the command said, and nothing of it is kept."""
    recipe = BASE.run("echo the reason; exit 4")
    said = refuses(images, recipe, BuildFailed)
    assert "status 4" in said
    assert "the reason" in said


@pytest.mark.vm
def test_commands_have_no_network_and_no_host(images: LibvirtImages) -> None:
    """A command sees loopback alone, its own processes, and not the host's name."""
    check = (
        "test $(ls /proc/self/ns | wc -l) -gt 0; "
        "test $(grep -c : /proc/net/dev) = 1; "
        "test $(ls /proc | grep -c '^[0-9]') -lt 9; "
        f"test $(hostname) != {os.uname().nodename}; "
        f"! env | grep -q {Path(sys.prefix).name}; touch /etc/checked"
    )
    with discarded(images, BASE.run(check)) as image:
        assert len(layers_of(images, image)) == 2


@pytest.mark.vm
def test_a_package_that_is_not_there_is_a_failed_build(images: LibvirtImages) -> None:
    """The words of apt itself are in the error."""
    said = refuses(images, BASE.packages("no-such-package-at-all"), BuildFailed)
    assert "Unable to locate package no-such-package-at-all" in said


@pytest.mark.vm
def test_a_mirror_that_cannot_be_reached(
    images: LibvirtImages, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The error holds apt's last lines and says what to look at."""
    sources = (
        "Types: deb\nUris: http://127.0.0.1:9/\nSuites: bookworm\nComponents: main\n"
    )
    monkeypatch.setattr(
        "immutable_libvirt.building.apt.sources_for", lambda _codename: sources
    )
    said = refuses(images, BASE.packages("hello", "sl"), Unavailable)
    assert "127.0.0.1" in said
    assert "apt-get update" in said


@pytest.mark.vm
def test_too_small_a_pool_is_said_before(
    images: LibvirtImages, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Nothing is built that would not fit."""
    monkeypatch.setattr("immutable_libvirt.building.needs._RUN_BYTES", 1 << 60)
    refuses(images, BASE.run("echo more"), NotEnough)


def test_unknown_bases_are_refused(tmp_path: Path) -> None:
    """The error names those that can be built, and nothing is made."""
    with pytest.raises(InvalidInput, match="debian:12, debian:13"):
        built(LibvirtImages(pool=tmp_path / "pool"), Recipe.base("debian:7"))
    assert not (tmp_path / "pool").exists()


@pytest.mark.parametrize("target", ["/run/app", "/proc", "/dev/app", "/sys/x"])
def test_files_that_would_be_hidden_are_refused(
    tmp_path: Path, source: Path, target: str
) -> None:
    """What the guest mounts over cannot hold files of the image."""
    with pytest.raises(InvalidInput, match="would not be seen"):
        built(LibvirtImages(pool=tmp_path / "pool"), BASE.files(source, target))


def test_more_disks_than_a_machine_has_are_refused(tmp_path: Path) -> None:
    """A recipe of very many commands says how to make it smaller."""
    recipe = BASE
    for number in range(20):
        recipe = recipe.run(f"echo {number}")
    with pytest.raises(InvalidInput, match="join neighbouring"):
        built(LibvirtImages(pool=tmp_path / "pool"), recipe)


def test_a_pool_that_mount_cannot_name_is_refused(tmp_path: Path) -> None:
    """Colons and spaces separate mount options."""
    with pytest.raises(InvalidInput, match="contains ':'"):
        built(LibvirtImages(pool=tmp_path / "a:b"), BASE)


def test_only_root_builds(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Others are told so before anything is made."""
    monkeypatch.setattr(os, "geteuid", lambda: 1000)
    with pytest.raises(PermissionDenied, match="only root"):
        built(LibvirtImages(pool=tmp_path / "pool"), BASE)
    assert not (tmp_path / "pool").exists()


@pytest.mark.parametrize("image", ["img-0123456789abcdef", "../../etc/passwd", ""])
def test_unknown_images_are_not_found(tmp_path: Path, image: str) -> None:
    """Looking up, booting and deleting take only names that images can have."""
    images = LibvirtImages(pool=tmp_path)
    assert images.find(ImageId(image)) is None
    images.delete(ImageId(image))
    with pytest.raises(UnknownImage):
        boot_files(tmp_path, ImageId(image))


@pytest.mark.vm
def test_delete_keeps_what_others_use(images: LibvirtImages, source: Path) -> None:
    """Shared layers stay, own ones go, and deleting twice is no error."""
    shared = BASE.run(f"echo {source} >/etc/shared")
    with discarded(images, shared) as kept:
        image, _ = built(images, shared.files(source, "/srv"))
        own = layers_of(images, image)[-1]
        images.delete(image.id)
        images.delete(image.id)
        assert not own.exists()
        assert images.find(image.id) is None
        assert images.find(kept.id) == kept
        assert all(path.is_file() for path in layers_of(images, kept))


@pytest.mark.vm
def test_an_image_that_lost_a_part_is_built_again(
    images: LibvirtImages, source: Path
) -> None:
    """A layer that was removed by hand is made anew, and the image is the same."""
    recipe = BASE.files(source, "/srv")
    with discarded(images, recipe) as image:
        layers_of(images, image)[-1].unlink()
        assert images.find(image.id) is None
        assert built(images, recipe)[0].digest == image.digest


def _build_and_count(images: LibvirtImages, recipe: Recipe, log: Path) -> None:
    lines = built(images, recipe)[1]
    with log.open("a") as stream:
        stream.write("".join(f"{line}\n" for line in lines))


@pytest.mark.vm
def test_builders_of_one_recipe_build_once(
    images: LibvirtImages, tmp_path: Path
) -> None:
    """Of several processes one builds; the others wait, and find it."""
    recipe = BASE.run(f"sleep 1; echo built {tmp_path}")
    arguments = (images, recipe, tmp_path / "log")
    builders = [FORK.Process(target=_build_and_count, args=arguments) for _ in range(3)]
    for builder in builders:
        builder.start()
    for builder in builders:
        builder.join()
    with discarded(images, recipe):
        assert (tmp_path / "log").read_text() == f"built {tmp_path}\n"


def _build_quietly(images: LibvirtImages, recipe: Recipe) -> None:
    built(images, recipe)


@pytest.mark.vm
def test_a_killed_build_leaves_nothing(images: LibvirtImages, tmp_path: Path) -> None:
    """Its processes and mounts end with it; its files go with the next build."""
    marker = f"sleep 1000.{os.getpid()}"
    recipe = BASE.run(marker)
    builder = FORK.Process(target=_build_quietly, args=(images, recipe))
    builder.start()
    while not _running(f"^{marker}"):
        time.sleep(0.05)
    os.kill(builder.pid or 0, signal.SIGKILL)
    builder.join()
    while _running(f"^{marker}"):
        time.sleep(0.05)
    assert str(images.pool) not in Path("/proc/mounts").read_text()
    refuses_none = BASE.run(f"echo after {tmp_path}")
    with discarded(images, refuses_none):
        assert list((images.pool / "work").iterdir()) == []


def _running(pattern: str) -> bool:
    found = subprocess.run(["pgrep", "-f", pattern], stdout=-3, check=False)
    return found.returncode == 0


@pytest.mark.vm
def test_another_format_of_layers_is_made_anew(
    copied: LibvirtImages, source: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What an earlier version made of a recipe is not what this one would make."""
    base = copied.build(Recipe.base("debian:12"), on_output=print)
    recipe = Recipe.on(base).files(source, "/srv")
    image = copied.build(recipe, on_output=print)
    made = set((copied.pool / "builds").iterdir())
    assert copied.build(recipe, on_output=print) == image
    assert set((copied.pool / "builds").iterdir()) == made
    monkeypatch.setattr("immutable_libvirt.building.steps.FORMAT", 0)
    assert copied.build(recipe, on_output=print).digest == image.digest
    assert set((copied.pool / "builds").iterdir()) > made
