"""How each image was made is written down before it counts as made, and outlives it."""

import multiprocessing
import os
import shutil
import signal
import stat
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from immutable.errors import BuildFailed, PermissionDenied, UnknownImage
from immutable.images.layers import Files
from immutable.images.recipe import Recipe
from immutable.images.record import ImageRecord
from immutable.model import Image, ImageId
from immutable_libvirt.archive import RECORD
from immutable_libvirt.images import LibvirtImages, boot_files

BASE = Recipe.base("debian:12")
FORK = multiprocessing.get_context("fork")


@pytest.fixture
def source(tmp_path: Path) -> Path:
    """Return a directory with one file that no other test has."""
    source = tmp_path / "source"
    source.mkdir()
    (source / "secret").write_text(f"{tmp_path} {time.time()}")
    (source / "secret").chmod(0o640)
    return source


@contextmanager
def discarded(images: LibvirtImages, recipe: Recipe) -> Iterator[Image]:
    """Build an image for the time of a test."""
    image = images.build(recipe, on_output=print)
    try:
        yield image
    finally:
        images.delete(image.id)


def record_of(images: LibvirtImages, image: Image) -> ImageRecord:
    """Return the record of an image that has one."""
    record = images.record(image.id)
    assert record is not None
    return record


@pytest.mark.vm
def test_a_record_says_how_an_image_was_made(
    prepared: LibvirtImages, source: Path
) -> None:
    """Recipe, lock, layers by digest, tools with versions, builder; also afterwards."""
    recipe = BASE.files(source, "/srv", exclude=["*.pyc"]).run("true")
    with discarded(prepared, recipe) as image:
        record = record_of(prepared, image)
        assert record.image == image
        assert record.origin == "debian:12"
        assert record.layers[1] == recipe.layers[1]
        assert [layer.what for layer in record.built] == [
            "base debian:12",
            "files /srv",
            "run",
        ]
        disks = boot_files(prepared.pool, image.id).layers
        assert [layer.content for layer in record.built] == [
            path.stem for path in disks
        ]
        assert {tool.name for tool in record.tools} >= {"apt", "dpkg", "mmdebstrap"}
        assert all(tool.version for tool in record.tools)
        assert record.builder.startswith("immutable-libvirt ")
        assert record.is_reproducible
        assert {entry.what for entry in record.lock.entries} >= {"base debian:12"}
    assert record_of(prepared, image) == record


@pytest.mark.vm
def test_the_files_of_a_recipe_are_kept(prepared: LibvirtImages, source: Path) -> None:
    """A recorded source is the hash of a list; list and files are in the archive."""
    content = (source / "secret").read_bytes()
    with discarded(prepared, BASE.files(source, "/srv")) as image:
        shutil.rmtree(source)
        [layer] = record_of(prepared, image).layers
        assert isinstance(layer, Files)
        kept = Path(f"{prepared.pool}.archive/sources")
        assert "secret" in (kept / layer.source).read_text()
        assert content in {path.read_bytes() for path in kept.iterdir()}


@pytest.mark.vm
def test_what_cannot_be_pinned_is_said(prepared: LibvirtImages) -> None:
    """A command with a network makes an image that may come out otherwise again."""
    recipe = BASE.run("echo pinned >/etc/pinned").run(
        "echo open >/etc/open", network=True
    )
    with discarded(prepared, recipe) as image:
        record = record_of(prepared, image)
        [open_] = record.unpinned
        assert "network" in open_.reason
        assert not record.is_reproducible


@pytest.mark.vm
def test_nothing_counts_without_its_record(copied: LibvirtImages, source: Path) -> None:
    """Where the record cannot be written, there is no image either."""
    before = copied.list()
    records = Path(f"{copied.pool}.archive/records")
    shutil.rmtree(records)
    records.write_text("in the way")
    with pytest.raises((OSError, PermissionDenied)):
        copied.build(BASE.files(source, "/srv"), on_output=print)
    assert copied.list() == before
    records.unlink()
    image = copied.build(BASE.files(source, "/srv"), on_output=print)
    assert copied.record(image.id) is not None


