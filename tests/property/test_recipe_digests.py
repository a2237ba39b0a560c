"""A recipe's digest: any change of meaning alters it, and nothing else does."""

import os
import shutil
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import timedelta
from pathlib import Path, PurePosixPath
from typing import Any, cast

import attrs
import pytest
from hypothesis import given
from hypothesis import strategies as st

from immutable.errors import InvalidInput
from immutable.images import layers
from immutable.images.layers import Layer
from immutable.images.lock import BOOT, Entry, Lock, Pin
from immutable.images.recipe import Recipe
from immutable.model import Digest, Image, ImageId

NAMES = st.text("abcdefgh", min_size=1, max_size=5)
TEXTS = st.text(max_size=8)
PAIRS = st.dictionaries(NAMES, TEXTS, max_size=3)
PATHS = NAMES.map(lambda name: PurePosixPath("/", name))
TREES = st.dictionaries(
    st.sampled_from(["a", "b", "d/a", "d/b"]),
    st.tuples(st.binary(max_size=6), st.sampled_from([0o600, 0o644, 0o755])),
    min_size=1,
)
IRRELEVANT = {"deadline"}
"""Fields that limit the work and do not say what comes of it."""
SOURCES = {"source", "requirements"}
TOOLS = (layers.Ansible, layers.Puppet, layers.Cfengine, layers.Chef)


def write(root: Path, tree: dict[str, tuple[bytes, int]]) -> Path:
    """Write a tree, its files with these contents and modes, and return it."""
    root.mkdir(parents=True)
    for name, (content, mode) in tree.items():
        path = root / name
        path.parent.mkdir(exist_ok=True)
        path.write_bytes(content)
        path.chmod(mode)
    return root


@contextmanager
def place() -> Iterator[Path]:
    """Yield an empty directory: Hypothesis and pytest's own do not go together."""
    with tempfile.TemporaryDirectory() as name:
        yield Path(name)


def provisioned(kind: type[Layer]) -> st.SearchStrategy[Layer]:
    """Return layers of a tool, whatever it calls its entry and its values."""
    entry, values = [f.name for f in attrs.fields(kind) if not f.inherited]
    value = st.tuples(NAMES) if kind is layers.Cfengine else PAIRS
    fields = {entry: NAMES, values: value, "network": st.booleans()}
    return st.builds(kind, source=st.just(Path("tree")), **fields)


KINDS = (
    st.builds(layers.Packages, names=st.lists(NAMES, min_size=1).map(tuple)),
    st.builds(layers.Run, command=NAMES, network=st.booleans(), booted=st.booleans()),
    st.builds(layers.User, name=NAMES, uid=st.none() | st.integers(1, 99), home=PATHS),
    st.builds(
        layers.Daemon,
        name=NAMES,
        command=st.lists(NAMES, min_size=1).map(tuple),
        environment=PAIRS,
        user=NAMES,
    ),
    st.builds(layers.Files, source=st.just(Path("tree")), target=PATHS, owner=NAMES),
    st.builds(layers.Unit, source=st.just(Path("tree")), name=NAMES),
    st.builds(layers.Python, version=NAMES, venv=PATHS),
    *map(provisioned, TOOLS),
)
LAYERS = st.one_of(*KINDS)
TWO_OF_A_KIND = st.one_of(*(st.tuples(kind, kind) for kind in KINDS))


def at(layer: Layer, root: Path) -> Layer:
    """Return a layer whose source, where it has one, is a directory."""
    if not hasattr(layer, "source"):
        return layer
    return attrs.evolve(cast("layers.Files", layer), source=root)


def digest_of(*given: Layer) -> Digest:
    """Return the digest of a recipe with these layers."""
    return Recipe(origin="debian:12", layers=given).digest


@given(two=TWO_OF_A_KIND, tree=TREES, data=st.data())
def test_any_field_counts(
    two: tuple[Layer, Layer], tree: dict[str, tuple[bytes, int]], data: st.DataObject
) -> None:
    """A layer with one field of another one's is another layer, unless it is equal."""
    layer, other = two
    fields = [f.name for f in attrs.fields(type(layer)) if f.name not in SOURCES]
    name = data.draw(st.sampled_from([f for f in fields if f not in IRRELEVANT]))
    changed = attrs.evolve(layer, **{name: getattr(other, name)})
    with place() as root:
        source = write(root / "tree", tree)
        before, after = digest_of(at(layer, source)), digest_of(at(changed, source))
    same = changed == layer or (
        isinstance(layer, layers.Packages | layers.User)
        and _as_sets(layer) == _as_sets(changed)
    )
    assert (before == after) == same


