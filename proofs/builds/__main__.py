"""Kill builds of images: ``python -m proofs builds --recipe app``."""

import argparse
import os
import random
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from immutable.images.recipe import Recipe
from proofs.builds.killing import points_of
from proofs.builds.trials import Bench, trial, undisturbed

_DELAYS_S = (0.002, 0.01, 0.05)
_EVERY = 100
_BASE = Recipe.base("debian:12")


def recipes(place: Path) -> dict[str, tuple[Recipe, Recipe]]:
    """Return what can be built: by name, what the pool has already, and the whole."""
    app = place / "app"
    (app / "lib").mkdir(parents=True)
    for name in ("main", "lib/a", "lib/b"):
        (app / name).write_text(name)
    files = _BASE.files(app, "/srv/app").service("app", "/srv/app/main")
    return {
        "app": (_BASE, files.run("date -u +%Y >/etc/year; rm /etc/issue")),
        "packages": (_BASE, _BASE.packages("tree").files(app, "/srv/app")),
        "base": (Recipe(origin=""), _BASE),
    }


def main() -> int:
    """Run the trials and print what they found."""
    parser = argparse.ArgumentParser(prog="proofs builds")
    parser.add_argument("--recipe", choices=("app", "packages", "base"), default="app")
    parser.add_argument("--count", type=int, default=0, help="of points; 0 for all")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--pool", type=Path, help="one that has a base already")
    parser.add_argument(
        "--place",
        type=Path,
        default=Path("/var/tmp"),  # noqa: S108 - root's; a fresh directory is made in it
        help="for pools; in memory it goes twice as fast",
    )
    options = parser.parse_args()
    if os.geteuid() != 0:
        sys.exit("building images needs root")
    with tempfile.TemporaryDirectory(
        prefix="immutable-builds-", dir=options.place
    ) as name:
        return _run(options, Path(name))


def _run(options: argparse.Namespace, place: Path) -> int:
    below, recipe = recipes(place)[options.recipe]
    bench = Bench(recipe=recipe, seed=place / "seed", place=place)
    if options.pool:
        # another pool's layers, trees and downloads save a minute
        subprocess.run(["cp", "-a", options.pool, bench.seed], check=True)
    if below.origin:
        bench.images(bench.seed).build(below, on_output=lambda _: None)
    expected = undisturbed(bench)
    points = points_of(expected.life.events, _DELAYS_S)
    chosen = points
    if 0 < options.count < len(points):
        chosen = tuple(random.Random(options.seed).sample(points, options.count))
    began, kills, wrong = time.monotonic(), 0, list[str]()
    for tried, point in enumerate(chosen, start=1):
        killed, found = trial(bench, point, expected)
        kills += killed
        wrong += found
        for line in found:
            print(line, flush=True)
        if tried % _EVERY == 0:
            took = time.monotonic() - began
            print(f"{tried} of {len(chosen)}, {took:.0f} s", flush=True)
    took = time.monotonic() - began
    print(
        f"builds of {options.recipe!r}: {len(points)} points, {len(chosen)} tried,"
        f" {kills} kills, {len(wrong)} wrong, {took:.0f} s"
    )
    # a tool that ends before the moment of its kill is no kill, and no point before it is
    missed = sum(1 for point in chosen if not point.after_s) > kills
    return 1 if wrong or missed else 0


sys.exit(main())
