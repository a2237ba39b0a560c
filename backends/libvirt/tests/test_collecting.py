"""Deleting and sweeping take exactly what no image needs, in pools without any Debian."""

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import attrs
import pytest

from immutable.model import Digest, digest_of
from immutable_libvirt.building import collecting
from immutable_libvirt.building.disk import WholeDisk
from immutable_libvirt.building.manifest import Manifest
from immutable_libvirt.pool import Pool

KERNEL = digest_of("kernel")
LONG_AGO = datetime(2020, 1, 1, tzinfo=UTC)


@pytest.fixture
def pool(tmp_path: Path) -> Pool:
    """Return a pool with a kernel and a base, each noted and seen whole."""
    pool = Pool(tmp_path / "pool")
    pool.prepare()
    pool.kernel(KERNEL).mkdir()
    pool.note(pool.build(digest_of("boot")), {"content": KERNEL})
    pool.note(pool.seen(KERNEL), {})
    layer(pool, "base", is_base=True)
    return pool


def layer(pool: Pool, name: str, *, is_base: bool = False) -> None:
    """Make a layer with its tree, and all notes that a build leaves on them."""
    content, tree, pins = named(name)
    pool.layer(content).write_text(name)
    pool.tree(tree).mkdir()
    note = {"content": content, "is_base": is_base, "pins": pins}
    pool.note(pool.build(tree), note)
    pool.note(pool.build(pins), {"lock": name})
    for seen in (content, tree):
        pool.note(pool.seen(seen), {})


def named(name: str) -> tuple[Digest, Digest, Digest]:
    """Return what a layer, its tree and what it was resolved to are named by."""
    content, tree, pins = (digest_of(name, kind) for kind in ("layer", "tree", "pins"))
    return content, tree, pins


def image(pool: Pool, *names: str, disk: WholeDisk | None = None) -> Manifest:
    """Return the image of some layers, which is noted."""
    made = Manifest(
        kernel=KERNEL,
        layers=tuple(named(name)[0] for name in names),
        trees=tuple(named(name)[1] for name in names),
        command_line="",
        recipe=digest_of("recipe"),
        distribution="debian:12",
        size_bytes=1,
        built_at=LONG_AGO + timedelta(days=len(names)),
        disk=disk,
    )
    pool.note(pool.image(made.id), made.to_document())
    return made


def paths_of(pool: Pool, name: str) -> Iterator[Path]:
    """Yield all that there is of a layer."""
    content, tree, pins = named(name)
    yield from (pool.layer(content), pool.tree(tree))
    yield from (pool.build(tree), pool.build(pins))
    yield from (pool.seen(content), pool.seen(tree))


def is_whole(pool: Pool, name: str) -> bool:
    """Return whether all of a layer is there."""
    return all(path.exists() for path in paths_of(pool, name))


def is_gone(pool: Pool, name: str) -> bool:
    """Return whether nothing of a layer is left."""
    return not any(path.exists() for path in paths_of(pool, name))


def disk(pool: Pool, name: str) -> WholeDisk:
    """Make a disk that was seen whole."""
    content = digest_of(name)
    pool.disk(content, "raw").write_text(name)
    pool.note(pool.seen(content), {})
    return WholeDisk(content=content, format="raw", virtual_bytes=1)


def test_what_another_image_uses_stays(pool: Pool) -> None:
    """What only one has goes with it, to the last note; bases and kernels stay."""
    for name in ("shared", "own"):
        layer(pool, name)
    kept, deleted = image(pool, "base", "shared"), image(pool, "base", "shared", "own")
    collecting.delete(pool, deleted.id)
    assert not pool.image(deleted.id).exists()
    assert is_gone(pool, "own")
    assert is_whole(pool, "shared")
    collecting.delete(pool, kept.id)
    assert is_gone(pool, "shared")
    assert is_whole(pool, "base")
    assert pool.kernel(KERNEL).is_dir()


def test_an_image_is_gone_before_its_layers(
    pool: Pool, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Who is killed while deleting leaves no image without layers; nobody builds then."""
    layer(pool, "own")
    made = image(pool, "base", "own")
    seen: list[tuple[bool, bool]] = []
    unlink = Path.unlink

    def unlinked(path: Path, *, missing_ok: bool = False) -> None:
        with pool.free("pool") as free:
            seen.append((free, pool.image(made.id).exists()))
        unlink(path, missing_ok=missing_ok)

    monkeypatch.setattr(Path, "unlink", unlinked)
    collecting.delete(pool, made.id)
    assert seen[0] == (False, True)
    assert set(seen[1:]) == {(False, False)}


def test_whole_disks_go_with_their_image(pool: Pool) -> None:
    """And what a build left that was killed: no image has it."""
    kept, gone, left = (disk(pool, name) for name in ("kept", "gone", "left"))
    image(pool, disk=kept)
    collecting.delete(pool, image(pool, disk=gone).id)
    assert pool.disk(kept.content, "raw").exists()
    assert pool.seen(kept.content).exists()
    for other in (gone, left):
        assert not pool.disk(other.content, "raw").exists()
        assert not pool.seen(other.content).exists()


def test_only_what_nothing_tells_of_is_swept(pool: Pool) -> None:
    """What was published and never counted; not what is noted, or an image's alone."""
    layer(pool, "built")
    layer(pool, "used")
    image(pool, "base", "used")
    image(pool, disk=disk(pool, "packed"))
    pool.build(named("used")[1]).unlink()  # the image alone tells of it
    pool.build(digest_of("boot")).unlink()
    assert collecting.sweep(pool) == ()
    layer(pool, "left")
    for note in named("left")[1:]:
        pool.build(note).unlink()
    left = {str(path) for path in paths_of(pool, "left") if path.exists()}
    with pool.lock("pool", shared=True):
        assert collecting.sweep(pool) == ()
    assert set(collecting.sweep(pool)) == left
    assert is_gone(pool, "left")
    assert is_whole(pool, "built")


def test_an_older_manifest_tells_nothing_wrong(pool: Pool) -> None:
    """One that names another image than its own name says is none."""
    layer(pool, "own")
    made = image(pool, "base", "own")
    other = attrs.evolve(made, layers=made.layers[:1], trees=made.trees[:1])
    pool.note(pool.image(made.id), other.to_document())
    collecting.delete(pool, made.id)
    assert not pool.image(made.id).exists()
    assert is_whole(pool, "own")