@pytest.mark.vm
def test_a_lost_record_is_written_again(copied: LibvirtImages, source: Path) -> None:
    """Where the archive was removed, the next build has it again; the image stays."""
    recipe = BASE.files(source, "/srv")
    image = copied.build(recipe, on_output=print)
    record = copied.record(image.id)
    shutil.rmtree(f"{copied.pool}.archive")
    assert copied.record(image.id) is None
    assert copied.build(recipe, on_output=print) == image
    assert copied.record(image.id) == record


@pytest.mark.vm
def test_what_never_counted_is_swept(prepared: LibvirtImages, source: Path) -> None:
    """Layers and trees that nothing tells of go, but not while somebody builds."""
    prepared.sweep()
    pool, swept = prepared.pool, list[tuple[str, ...]]()
    with discarded(prepared, BASE.files(source, "/srv")) as image:
        left = [pool / "layers" / f"{'0' * 64}.erofs", pool / "trees" / "1"]
        left[0].touch()
        (left[1] / "etc").mkdir(parents=True)
        another = prepared.build(
            BASE.run(f"echo line; : {source}"),
            on_output=lambda _: swept.append(prepared.sweep()),
        )
        prepared.delete(another.id)
        assert swept == [()]
        assert set(prepared.sweep()) == set(map(str, left))
        assert prepared.sweep() == ()
        assert prepared.find(image.id) == image
        with discarded(prepared, BASE.run("true").files(source, "/srv")) as above:
            assert prepared.find(above.id) == above


@pytest.mark.vm
def test_images_are_listed_while_they_are_there(
    prepared: LibvirtImages, source: Path
) -> None:
    """Oldest first, each once, and no more once deleted."""
    with discarded(prepared, BASE.files(source, "/srv")) as first:
        with discarded(prepared, BASE.files(source, "/opt/two")) as second:
            listed = prepared.list()
            assert listed.index(first) < listed.index(second)
            assert len(listed) == len(set(listed))
        assert second not in prepared.list()
        assert prepared.list()[-1] == first


@pytest.mark.vm
def test_documents_stay_when_the_image_goes(
    prepared: LibvirtImages, source: Path
) -> None:
    """They are of one image and one name, and the last one counts."""
    with discarded(prepared, BASE.files(source, "/srv")) as image:
        assert prepared.kept(image.id, "sbom.json") is None
        prepared.keep(image.id, "sbom.json", b"1")
        prepared.keep(image.id, "sbom.json", b"2")
    again = LibvirtImages(pool=prepared.pool)
    assert again.kept(image.id, "sbom.json") == b"2"
    assert again.kept(image.id, "proof.json") is None
    assert again.kept(ImageId("img-0000000000000000"), "sbom.json") is None
    with pytest.raises(UnknownImage):
        again.keep(ImageId("../" + image.id), "sbom.json", b"3")


@pytest.mark.vm
def test_a_root_can_be_read_for_a_while(prepared: LibvirtImages, source: Path) -> None:
    """All layers as one tree with its modes; nothing can be written, nothing stays."""
    recipe = BASE.files(source, "/srv").run("rm /etc/issue; echo 1 >/etc/one")
    with discarded(prepared, recipe) as image:
        with prepared.root(image.id) as root:
            assert (root / "etc/one").read_text() == "1\n"
            assert not (root / "etc/issue").exists()
            assert (root / "bin").is_symlink()
            assert stat.S_IMODE((root / "srv/secret").stat().st_mode) == 0o640
            with pytest.raises(OSError, match="Read-only"):
                (root / "etc/two").write_text("2")
        assert not root.exists()
        assert str(root) not in Path("/proc/mounts").read_text()
    with pytest.raises(UnknownImage), prepared.root(image.id):
        pass


@pytest.mark.vm
def test_a_base_alone_has_a_root(prepared: LibvirtImages) -> None:
    """One layer is a tree as well."""
    image = prepared.build(BASE, on_output=print)
    with prepared.root(image.id) as root:
        assert (root / "etc/debian_version").is_file()


def _read_for_ever(images: LibvirtImages, image: ImageId, ready: Path) -> None:
    with images.root(image):
        ready.touch()
        signal.pause()


