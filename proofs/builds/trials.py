"""One pool after another: seeded, a build killed in it, judged, built again, judged."""

import shutil
import subprocess
from pathlib import Path

import attrs

from immutable.images.recipe import Recipe
from immutable.model import Digest
from immutable.protocols import Images
from immutable.registry import open_backend
from proofs.builds.judging import compare, contents, half_images, quiet
from proofs.builds.killing import Life, Point, live


@attrs.frozen(kw_only=True)
class Bench:
    """A recipe, a pool that has all that the recipe stands on, and a place for copies."""

    recipe: Recipe
    seed: Path
    place: Path

    def pool(self) -> Path:
        """Return a fresh copy of the seed: the same files, by other names."""
        pool = self.place / "pool"
        for kind in ("", ".archive"):
            there = pool.with_name(f"{pool.name}{kind}")
            like = self.seed.with_name(f"{self.seed.name}{kind}")
            shutil.rmtree(there, ignore_errors=True)
            if like.is_dir():
                subprocess.run(["cp", "-al", like, there], check=True)
        return pool

    def images(self, pool: Path) -> Images:
        """Return the image side of a backend with this pool."""
        return open_backend(f"libvirt:///system?pool={pool}").images

    def build(self, pool: Path) -> Digest:
        """Build the recipe and return the image's digest."""
        return self.images(pool).build(self.recipe, on_output=_unheard).digest


@attrs.frozen(kw_only=True)
class Expected:
    """What a build comes to when nobody dies."""

    life: Life
    digest: Digest
    contents: dict[str, str]


def undisturbed(bench: Bench) -> Expected:
    """Build without a kill, and say what came of it."""
    pool = bench.pool()
    life = live(lambda: bench.build(pool), None)
    return Expected(life=life, digest=bench.build(pool), contents=contents(pool))


def trial(bench: Bench, point: Point, expected: Expected) -> tuple[bool, list[str]]:
    """Kill a build at a point; return whether it was killed, and what is wrong."""
    pool = bench.pool()
    life = live(lambda: bench.build(pool), point)
    wrong = half_images(pool, bench.images(pool))
    wrong += [said] if (said := quiet(pool)) else []
    again = bench.build(pool)
    if again != expected.digest:
        wrong.append(f"built again it is {again}, not {expected.digest}")
    wrong += compare(expected.contents, contents(pool))
    return life.was_killed, [f"killed at {point}: {line}" for line in wrong]


def _unheard(line: str) -> None:
    del line
