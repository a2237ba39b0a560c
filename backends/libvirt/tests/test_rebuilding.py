"""An image of the past is made again from its record alone, or it is said what differs."""

import os
import shutil
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import attrs
import pytest

from immutable.errors import MissingFiles, NotEnough
from immutable.images.layers import Files
from immutable.images.recipe import Recipe
from immutable.model import Image
from immutable_libvirt.building.comparing import differing
from immutable_libvirt.building.process import EPOCH
from immutable_libvirt.config import LibvirtConfig
from immutable_libvirt.images import LibvirtImages, boot_files

BASE = Recipe.base("debian:12")
Cut = Callable[[], None]


@pytest.fixture
def source(tmp_path: Path) -> Path:
    """Return a tree with a link, modes and an empty directory."""
    source = tmp_path / "source"
    (source / "empty").mkdir(parents=True)
    (source / "index.html").write_text(str(tmp_path))
    (source / "program").write_text("#!/bin/sh")
    (source / "program").chmod(0o755)
    (source / "link").symlink_to("program")
    (source / "empty").chmod(0o700)
    return source


@contextmanager
def discarded(images: LibvirtImages, recipe: Recipe) -> Iterator[Image]:
    """Build an image for the time of a test."""
    image = images.build(recipe, on_output=print)
    try:
        yield image
    finally:
        images.delete(image.id)


def top(images: LibvirtImages, image: Image) -> Path:
    """Return the uppermost layer of an image."""
    return boot_files(images.pool, image.id).layers[-1]


@pytest.mark.vm
def test_an_emptied_pool_is_filled_again(
    copied: LibvirtImages, source: Path, unreachable: Cut
) -> None:
    """Without pool, sources and mirror: kernel, base and layers come out identical."""
    recipe = BASE.run("echo 1 >/etc/one; rm /etc/issue").files(source, "/srv")
    parent = copied.build(recipe, on_output=print)
    image = copied.build(Recipe.on(parent).run("rm -r /srv/empty"), on_output=print)
    shutil.rmtree(copied.pool)
    shutil.rmtree(source)
    unreachable()
    rebuilt = copied.rebuild(image.id, on_output=print)
    assert rebuilt.differences == ()
    assert rebuilt.is_identical
    assert rebuilt.image == image
    assert copied.list() == (image,)
    with copied.root(image.id) as root:
        assert os.access(root / "srv/link", os.X_OK)
        assert not (root / "srv/empty").exists()
    with discarded(copied, Recipe.on(image).run("echo 2 >/etc/two")) as above:
        assert above.parent == image.id


@pytest.mark.vm
@pytest.mark.matrix
def test_what_came_out_otherwise_is_named(copied: LibvirtImages) -> None:
    """The layer that is not reproducible, and the paths in it; the image stays as it was."""
    recipe = BASE.run("echo 1 >/etc/one")
    recipe = recipe.run(
        "cat /proc/sys/kernel/random/uuid | tee /etc/a >/etc/b; touch /etc/c"
    )
    image = copied.build(recipe, on_output=print)
    rebuilt = copied.rebuild(image.id, on_output=print)
    assert not rebuilt.is_identical
    [difference] = rebuilt.differences
    assert difference.layer == "run"
    assert difference.paths == ("/etc/a", "/etc/b")
    assert rebuilt.image.digest != image.digest
    assert copied.list()[-1] == image


@pytest.mark.vm
@pytest.mark.matrix
def test_what_stands_on_it_is_otherwise_too(copied: LibvirtImages) -> None:
    """The parent's difference is the answer, and nothing is built upon another parent."""
    random = BASE.run("cat /proc/sys/kernel/random/uuid >/etc/a")
    parent = copied.build(random, on_output=print)
    image = copied.build(Recipe.on(parent).run("true"), on_output=print)
    rebuilt = copied.rebuild(image.id, on_output=print)
    assert not rebuilt.is_identical
    assert rebuilt.record.image == image
    [difference] = rebuilt.differences
    assert difference.paths == ("/etc/a",)


@pytest.mark.vm
@pytest.mark.matrix
@pytest.mark.parametrize("base", ["debian:12", "debian:13"])
def test_packages_are_rebuilt(
    tmp_path: Path, source: Path, unreachable: Cut, base: str
) -> None:
    """Layers of packages, users, services and files, on each base, from nothing."""
    images = LibvirtImages(pool=tmp_path / "pool")
    recipe = Recipe.base(base).packages("hello", "busybox-static").user("app")
    recipe = recipe.files(source, "/srv", owner="app").service("app", "/srv/program")
    image = images.build(recipe, on_output=print)
    shutil.rmtree(images.pool)
    unreachable()
    assert images.rebuild(image.id, on_output=print).is_identical
    assert images.find(image.id) == image


@pytest.mark.vm
def test_a_lost_source_is_named(prepared: LibvirtImages, source: Path) -> None:
    """The hash of what is kept no more is in the error, and nothing is built."""
    with discarded(prepared, BASE.files(source, "/srv")) as image:
        record = prepared.record(image.id)
        assert record is not None
        [layer] = record.layers
        assert isinstance(layer, Files)
        Path(f"{prepared.pool}.archive/sources", layer.source).unlink()
        with pytest.raises(MissingFiles, match=str(layer.source)):
            prepared.rebuild(image.id, on_output=print)
    assert list((prepared.pool / "work").iterdir()) == []


def truncate(path: Path) -> None:
    """Cut off the end of a layer."""
    os.truncate(path, 100)


