"""What is locked is what is installed: nothing is looked up anew, and nothing else comes."""

import shutil
import subprocess
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import attrs
import pytest

from immutable.errors import BuildFailed, MissingFiles, Unavailable
from immutable.images.lock import BOOT, Entry, Lock, Pin
from immutable.images.recipe import Recipe
from immutable.model import Digest, Image
from immutable_libvirt.images import LibvirtImages

BASE = Recipe.base("debian:12")
Cut = Callable[[], None]


def lock_of(images: LibvirtImages, recipe: Recipe) -> Lock:
    """Return what a build of a recipe would use."""
    return images.lock(recipe, on_output=print)


@contextmanager
def discarded(images: LibvirtImages, recipe: Recipe) -> Iterator[Image]:
    """Build an image for the time of a test."""
    image = images.build(recipe, on_output=print)
    try:
        yield image
    finally:
        images.delete(image.id)


def names_of(entry: Entry | None) -> list[str]:
    """Return the names of what is pinned."""
    return [pin.name for pin in entry.pins] if entry else []


def changed(lock: Lock, layer: Digest, **fields: str) -> Lock:
    """Return a lock in which the only pin of a layer has other fields."""
    entries = [
        attrs.evolve(entry, pins=(attrs.evolve(entry.pins[0], **fields),))
        if entry.layer == layer
        else entry
        for entry in lock.entries
    ]
    return Lock(entries=tuple(entries))


HELLO = BASE.packages("hello")


@pytest.fixture(scope="module")
def lock(prepared: LibvirtImages) -> Lock:
    """Return what one small package comes to, found out without building anything."""
    before = prepared.list()
    lock = lock_of(prepared, HELLO.run("true"))
    assert prepared.list() == before
    return lock


def kept(images: LibvirtImages, pin: Pin) -> Path:
    """Return where the store has a package."""
    return Path(f"{images.pool}.archive/packages/{pin.sha256}")


@pytest.mark.vm
def test_a_lock_has_all_that_is_installed(lock: Lock) -> None:
    """Kernel, base and each layer of packages, each by version and hash."""
    boot, base, packages = lock.entries
    assert [boot.layer, base.layer, packages.layer] == [BOOT, *HELLO.keys()]
    assert names_of(packages) == ["hello"]
    assert "busybox-static" in names_of(boot)
    assert {"dpkg", "libc6"} < set(names_of(base))
    pins = [pin for entry in lock.entries for pin in entry.pins]
    assert all(len(pin.sha256) == 64 and pin.version and pin.size_bytes for pin in pins)
    assert {pin.origin for pin in pins} == {"debian bookworm"}


@pytest.mark.vm
def test_what_is_locked_is_not_looked_up(
    prepared: LibvirtImages, lock: Lock, unreachable: Cut, tmp_path: Path
) -> None:
    """Given a lock, no mirror is asked, and what it holds comes back as it is."""
    unreachable()
    told = changed(lock, HELLO.keys()[1], origin="elsewhere")
    assert lock_of(prepared, HELLO.locked(told)) == told
    with pytest.raises(Unavailable):
        lock_of(prepared, BASE.run(f"echo {tmp_path}").packages("hello"))


@pytest.mark.vm
def test_a_build_from_a_lock_needs_no_mirror(
    prepared: LibvirtImages, copied: LibvirtImages, lock: Lock, unreachable: Cut
) -> None:
    """In another pool, later, from the store alone: the same bytes, and the same lock."""
    recipe = HELLO.run("echo $0 >/etc/zero")
    with discarded(prepared, recipe) as image:
        record = prepared.record(image.id)
    assert record is not None
    unreachable()
    copied_again = kept(copied, lock.entries[-1].pins[0])
    if not copied_again.exists():
        shutil.copy(kept(prepared, lock.entries[-1].pins[0]), copied_again)
    with discarded(copied, recipe.locked(record.lock)) as again:
        assert again.digest == image.digest
        found = copied.record(again.id)
        assert found is not None
        assert found.lock == record.lock


