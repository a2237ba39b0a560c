"""What a rebuilt image gives back to its pool, in pools without any Debian."""

import os
import shutil
from datetime import UTC, datetime
from pathlib import Path

import attrs
import pytest

from immutable.images.lock import Lock
from immutable.images.record import BuiltLayer, ImageRecord
from immutable.model import Digest, digest_of
from immutable_libvirt.archive import Archive
from immutable_libvirt.building.erofs import content_digest
from immutable_libvirt.building.intact import kernel_digest, layer_is_intact
from immutable_libvirt.building.layers import Built
from immutable_libvirt.building.making import Made, Workshop
from immutable_libvirt.building.manifest import Manifest, load
from immutable_libvirt.building.rebuilding import Rebuilding
from immutable_libvirt.config import LibvirtConfig
from immutable_libvirt.durable import read
from immutable_libvirt.pool import Pool

TREE = digest_of("tree")
THEN = datetime(2020, 1, 1, tzinfo=UTC)


@pytest.fixture
def rebuilding(tmp_path: Path) -> Rebuilding:
    """Return a pool that was emptied, and beside it one in which all was made again."""
    pool = Pool(tmp_path / "pool")
    workshop = Workshop(
        pool=pool,
        archive=Archive.of(pool),
        config=LibvirtConfig(pool=pool.root),
        limit_bytes=1 << 30,
        on_output=print,
    )
    (tmp_path / "work").mkdir()
    rebuilding = Rebuilding(workshop=workshop, directory=tmp_path / "work")
    pool.prepare()
    rebuilding.aside.pool.prepare()
    return rebuilding


@pytest.fixture
def made(rebuilding: Rebuilding) -> Made:
    """Return an image that was made aside, of one layer and a kernel."""
    pool = rebuilding.aside.pool
    (pool.root / "layer").write_text("a layer")
    (pool.root / "kernel").mkdir()
    for name in ("vmlinuz", "initrd"):
        (pool.root / "kernel" / name).write_text(name)
    content = content_digest(pool.root / "layer")
    kernel = kernel_digest((pool.root / "kernel").iterdir())
    pool.publish(pool.root / "layer", pool.layer(content))
    pool.publish(pool.root / "kernel", pool.kernel(kernel))
    (pool.tree(TREE) / "etc").mkdir(parents=True)
    pool.note(pool.build(TREE), {"content": content})
    return Made(
        manifest=Manifest(
            kernel=kernel,
            layers=(content,),
            trees=(TREE,),
            command_line="",
            recipe=digest_of("the recipe as it is locked now"),
            distribution="debian:12",
            size_bytes=1,
            built_at=datetime.now(UTC),
        ),
        lock=Lock(),
        layers=(
            Built(what="run", step=TREE, name=TREE, content=content, size_bytes=7),
        ),
    )


def record_of(made: Made) -> ImageRecord:
    """Return the record of an image as it was made first."""
    image = attrs.evolve(made.manifest.image, recipe=digest_of("then"), built_at=THEN)
    built = tuple(
        BuiltLayer(what=x.what, recipe=x.step, content=x.content, size_bytes=7)
        for x in made.layers
    )
    return ImageRecord(
        image=image,
        origin="debian:12",
        layers=(),
        lock=Lock(),
        kernel=made.manifest.kernel,
        built=built,
        built_at=THEN,
    )


def change(path: Path) -> None:
    """Change a file in place to the same size and time: only reading it tells."""
    times = path.stat()
    path.chmod(0o644)
    path.write_bytes(b"x" * times.st_size)
    os.utime(path, ns=(times.st_atime_ns, times.st_mtime_ns))


def test_an_emptied_pool_gets_all_of_it(rebuilding: Rebuilding, made: Made) -> None:
    """Layer, tree, kernel and notes; the image says what its record says."""
    pool, image = rebuilding.workshop.pool, record_of(made).image
    rebuilding._adopt(made, image)
    [layer] = made.layers
    assert pool.layer(layer.content).read_text() == "a layer"
    assert pool.layer(layer.content).stat().st_mode & 0o777 == 0o444
    assert read(pool.seen(layer.content)) is not None
    assert (pool.tree(TREE) / "etc").is_dir()
    assert read(pool.build(TREE)) == {"content": layer.content}
    assert read(pool.seen(made.manifest.kernel)) is not None
    found = load(pool, image.id)
    assert found is not None
    assert found.image == image


def test_what_is_damaged_is_replaced(rebuilding: Rebuilding, made: Made) -> None:
    """Also where nothing but its bytes tells; the image is the one that was there."""
    pool, image = rebuilding.workshop.pool, record_of(made).image
    rebuilding._adopt(made, image)
    shutil.copytree(
        pool.kernel(made.manifest.kernel),
        rebuilding.aside.pool.kernel(made.manifest.kernel),
    )
    [layer] = made.layers
    change(pool.layer(layer.content))
    change(pool.kernel(made.manifest.kernel) / "initrd")
    rebuilding._adopt(made, attrs.evolve(image, recipe=digest_of("another")))
    assert layer_is_intact(pool, layer.content, fully=True)
    assert (pool.kernel(made.manifest.kernel) / "initrd").read_text() == "initrd"
    found = load(pool, image.id)
    assert found is not None
    assert found.image == image


def test_what_came_out_otherwise_is_said(rebuilding: Rebuilding, made: Made) -> None:
    """The kernel and each layer are compared with the record; equal ones say nothing."""
    record = record_of(made)
    assert list(rebuilding._differences(record, made)) == []
    first = attrs.evolve(record.built[0], content=Digest("0" * 64))
    other = attrs.evolve(record, kernel=Digest("1" * 64), built=(first,))
    boot, layer = rebuilding._differences(other, made)
    assert (boot.layer, boot.expected) == ("boot", other.kernel)
    assert boot.found == made.manifest.kernel
    assert (layer.layer, layer.expected) == ("run", first.content)
    assert layer.found == made.layers[0].content
