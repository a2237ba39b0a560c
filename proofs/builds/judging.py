"""What must hold after a build was killed, and after it was then done again."""

import functools
import hashlib
import time
from collections.abc import Callable
from pathlib import Path

from immutable.model import ImageId
from immutable.protocols import Images
from proofs.builds.killing import is_used

_ENDING_S = 10.0
# Lock files say nothing by being there. Caches and what apt keeps may differ by a try.
_FREE = ("locks/", "cache/")


def contents(place: Path) -> dict[str, str]:
    """Return every file of a pool and its archive: its path, and what it holds.

    Trees, which are many files, are known by their names; times are left out.
    """
    found = {}
    for root in (place, place.with_name(f"{place.name}.archive")):
        for path in sorted(root.rglob("*")) if root.is_dir() else ():
            name = f"{root.suffix}/{path.relative_to(root)}".lstrip("/")
            if name.startswith(_FREE) or path.is_dir() or name.startswith("trees/"):
                continue
            found[name] = _summary(path)
    for tree in (place / "trees").iterdir():
        found[f"trees/{tree.name}"] = str(sum(1 for _ in tree.rglob("*")))
    return found


def _summary(path: Path) -> str:
    return "a document" if path.suffix == ".json" else _sha256(path)


def _sha256(path: Path) -> str:
    """Return a file's digest. Pools are links to one seed: what is the same is read once."""
    there = path.stat()
    return _read(path, (there.st_ino, there.st_size, there.st_mtime_ns))


@functools.lru_cache(maxsize=10_000)
def _read(path: Path, identity: tuple[int, int, int]) -> str:
    del identity
    return hashlib.sha256(path.read_bytes()).hexdigest()


def half_images(place: Path, images: Images) -> list[str]:
    """Return what is wrong with the images that a pool offers."""
    wrong = []
    for path in (place / "images").glob("*"):
        found = images.find(ImageId(path.stem))
        if found is None:
            wrong.append(f"{path.name} is listed and cannot be found")
    wrong += [
        f"layer {layer.stem} has other bytes than its name says"
        for layer in (place / "layers").glob("*")
        if _sha256(layer) != layer.stem
    ]
    return wrong


def quiet(place: Path, now: Callable[[], float] = time.monotonic) -> str:
    """Return what still goes on in a pool after all had time to end; empty for nothing."""
    deadline = now() + _ENDING_S
    while said := is_used(place):
        if now() > deadline:
            return said
        time.sleep(0.02)
    return ""


def compare(expected: dict[str, str], found: dict[str, str]) -> list[str]:
    """Return how a pool differs from one in which nobody died."""
    lost = sorted(set(expected) - set(found))
    extra = sorted(set(found) - set(expected))
    other = sorted(n for n in set(expected) & set(found) if expected[n] != found[n])
    return [
        *(f"lost {name}" for name in lost),
        *(f"left over {name}" for name in extra),
        *(f"other contents in {name}" for name in other),
    ]
