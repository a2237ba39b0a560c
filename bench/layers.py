"""Building an image again: one file changed, nothing changed, all from nothing."""

import shutil
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

import attrs

import immutable
from bench import shop
from bench.figures import CannotMeasure, Figure, Target, Unmeasured, alone, compared
from bench.report import Row, say
from bench.sampling import take_turns
from bench.settings import Settings
from immutable.events import Event
from immutable.protocols import Backend
from immutable.urls import Url

_PAYLOAD_BYTES = 2_000_000
_TURNS = 5
_WHOLE_BUILDS = 1
_SECOND = Target(limit=1)
_UNCHANGED = Target(limit=50)
_TENTH = Target(limit=0.1, on="ratio")


def recipe(tree: Path) -> immutable.Recipe:
    """Return base, packages and app, as most images are: the app is what changes."""
    base = immutable.Recipe.base("debian:12").packages("python3")
    return base.files(tree, "/srv/bench").service("bench", "/srv/bench/server")


def measure(settings: Settings) -> tuple[Row, ...]:
    """Return what a rebuild costs beside a whole build and beside Packer."""
    backend = shop.open_backend(settings.backend)
    with tempfile.TemporaryDirectory(prefix="immutable-bench-") as name:
        folder = Path(name)
        tree = shop.compile_app(folder)
        (tree / "payload").write_bytes(bytes(range(256)) * (_PAYLOAD_BYTES // 256))
        ours = Ours(backend, tree)
        try:
            with shop.built(backend, recipe(tree)):
                return tuple(_rows(settings, folder, ours))
        finally:
            ours.forget()


def _rows(settings: Settings, folder: Path, ours: "Ours") -> Iterator[Row]:
    turns = settings.turns(_TURNS)
    changed, unchanged = take_turns(turns, ours.change_one_file, ours.change_nothing)
    whole = [_build_whole(settings, folder, ours.tree) for _ in range(_WHOLE_BUILDS)]
    yield _beside_whole(changed, whole)
    yield alone("layers.unchanged", "ms", unchanged, target=_UNCHANGED)
    yield _beside_packer(settings, folder, ours)


def _beside_whole(changed: list[float], whole: list[float]) -> Figure:
    padded = whole * len(changed)
    return compared(
        "layers.app_rebuild",
        "s",
        changed,
        padded[: len(changed)],
        beside=f"whole build, downloads cached, n={len(whole)}",
        target=_SECOND,
    )


def _beside_packer(settings: Settings, folder: Path, ours: "Ours") -> Row:
    name = "layers.app_rebuild_beside_packer"
    try:
        return _packer(name, settings, folder, ours)
    except CannotMeasure as exc:
        return Unmeasured(name=name, why=str(exc))


def _packer(name: str, settings: Settings, folder: Path, ours: "Ours") -> Figure:
    from bench.packer import PACKAGES, Packer
    from immutable_libvirt.config import LibvirtConfig

    place = folder / "packer"
    place.mkdir()
    pool = LibvirtConfig.parse(Url.parse(settings.backend)).pool
    base = immutable.Recipe.base("debian:12").packages(*PACKAGES)
    say("  preparing Packer's disk")
    with shop.built(ours.backend, base) as image:
        packer = Packer.prepared(place, pool, image.id)

    def build_with_packer() -> float:
        say("  Packer builds")
        ours.touch()
        began = time.perf_counter()
        packer.build(ours.tree)
        return time.perf_counter() - began

    turns = settings.turns(_TURNS)
    changed, theirs = take_turns(turns, ours.change_one_file, build_with_packer)
    beside = "Packer 1.6, QEMU, the same app"
    return compared(name, "s", changed, theirs, beside=beside, target=_TENTH)


def _build_whole(settings: Settings, folder: Path, tree: Path) -> float:
    """Build in an empty pool, with the packages downloaded before."""
    from immutable_libvirt.config import LibvirtConfig

    url = Url.parse(settings.backend)
    pool = folder / "pool"
    say("  building the whole image from nothing")
    cache = LibvirtConfig.parse(url).pool / "cache"
    shutil.copytree(cache, pool / "cache", copy_function=shutil.copy2)
    options = dict(url.options) | {"pool": str(pool)}
    fresh = attrs.evolve(url, options=tuple(options.items()))
    began = time.perf_counter()
    immutable.build(recipe(tree), backend=str(fresh))
    took = time.perf_counter() - began
    shutil.rmtree(pool)
    return took


@attrs.define
class Ours:
    """The app's recipe, built again and again."""

    backend: Backend
    tree: Path
    turn: int = 0
    images: list[immutable.Image] = attrs.field(factory=list)
    _said: int = 0

    def touch(self) -> None:
        """Change one small file of the app."""
        self.turn += 1
        (self.tree / "version").write_text(f"{self.turn}\n", encoding="utf-8")

    def change_one_file(self) -> float:
        """Build with one file changed."""
        self.touch()
        return self._build()

    def change_nothing(self) -> float:
        """Build the same recipe again; nothing may be built."""
        known, self._said = self.images[-1], 0
        took = self._build()
        if self.images.pop() != known or self._said:
            raise CannotMeasure("an unchanged recipe was built again")
        return took

    def forget(self) -> None:
        """Delete every image that was built."""
        for image in self.images:
            self.backend.images.delete(image.id)

    def _build(self) -> float:
        began = time.perf_counter()
        made = recipe(self.tree)
        image = immutable.build(made, backend=self.backend, on_event=self._hear)
        took = time.perf_counter() - began
        self.images.append(image)
        return took

    def _hear(self, _event: Event) -> None:
        self._said += 1