def _as_sets(layer: Layer) -> list[object]:
    """Return a layer's fields with those that are sets as sets."""
    values = attrs.asdict(layer, recurse=False).values()
    return [frozenset(v) if isinstance(v, tuple) else v for v in values]


@given(first=TREES, second=TREES, layer=LAYERS.filter(lambda x: hasattr(x, "source")))
def test_trees_count_by_names_modes_and_contents(
    first: dict[str, tuple[bytes, int]],
    second: dict[str, tuple[bytes, int]],
    layer: Layer,
) -> None:
    """Two trees give one digest exactly when they are the same tree."""
    with place() as root:
        one, other = write(root / "one", first), write(root / "far/other", second)
        same = digest_of(at(layer, one)) == digest_of(at(layer, other))
    assert same == (first == second)


@given(layer=LAYERS, tree=TREES, times=st.integers(0, 2_000_000_000))
def test_nothing_else_counts(
    layer: Layer, tree: dict[str, tuple[bytes, int]], times: int
) -> None:
    """Neither times, nor the place on this machine, nor the order of keys, nor limits."""
    with place() as root:
        source = write(root / "tree", tree)
        before = digest_of(at(layer, source))
        moved = root / "some" / "other" / "place"
        shutil.copytree(source, moved)
        for path in (moved, *moved.rglob("*")):
            os.utime(path, (times, times))
        assert digest_of(at(_turned(layer), moved)) == before


def _turned(layer: Layer) -> Layer:
    """Return an equal layer: its pairs given as a mapping the other way round."""
    changed: dict[str, object] = {}
    for field in attrs.fields(type(layer)):
        value = getattr(layer, field.name)
        if field.name in {"environment", "variables", "facts", "attributes"}:
            changed[field.name] = dict(reversed(value))
        if field.name in IRRELEVANT:
            changed[field.name] = value + timedelta(minutes=1)
    if isinstance(layer, layers.Packages):
        changed["names"] = tuple(reversed(layer.names))
    turned: Layer = attrs.evolve(cast("Any", layer), **changed)
    return turned


@given(below=LAYERS, above=LAYERS)
def test_layers_stand_on_what_is_below(below: Layer, above: Layer) -> None:
    """The same layer on another parent is another layer."""
    with place() as root:
        source = write(root / "tree", {"a": (b"1", 0o644)})
        one, two = at(below, source), at(above, source)
        alone, upon = digest_of(two), digest_of(one, two)
    assert alone != upon


def test_requirements_are_a_set_of_lines(tmp_path: Path) -> None:
    """Order, comments and line breaks of a requirements file mean nothing."""
    first, second = tmp_path / "one.txt", tmp_path / "two.txt"
    first.write_text("a==1 \\\n  --hash=sha256:00\nb==2  # why\n")
    second.write_text("# those\n\nb==2\na==1 --hash=sha256:00\n")
    base = Recipe.base("debian:12")
    one, two = (base.python("3.11", requirements=path) for path in (first, second))
    assert one.digest == two.digest
    second.write_text("b==3\na==1 --hash=sha256:00\n")
    assert one.digest != two.digest


@pytest.mark.parametrize("target", ["../out", "/etc/passwd", "d/../../out", ".."])
def test_links_out_of_the_tree_are_refused(tmp_path: Path, target: str) -> None:
    """What a link finds elsewhere is in no digest, so it is refused by name."""
    source = write(tmp_path / "tree", {"d/a": (b"1", 0o644)})
    (source / "leak").symlink_to(target)
    with pytest.raises(InvalidInput, match="leak is a link to"):
        _ = Recipe.base("debian:12").files(source, "/srv").digest


def test_links_within_the_tree_are_kept(tmp_path: Path) -> None:
    """A link to a neighbour counts by where it leads."""
    source = write(tmp_path / "tree", {"d/a": (b"1", 0o644), "b": (b"1", 0o644)})
    (source / "d/up").symlink_to("../b")
    recipe = Recipe.base("debian:12").files(source, "/srv")
    before = recipe.digest
    (source / "d/up").unlink()
    (source / "d/up").symlink_to("a")
    assert recipe.digest != before


