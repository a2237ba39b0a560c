"""Unpacked roots of images for tests, and ways to run commands in them."""

import os
import shutil
from pathlib import Path

import pytest

from immutable.images.proof import Ran
from immutable.model import Digest, Image, ImageId

IMAGE = Image(id=ImageId("shop-1"), digest=Digest("ab" * 32), backend="memory")
DPKG = """\
Package: bash
Status: install ok installed
Architecture: amd64
Version: 5.2.15-2+b2
Conffiles:
 /etc/bash.bashrc 89269e1298235f1b12b4c16e4065ad0d

Package: gone
Status: deinstall ok config-files
Architecture: amd64
Version: 1.0
"""
needs_root = pytest.mark.skipif(
    os.geteuid() != 0, reason="only root runs commands in a root of its own"
)


def make_root(path: Path) -> Path:
    """Make a small root that is sealed: directories, users and a list of packages."""
    for name in ("etc", "tmp", "usr/bin", "usr/lib", "var/log", "var/lib/dpkg/info"):
        (path / name).mkdir(parents=True)
    (path / "tmp").chmod(0o1777)
    (path / "bin").symlink_to("usr/bin")
    put(
        path,
        "etc/passwd",
        "root:x:0:0:root:/root:/bin/sh\napp:x:1000:1000::/:/bin/sh\n",
    )
    put(path, "etc/group", "root:x:0:\napp:x:1000:\n")
    put(path, "etc/shadow", "root:*:19000:0:99999:7:::\n", mode=0o640)
    put(path, "var/lib/dpkg/status", DPKG)
    return path


def put(
    root: Path, name: str, content: str | bytes = "content\n", *, mode: int = 0o644
) -> Path:
    """Write a file in a root, and make the directories that it needs."""
    path = root / name.lstrip("/")
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(content if isinstance(content, bytes) else content.encode())
    path.chmod(mode)
    return path


def add_busybox(root: Path) -> Path:
    """Give a root a shell and the small programs that come with it."""
    busybox = shutil.which("busybox")
    assert busybox, "busybox-static is missing"
    shutil.copy(busybox, root / "usr/bin/busybox")
    for name in ("cat", "id", "ls", "sh", "sleep", "stat", "test", "touch", "yes"):
        (root / "usr/bin" / name).symlink_to("busybox")
    for name in ("dev", "proc", "run"):
        (root / name).mkdir()
    return root


class Says:
    """A runner that says the same of every command, and keeps what it was asked."""

    def __init__(self, stdout: bytes = b"", *, stderr: bytes = b"", status: int = 0):
        self.ran = Ran(status=status, stdout=stdout, stderr=stderr)
        self.asked = []

    def __call__(self, argv, *, timeout):
        self.asked.append(argv)
        return self.ran


class Fails:
    """A runner that can run nothing."""

    def __init__(self, error: OSError) -> None:
        self.error = error

    def __call__(self, argv, *, timeout):
        raise self.error