def flip(path: Path) -> None:
    """Change one byte of a layer, in place."""
    with path.open("r+b") as stream:
        stream.seek(2000)
        stream.write(b"x")


@pytest.mark.vm
@pytest.mark.parametrize("damage", [truncate, flip, Path.unlink])
def test_a_damaged_layer_is_built_again(
    prepared: LibvirtImages, source: Path, damage: Callable[[Path], None]
) -> None:
    """It is seen before it is used; the image is gone until it is built, and the same."""
    recipe = BASE.files(source, "/srv")
    with discarded(prepared, recipe) as image:
        damage(top(prepared, image))
        assert prepared.find(image.id) is None
        assert prepared.build(recipe, on_output=print).digest == image.digest
        assert prepared.find(image.id) is not None


@pytest.mark.vm
def test_a_lost_tree_is_made_again(prepared: LibvirtImages, source: Path) -> None:
    """Trees may be deleted at any time: they are what layers are, unpacked."""
    with discarded(prepared, BASE.files(source, "/srv")) as image:
        for tree in (prepared.pool / "trees").iterdir():
            if (tree / "srv/index.html").exists():
                shutil.rmtree(tree)
        with prepared.root(image.id) as root:
            assert (root / "srv/index.html").read_text() == str(source.parent)
        with discarded(prepared, Recipe.on(image).run("test -x /srv/link")) as child:
            assert child.parent == image.id


def alter(tree: Path) -> None:
    """Change a file of an unpacked layer, to the same size and time."""
    page = tree / "srv/index.html"
    page.write_bytes(b"x" * page.stat().st_size)
    os.utime(page, (EPOCH, EPOCH))


def add(tree: Path) -> None:
    """Put a file into an unpacked layer."""
    (tree / "srv/evil").write_text("x")


def lose(tree: Path) -> None:
    """Take a file out of an unpacked layer."""
    (tree / "srv/index.html").unlink()


@pytest.mark.vm
@pytest.mark.parametrize("damage", [alter, add, lose])
def test_nothing_is_built_upon_an_altered_tree(
    prepared: LibvirtImages, source: Path, damage: Callable[[Path], None]
) -> None:
    """What runs upon a layer finds what its digest says, whatever was done to the tree."""
    below = BASE.files(source, "/srv")
    above = below.run("ls /srv >/list; cat /srv/index.html >>/list")
    with discarded(prepared, below):
        for tree in (prepared.pool / "trees").iterdir():
            if (tree / "srv/index.html").exists():
                damage(tree)
        with discarded(prepared, above) as image, prepared.root(image.id) as root:
            said = (root / "list").read_text()
    assert "evil" not in said
    assert said.endswith(str(source.parent))


@pytest.mark.vm
def test_a_damaged_kernel_is_made_again(copied: LibvirtImages, source: Path) -> None:
    """It is no layer, and every byte of it counts as well."""
    recipe = BASE.files(source, "/srv")
    image = copied.build(recipe, on_output=print)
    kernel = boot_files(copied.pool, image.id).kernel
    flip(kernel)
    assert copied.find(image.id) is None
    assert copied.build(recipe, on_output=print).digest == image.digest


@pytest.mark.vm
def test_images_beyond_the_limit_are_refused(
    prepared: LibvirtImages, source: Path
) -> None:
    """The error says how to allow more, and nothing of the layer is kept."""
    config = attrs.evolve(LibvirtConfig(pool=prepared.pool), max_image_gib=0)
    narrow = attrs.evolve(prepared, config=config)
    before = set((prepared.pool / "layers").iterdir())
    with pytest.raises(NotEnough, match=r"max_image_gib=1"):
        narrow.build(BASE.files(source, "/srv"), on_output=print)
    assert set((prepared.pool / "layers").iterdir()) == before


def everything_in(pool: Path) -> set[Path]:
    """Return every path of a pool but those of locks, which say nothing by being there."""
    return {path for path in pool.rglob("*") if "locks" not in path.parts}


@pytest.mark.vm
def test_a_full_pool_says_so(small: LibvirtImages) -> None:
    """A command that fills the disk, or a layer that no longer fits: nothing is left."""
    before = everything_in(small.pool)
    for size, name in (("400m", "big"), ("150m", "half")):
        recipe = BASE.run(f"head -c {size} /dev/zero >/opt/{name}")
        with pytest.raises(NotEnough, match="is full"):
            small.build(recipe, on_output=print)
        assert everything_in(small.pool) == before


def test_every_difference_between_trees_is_found(tmp_path: Path) -> None:
    """Names, contents, modes, owners, links and attributes; times are no difference."""
    one, other = tmp_path / "one", tmp_path / "other"
    for tree in (one, other):
        (tree / "etc").mkdir(parents=True)
        for name in ("same", "content", "mode", "owner", "attribute", "kind"):
            (tree / "etc" / name).write_text("x")
        (tree / "link").symlink_to("etc")
    os.utime(one / "etc/same", (1, 1))
    assert differing(one, other) == ()
    (one / "etc/content").write_text("y")
    (one / "etc/mode").chmod(0o600)
    os.chown(one / "etc/owner", 1, 1)
    os.setxattr(one / "etc/attribute", "user.a", b"1")
    (one / "etc/kind").unlink()
    (one / "etc/kind").mkdir()
    (other / "link").unlink()
    (other / "link").symlink_to("usr")
    (other / "more").touch()
    changed = ["attribute", "content", "kind", "mode", "owner"]
    expected = [*(f"/etc/{name}" for name in changed), "/link", "/more"]
    assert differing(one, other) == tuple(expected)