@pytest.mark.vm
def test_a_package_that_is_nowhere_is_named(
    prepared: LibvirtImages, lock: Lock, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Neither store nor mirror: the error has its name, version and hash."""
    [pin] = lock.entries[-1].pins
    kept(prepared, pin).unlink(missing_ok=True)
    place = "immutable_libvirt.building.apt.sources_for"
    with monkeypatch.context() as patch:
        patch.setattr(place, lambda _codename: "")
        with pytest.raises(MissingFiles) as caught:
            prepared.build(HELLO.locked(lock), on_output=print)
    assert f"hello {pin.version} (SHA-256 {pin.sha256})" in str(caught.value)
    # with a mirror it is fetched, exactly this one
    with discarded(prepared, HELLO.locked(lock)):
        assert kept(prepared, pin).stat().st_size == pin.size_bytes


@pytest.mark.vm
def test_a_damaged_package_is_not_installed(
    prepared: LibvirtImages, lock: Lock, unreachable: Cut
) -> None:
    """What no longer has its hash is removed, and fetched again where that is possible."""
    [pin] = lock.entries[-1].pins
    kept(prepared, pin).write_bytes(b"not what it was")
    unreachable()
    with pytest.raises(MissingFiles, match=pin.sha256):
        prepared.build(HELLO.locked(lock), on_output=print)
    assert not kept(prepared, pin).exists()


@pytest.mark.vm
def test_a_lock_without_all_that_is_needed_is_refused(
    prepared: LibvirtImages, lock: Lock
) -> None:
    """What is not pinned is not there for apt, whatever the mirrors have."""
    nothing = attrs.evolve(lock.entries[-1], pins=())
    less = Lock(entries=(*lock.entries[:-1], nothing))
    with pytest.raises(BuildFailed, match="Unable to locate package hello"):
        prepared.build(HELLO.locked(less), on_output=print)


@pytest.mark.vm
def test_a_lock_with_more_than_comes_is_refused(
    prepared: LibvirtImages, lock: Lock
) -> None:
    """What was installed is compared with what is pinned."""
    busybox = next(pin for pin in lock.entries[0].pins if pin.name == "busybox-static")
    last = lock.entries[-1]
    more = attrs.evolve(last, pins=(busybox, *last.pins))
    with pytest.raises(BuildFailed, match="without busybox-static:amd64"):
        prepared.build(
            HELLO.locked(Lock(entries=(*lock.entries[:-1], more))), on_output=print
        )


@pytest.mark.vm
@pytest.mark.parametrize(
    "fields",
    [
        {"file": "../x.deb"},
        {"file": "/etc/x.deb"},
        {"file": "-o.deb"},
        {"name": "-oDir::Etc=/tmp"},
        {"name": "a b"},
        {"version": "1 other=2"},
    ],
)
def test_pins_lead_nowhere_else(
    prepared: LibvirtImages, lock: Lock, fields: dict[str, str]
) -> None:
    """Locks are handed around: no file of theirs is elsewhere, and no name an option."""
    bad = changed(lock, HELLO.keys()[1], sha256="0" * 64, **fields)
    with pytest.raises(BuildFailed, match="a package cannot have"):
        prepared.build(HELLO.locked(bad), on_output=print)


@pytest.mark.vm
def test_pins_are_no_options_either(
    prepared: LibvirtImages, lock: Lock, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Nor while apt is asked what is upon them: no program has been given one by then."""
    bad = changed(lock, HELLO.keys()[1], sha256="0" * 64, name="-oDir::Etc=/tmp")
    words: list[str] = []
    start = subprocess.run

    def started(argv: list[str | Path], **options: object) -> object:
        words.extend(map(str, argv))
        return start(argv, **options)

    monkeypatch.setattr(subprocess, "run", started)
    with pytest.raises(BuildFailed, match="a package cannot have"):
        lock_of(prepared, HELLO.packages("tree").locked(bad))
    assert not [word for word in words if word.startswith("-oDir")]


@pytest.mark.vm
@pytest.mark.matrix
def test_a_lock_is_what_a_build_would_use(
    prepared: LibvirtImages, copied: LibvirtImages
) -> None:
    """What is not built is resolved upon the packages that it would have."""
    recipe = BASE.packages("busybox-static").run("true")
    recipe = recipe.packages("hello", "busybox-static")
    before = lock_of(copied, recipe)
    with discarded(prepared, recipe) as image:
        record = prepared.record(image.id)
        assert record is not None
        assert record.lock == before
    assert names_of(before.entries[-1]) == ["hello"]


@pytest.mark.vm
@pytest.mark.matrix
@pytest.mark.parametrize("base", ["debian:12", "debian:13"])
def test_a_lock_builds_everything_anew(
    tmp_path: Path, unreachable: Cut, base: str
) -> None:
    """From an empty pool, without any mirror: kernel, base and layers are the same."""
    images = LibvirtImages(pool=tmp_path / "pool")
    (tmp_path / "file").write_text("content")
    recipe = Recipe.base(base).packages("hello", "busybox-static")
    recipe = recipe.run("echo 1 >/etc/one").files(tmp_path / "file", "/srv/file")
    lock = lock_of(images, recipe)
    first = images.build(recipe, on_output=print)
    shutil.rmtree(images.pool)
    unreachable()
    second = images.build(recipe.locked(lock), on_output=print)
    assert second.digest == first.digest
