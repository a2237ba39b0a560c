"""Whatever two roots hold, their diff is what differs between them, and no more."""

import os
import tempfile
from pathlib import Path

import hypothesis.strategies as st
from hypothesis import given, settings

from immutable.images.diffing import ImageDiff, diff_roots

NAMES = st.sampled_from(["a", "b", "etc", "é", "a\nb"])
PATHS = st.lists(NAMES, min_size=1, max_size=3).map("/".join)
FILES = st.tuples(
    st.just("file"), st.sampled_from([0o600, 0o644, 0o4755]), st.binary(max_size=3)
)
LINKS = st.tuples(
    st.just("link"), st.just(0o777), st.sampled_from([b"a", b"/a", b"../.."])
)
Node = tuple[str, int, bytes]
TREES = st.dictionaries(PATHS, FILES | LINKS, max_size=6)


def made(root: Path, tree: dict[str, Node]) -> dict[str, Node]:
    """Make a tree, and return all that it consists of; the first of two in a way wins."""
    root.mkdir()
    nodes: dict[str, Node] = {}
    for name, node in tree.items():
        above = [str(each) for each in reversed(Path(name).parents)][1:]
        ways: dict[str, Node] = dict.fromkeys(above, ("directory", 0o755, b""))
        if name in nodes or any(
            nodes.get(each, way) != way for each, way in ways.items()
        ):
            continue
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        write(root / name, node)
        nodes |= ways | {name: node}
    return nodes


def write(path: Path, node: Node) -> None:
    """Make one file or link."""
    kind, mode, content = node
    if kind == "link":
        path.symlink_to(os.fsdecode(content))
    else:
        path.write_bytes(content)
        path.chmod(mode)


def diff_of(
    first: dict[str, Node], second: dict[str, Node]
) -> tuple[ImageDiff, ImageDiff, dict[str, Node], dict[str, Node]]:
    """Return the diff there and back of two trees, and what they consist of."""
    with tempfile.TemporaryDirectory() as name:
        a, b = Path(name, "a"), Path(name, "b")
        nodes = made(a, first), made(b, second)
        return diff_roots(a, b), diff_roots(b, a), *nodes


@settings(max_examples=150)
@given(first=TREES, second=TREES)
def test_diff_is_what_differs(first: dict[str, Node], second: dict[str, Node]) -> None:
    """Exactly the paths whose kind, mode or content differ; each is in one list."""
    diff, back, a, b = diff_of(first, second)
    expected = {
        f"/{name}" for name in a.keys() | b.keys() if a.get(name) != b.get(name)
    }
    paths = [change.path for change in diff.paths]
    assert len(paths) == len(set(paths))
    assert set(paths) == expected
    assert diff.is_identical == (a == b)
    for side, size in ((a, diff.size_before_bytes), (b, diff.size_after_bytes)):
        assert size == sum(len(n[2]) for n in side.values() if n[0] == "file")
    assert [(c.path, c.before, c.after) for c in diff.paths] == [
        (c.path, c.after, c.before) for c in back.paths
    ]
    assert sum(c.growth_bytes for c in diff.paths) == (
        diff.size_after_bytes - diff.size_before_bytes
    )


@given(tree=TREES, other=TREES)
def test_text_is_one_line_for_each_thing(
    tree: dict[str, Node], other: dict[str, Node]
) -> None:
    """No name breaks a line, and nothing that is little is left out."""
    diff, *_ = diff_of(tree, other)
    lines = str(diff).splitlines()
    sections = sum(map(bool, (diff.services, diff.configuration, diff.files)))
    assert len(lines) == 1 + sections + len(diff.paths) or len(diff.paths) > 12
    assert all(line.isprintable() for line in lines)