@given(
    trees=TREES,
    kept=st.sampled_from(["*.pyc", "__pycache__", "d/cache"]),
)
def test_what_is_excluded_does_not_count(
    trees: dict[str, tuple[bytes, int]], kept: str
) -> None:
    """Files that a pattern leaves out are as if they were not there."""
    rubbish = {"*.pyc": "x.pyc", "__pycache__": "__pycache__/y", "d/cache": "d/cache"}
    with place() as root:
        source = write(root / "tree", trees)
        (source / "d").mkdir(exist_ok=True)
        recipe = Recipe.base("debian:12").files(source, "/srv", exclude=[kept])
        before = recipe.digest
        path = source / rubbish[kept]
        path.parent.mkdir(exist_ok=True)
        path.write_text("rubbish")
        assert recipe.digest == before


def _pin(name: str, sha: str, origin: str = "debian") -> Pin:
    return Pin(
        name=name,
        version="1",
        file=f"{name}.deb",
        sha256=sha,
        size_bytes=1,
        origin=origin,
    )


@given(
    names=st.lists(NAMES, min_size=1, max_size=3, unique=True),
    position=st.integers(0, 2),
)
def test_a_lock_counts_from_its_layer_on(names: list[str], position: int) -> None:
    """Other pins of a layer change it and what is above it, and nothing below."""
    recipe = Recipe.base("debian:12").packages(*names).run("true")
    key = recipe.keys()[position]

    def locked(sha: str, origin: str) -> Callable[[], tuple[Digest, ...]]:
        pins = (_pin("p", sha, origin),)
        return recipe.locked(
            Lock(entries=(Entry(layer=key, what="", pins=pins),))
        ).digests

    one, other, moved = locked("0", "a")(), locked("1", "a")(), locked("0", "b")()
    assert one[:position] == other[:position] == recipe.digests()[:position]
    assert all(a != b for a, b in zip(one[position:], other[position:], strict=True))
    assert moved == one


def test_what_an_image_boots_by_counts_for_the_whole() -> None:
    """Another kernel makes another image of the same layers."""
    recipe = Recipe.base("debian:12")
    one, other = (
        recipe.locked(Lock(entries=(Entry(layer=BOOT, what="", pins=(_pin("k", s),)),)))
        for s in "01"
    )
    assert one.digests() == other.digests() == recipe.digests()
    assert len({recipe.digest, one.digest, other.digest}) == 3


def test_a_lock_reads_what_it_wrote() -> None:
    """A lock goes to a file and back; anything else is no lock."""
    entry = Entry(layer=Digest("ab"), what="base", pins=(_pin("p", "0" * 64),))
    lock = Lock(entries=(entry,))
    assert Lock.from_json(lock.to_json()) == lock
    for text in ("", "[]", "{}", '{"schema": 1}', '{"schema": 9, "entries": []}'):
        with pytest.raises(InvalidInput):
            Lock.from_json(text)


def test_an_image_counts_by_its_contents() -> None:
    """A recipe upon an image depends on the bytes, not on the image's name."""

    def upon(name: str, content: str) -> Digest:
        image = Image(id=ImageId(name), digest=Digest(content), backend="memory")
        return Recipe.on(image).run("true").digest

    assert upon("a", "00") == upon("b", "00") != upon("a", "11")


def test_branches() -> None:
    """Another Python moves the base where it has to, and what cannot be is refused."""
    old = Recipe.base("debian:12").packages("nginx").python("3.11")
    assert old.with_(python="3.13") == Recipe.base("debian:13").packages(
        "nginx"
    ).python("3.13")
    assert old.with_(packages={"nginx": "1.22"}).layers[0] == layers.Packages(
        names=("nginx=1.22",)
    )
    assert old.with_() == old
    for wrong in ({"python": "3.12"}, {"python": "2.7"}, {"packages": {"apache": "1"}}):
        with pytest.raises(InvalidInput):
            old.with_(**wrong)
    with pytest.raises(InvalidInput, match=r"debian:13 has Python 3\.13"):
        old.with_(base="debian:13")
    with pytest.raises(InvalidInput, match="no layer with Python"):
        Recipe.base("debian:12").with_(python="3.13")
