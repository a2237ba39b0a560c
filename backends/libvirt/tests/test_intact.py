"""What a pool keeps is looked at before it is used, in tiny pools without any Debian."""

import os
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from immutable.errors import BuildFailed
from immutable.model import Digest
from immutable_libvirt.building import erofs
from immutable_libvirt.building.intact import (
    disk_is_intact,
    kernel_digest,
    kernel_is_intact,
    layer_is_intact,
    tree_is_intact,
)
from immutable_libvirt.building.process import run
from immutable_libvirt.building.trees import require_intact, require_tree
from immutable_libvirt.durable import read
from immutable_libvirt.pool import Pool

pytestmark = pytest.mark.vm
NAME = Digest("1" * 64)


@pytest.fixture
def pool(tmp_path: Path) -> Pool:
    """Return an empty pool with its directories."""
    pool = Pool(tmp_path / "pool")
    pool.prepare()
    return pool


@pytest.fixture
def work(tmp_path: Path) -> Path:
    """Return a directory to work in."""
    (tmp_path / "work").mkdir()
    return tmp_path / "work"


@pytest.fixture
def layer(pool: Pool) -> Digest:
    """Return what a layer with a tree is named by; it has two files."""
    tree, image = pool.tree(NAME), pool.root / "image"
    (tree / "etc").mkdir(parents=True)
    for name in ("one", "two"):
        (tree / "etc" / name).write_text(name)
    erofs.make(tree, image, on_output=print)
    content = erofs.content_digest(image)
    pool.publish(image, pool.layer(content))
    pool.note(pool.build(NAME), {"content": content})
    return content


def flip(path: Path) -> None:
    """Change a byte of a file in place; size and times are as before."""
    times = path.stat()
    with path.open("r+b") as stream:
        stream.seek(-1, os.SEEK_END)
        stream.write(b"x")
    os.utime(path, ns=(times.st_atime_ns, times.st_mtime_ns))


def test_a_changed_layer_is_seen(pool: Pool, layer: Digest) -> None:
    """By its time, and without it when all is read; it is not noted as whole."""
    path = pool.layer(layer)
    assert layer_is_intact(pool, layer)
    flip(path)
    assert layer_is_intact(pool, layer)
    assert not layer_is_intact(pool, layer, fully=True)
    os.utime(path)
    assert not layer_is_intact(pool, layer)
    assert not layer_is_intact(pool, layer)


def test_another_file_of_the_name_is_seen(pool: Pool, layer: Digest) -> None:
    """One of the same size and time that was put in its place."""
    path = pool.layer(layer)
    assert layer_is_intact(pool, layer)
    times = path.stat()
    other = path.with_suffix(".other")
    shutil.copyfile(path, other)
    flip(other)
    os.utime(other, ns=(times.st_atime_ns, times.st_mtime_ns))
    other.rename(path)
    assert not layer_is_intact(pool, layer)


def test_what_is_whole_is_read_once(pool: Pool, layer: Digest) -> None:
    """What it looked like is noted, also where it was only touched; nothing else is."""
    assert read(pool.seen(layer)) is None
    assert layer_is_intact(pool, layer)
    first = read(pool.seen(layer))
    os.utime(pool.layer(layer))
    assert layer_is_intact(pool, layer)
    assert first is not None
    assert read(pool.seen(layer)) not in (None, first)


def test_a_changed_disk_or_kernel_is_seen(pool: Pool, work: Path) -> None:
    """Both are named by what they hold, and a kernel by both of its files."""
    (work / "disk").write_bytes(b"a disk")
    content = erofs.content_digest(work / "disk")
    pool.publish(work / "disk", pool.disk(content, "raw"))
    assert disk_is_intact(pool, content, "raw")
    pool.disk(content, "raw").write_bytes(b"another")
    assert not disk_is_intact(pool, content, "raw")
    files = [work / name for name in ("vmlinuz", "initrd")]
    for path in files:
        path.write_text(path.name)
    kernel = kernel_digest(files)
    assert kernel == kernel_digest(reversed(files))
    shutil.copytree(work, pool.kernel(kernel))
    assert kernel_is_intact(pool, kernel)
    (pool.kernel(kernel) / "initrd").write_text("another")
    assert not kernel_is_intact(pool, kernel)
    assert not layer_is_intact(pool, Digest("0" * 64))


def alter(tree: Path) -> None:
    """Change a file to the same size and time."""
    flip(tree / "etc/one")


def add(tree: Path) -> None:
    """Put a file into a tree."""
    (tree / "etc/more").touch()


def lose(tree: Path) -> None:
    """Take a file out of a tree."""
    (tree / "etc/two").unlink()


@pytest.mark.parametrize("damage", [alter, add, lose])
def test_a_changed_tree_is_seen(
    pool: Pool, layer: Digest, work: Path, damage: Callable[[Path], None]
) -> None:
    """Whatever was done to it, every time; one that is whole is made a layer once."""
    assert tree_is_intact(pool, layer, NAME, work, on_output=print)
    nowhere = work / "gone"  # in which no layer can be made
    assert tree_is_intact(pool, layer, NAME, nowhere, on_output=print)
    damage(pool.tree(NAME))
    assert not tree_is_intact(pool, layer, NAME, work, on_output=print)
    assert not tree_is_intact(pool, layer, NAME, work, on_output=print)
    assert list(work.iterdir()) == []


def test_a_damaged_tree_is_unpacked_anew(
    pool: Pool, layer: Digest, work: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """From its layer, by one builder alone, with nothing left of what was added."""
    add(pool.tree(NAME))
    alone: list[bool] = []
    remove = shutil.rmtree

    def removed(path: Path, **options: bool) -> None:
        with pool.free(NAME) as free:
            alone.append(not free)
        remove(path, **options)

    monkeypatch.setattr(shutil, "rmtree", removed)
    require_intact(pool, layer, NAME, work, on_output=print)
    assert alone[0]
    names = {path.name for path in pool.tree(NAME).rglob("*")}
    assert names == {"etc", "one", "two"}
    assert (pool.tree(NAME) / "etc/one").read_text() == "one"


@pytest.fixture
def foreign(pool: Pool, layer: Digest) -> Digest:
    """Return a layer that is not what would come of its own tree."""
    image = pool.root / "image"
    run(["mkfs.erofs", "-T1", image, pool.tree(NAME)], what="mkfs", on_output=print)
    content = erofs.content_digest(image)
    pool.publish(image, pool.layer(content))
    return content


def test_what_does_not_come_out_the_same_is_refused(
    pool: Pool, foreign: Digest, work: Path
) -> None:
    """Nothing is unpacked then; a damaged tree makes its layer count as never built."""
    with pytest.raises(BuildFailed, match="was damaged"):
        require_intact(pool, foreign, NAME, work, on_output=print)
    assert not pool.build(NAME).exists()
    assert not pool.tree(NAME).exists()
    with pytest.raises(BuildFailed, match="cannot unpack it"):
        require_tree(pool, foreign, NAME, on_output=print)
    assert not pool.tree(NAME).exists()
