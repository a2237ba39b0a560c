"""A path of an image is found where the kernel would find it, and nowhere outside."""

import ctypes
import errno
import os
import struct
import tempfile
from pathlib import Path

import hypothesis.strategies as st
import pytest
from hypothesis import example, given, settings

from immutable.images import unbooted

# openat2(2), with the flag that makes the directory the root for all that is resolved.
_OPENAT2, _RESOLVE_IN_ROOT = 437, 0x10
_LIBC = ctypes.CDLL(None, use_errno=True)
NAMES = st.sampled_from(["a", "b", "c"])
PARTS = st.sampled_from(["a", "b", "c", "..", ".", ""])
PATHS = st.builds(
    lambda lead, parts: lead + "/".join(parts),
    st.sampled_from(["", "/"]),
    st.lists(PARTS, min_size=1, max_size=4),
)
LINKS = st.dictionaries(
    st.lists(NAMES, min_size=1, max_size=2).map("/".join),
    PATHS.filter(bool),
    max_size=5,
)
DIRECTORIES = st.lists(
    st.lists(NAMES, min_size=1, max_size=3).map("/".join), max_size=3
)


def by_us(root: Path, path: str) -> Path | None:
    """Return where a path is found; nowhere is nowhere, whatever the reason."""
    try:
        found = unbooted.find(root, path)
    except unbooted.OutOfReach:
        return None
    if found is not None:
        assert found.path == root / str(found.name).lstrip("/")
    return None if found is None else found.path


def by_kernel(root: Path, path: str) -> Path | None:
    """Return where the kernel finds a path when the directory is its root.

    Raises:
        OSError: it has no such call, or may not make it.
    """
    directory = os.open(root, os.O_PATH)
    how = struct.pack("QQQ", os.O_PATH | os.O_CLOEXEC, 0, _RESOLVE_IN_ROOT)
    try:
        found = _LIBC.syscall(
            _OPENAT2, directory, os.fsencode(path), how, ctypes.c_size_t(len(how))
        )
    finally:
        os.close(directory)
    if found < 0:
        code = ctypes.get_errno()
        if code in {errno.ENOENT, errno.ENOTDIR, errno.ELOOP}:
            return None
        raise OSError(code, os.strerror(code))
    try:
        return Path(f"/proc/self/fd/{found}").readlink()
    finally:
        os.close(found)


@pytest.fixture(scope="module", autouse=True)
def _kernel() -> None:
    """Skip where the kernel has no such call (before 5.6), or a sandbox forbids it."""
    try:
        by_kernel(Path("/"), "/")
    except OSError as exc:
        pytest.skip(f"openat2: {exc}")


def made(root: Path, directories: list[str], links: dict[str, str]) -> None:
    """Make what can be made of a tree; what is in the way of something else, stays."""
    for directory in directories:
        (root / directory).mkdir(parents=True, exist_ok=True)
    for name, target in links.items():
        link = root / name
        inside = link.parent.is_dir() and not link.parent.is_symlink()
        if inside and not os.path.lexists(link):
            link.symlink_to(target)


@settings(max_examples=400)
@given(directories=DIRECTORIES, links=LINKS, path=PATHS)
@example(directories=[], links={"a": "a"}, path="a")
@example(directories=["b"], links={"a": "/../../b"}, path="a/../b")
@example(directories=["a/b"], links={"c": "a/b/../b"}, path="/c/../b/")
def test_paths_are_found_as_in_a_chroot(
    directories: list[str], links: dict[str, str], path: str
) -> None:
    """Absolute links, climbing links, circles: each ends where the kernel says."""
    with tempfile.TemporaryDirectory() as name:
        root = Path(name).resolve()
        made(root, directories, links)
        assert by_us(root, path) == by_kernel(root, path or "/")
