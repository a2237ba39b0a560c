"""A real Debian base is sealed, and is searched for what is planted in it."""

import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from immutable.images.proof import Root, sealed
from immutable.judging import VerdictStatus
from immutable.model import Image
from immutable_libvirt import LibvirtBackend

pytestmark = pytest.mark.vm


@pytest.fixture
def base(image: Image, backend: LibvirtBackend) -> Iterator[Path]:
    """Return the root of a Debian with one service."""
    with backend.images.root(image.id) as path:
        yield path


@pytest.fixture
def copy(base: Path, tmp_path: Path) -> Iterator[Path]:
    """Return the base as one that may be changed: its changes are elsewhere."""
    for name in ("root", "upper", "work"):
        (tmp_path / name).mkdir()
    parts = {"lowerdir": base, "upperdir": tmp_path / "upper"}
    parts["workdir"] = tmp_path / "work"
    options = ",".join(f"{name}={path}" for name, path in parts.items())
    root = tmp_path / "root"
    mount = ["mount", "-t", "overlay", "-o", options, "overlay", root]
    subprocess.run(mount, check=True)
    try:
        yield root
    finally:
        subprocess.run(["umount", root], check=True)


def test_a_debian_base_is_sealed(base: Path) -> None:
    """Nothing is found in it, though all of it is looked at."""
    judgement = sealed().judge(Root(path=base))
    assert judgement.findings == ()
    assert judgement.status is VerdictStatus.PASSED


def test_nothing_is_found_without_dpkgs_sums_either(copy: Path) -> None:
    """Every file is searched, and still nothing looks like a secret but examples."""
    for sums in copy.glob("var/lib/dpkg/info/*.md5sums"):
        sums.unlink()
    judgement = sealed().judge(Root(path=copy))
    assert judgement.findings == ()


def test_what_is_planted_in_it_is_found(copy: Path) -> None:
    """A key appended to a file of a package, a history, an ssh server."""
    token = "ghp_" + "a1B2" * 9
    with (copy / "usr/bin/ldd").open("a") as program:
        program.write(f"# {token}\n")
    (copy / "root/.bash_history").write_text("mysql -psecret\n")
    (copy / "usr/sbin/sshd").write_text("#!/bin/sh\n")
    (copy / "usr/sbin/sshd").chmod(0o755)
    judgement = sealed().judge(Root(path=copy))
    assert [(f.rule, f.path) for f in judgement.findings] == [
        ("history", "/root/.bash_history"),
        ("secret", "/usr/bin/ldd"),
        ("ssh", "/usr/sbin/sshd"),
    ]
    assert token not in repr(judgement)