@pytest.mark.vm
def test_a_killed_reader_leaves_nothing(
    prepared: LibvirtImages, tmp_path: Path
) -> None:
    """Its mount is found by the next sweep, and the layers are as they were."""
    prepared.sweep()
    image = prepared.build(BASE, on_output=print)
    arguments = (prepared, image.id, tmp_path / "ready")
    reader = FORK.Process(target=_read_for_ever, args=arguments)
    reader.start()
    while not (tmp_path / "ready").exists():
        assert reader.is_alive()
        time.sleep(0.02)
    assert prepared.sweep() == ()
    os.kill(reader.pid or 0, signal.SIGKILL)
    reader.join()
    [left] = prepared.sweep()
    assert Path(left).parent == prepared.pool / "work"
    assert str(prepared.pool) not in Path("/proc/mounts").read_text()
    assert prepared.sweep() == ()
    with prepared.root(image.id) as root:
        assert (root / "etc/debian_version").is_file()


@pytest.mark.vm
def test_images_stand_on_images(prepared: LibvirtImages, source: Path) -> None:
    """The layers below are the parent's, its packages are known, and it is named."""
    with discarded(prepared, BASE.run("echo below >/etc/below")) as parent:
        recipe = (
            Recipe.on(parent).files(source, "/srv").run("cat /etc/below >/etc/above")
        )
        with discarded(prepared, recipe) as child:
            assert child.parent == parent.id
            assert record_of(prepared, child).image.parent == parent.id
            below = boot_files(prepared.pool, parent.id)
            above = boot_files(prepared.pool, child.id)
            assert above.layers[: len(below.layers)] == below.layers
            assert above.kernel == below.kernel
            with prepared.root(child.id) as root:
                assert (root / "etc/above").read_text() == "below\n"
            lock = prepared.lock(recipe, on_output=print)
            assert [entry.what for entry in lock.entries] == ["boot bookworm"]
        prepared.delete(child.id)
        with discarded(prepared, recipe) as again:
            assert again.digest == child.digest
    with pytest.raises(UnknownImage, match="to build upon"):
        prepared.build(Recipe.on(parent).run("true"), on_output=print)


@pytest.mark.vm
def test_a_child_outlives_its_parent(prepared: LibvirtImages, source: Path) -> None:
    """What both are made of stays as long as one of them is there."""
    with discarded(prepared, BASE.run(f"echo {source} >/etc/below")) as parent:
        child = prepared.build(Recipe.on(parent).files(source, "/srv"), on_output=print)
    assert prepared.find(child.id) == child
    with discarded(prepared, Recipe.on(child).run("echo 1 >/etc/grandchild")) as third:
        assert third.parent == child.id
    prepared.delete(child.id)


@pytest.mark.vm
def test_changing_files_are_not_recorded(prepared: LibvirtImages, source: Path) -> None:
    """What is written to while it is copied fails, and says so."""

    def write(_line: str) -> None:
        (source / "secret").write_text("changed meanwhile")

    recipe = BASE.run("echo a line").files(source, "/srv")
    with pytest.raises(BuildFailed, match="changed while"):
        prepared.build(recipe, on_output=write)


def test_nothing_is_known_of_unknown_images(tmp_path: Path) -> None:
    """An empty pool has no images, records or documents, and none are made by asking."""
    images = LibvirtImages(pool=tmp_path / "pool")
    assert images.list() == ()
    for name in ("img-0123456789abcdef", "../etc", ""):
        image = ImageId(name)
        assert images.record(image) is None
        assert images.kept(image, "sbom.json") is None
        with pytest.raises(UnknownImage):
            images.rebuild(image, on_output=print)
        with pytest.raises(UnknownImage), images.root(image):
            pass
    assert images.sweep() == ()
    assert list(tmp_path.iterdir()) == []


@pytest.mark.vm
def test_records_have_one_name(prepared: LibvirtImages, source: Path) -> None:
    """Each is a file beside the image's other documents."""
    with discarded(prepared, BASE.files(source, "/srv")) as image:
        place = Path(f"{prepared.pool}.archive/records/{image.id}")
        assert [path.name for path in place.iterdir()] == [RECORD]
