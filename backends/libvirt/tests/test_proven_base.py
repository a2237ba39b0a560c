"""A real Debian base: sealed, judged by every kind of check, and searched for what is planted."""

import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest

from immutable.images.proof import (
    Root,
    command,
    contained,
    file,
    host_tests,
    package,
    prove,
    sealed,
    service,
)
from immutable.model import Image, VerdictStatus
from immutable.urls import Url

pytestmark = pytest.mark.vm

TESTS = """
def test_packages(host):
    assert host.package("dpkg").is_installed
    assert host.package("dpkg").version.startswith("1.")
    assert not host.package("openssh-server").is_installed


def test_system(host):
    assert host.system_info.distribution == "debian"
    assert host.user("root").shell == "/bin/bash"
    assert host.file("/etc/passwd").contains("^root:")
"""


@pytest.fixture
def base(image: Image, vm_url: str) -> Path:
    """Return the unpacked base that the tests' image was built on."""
    pool = Path(dict(Url.parse(vm_url).options)["pool"])
    found = [p.parents[3] for p in pool.glob("trees/*/var/lib/dpkg/status")]
    return next(root for root in found if (root / "etc/debian_version").exists())


@pytest.fixture
def copy(base: Path, tmp_path: Path) -> Iterator[Path]:
    """Return a copy of the base that may be changed."""
    made = tmp_path / "root"
    shutil.copytree(base, made, symlinks=True, ignore=shutil.ignore_patterns("dev"))
    yield made
    shutil.rmtree(made)


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


def test_a_debian_base_is_proven(image: Image, base: Path, tmp_path: Path) -> None:
    """By its packages, files and commands, and by tests written for testinfra."""
    (tmp_path / "test_base.py").write_text(TESTS)
    checks = [
        sealed(),
        package("dpkg", "1.*"),
        package("openssh-server", installed=False),
        file("/etc/passwd", mode="0644", owner="root", contains=":0:0:root:"),
        file("/bin/sh", kind="link", link="dash"),
        command("cat /etc/debian_version", stdout="1"),
        command("dpkg --audit", stderr=()),
        service("ssh", enabled=False),
        host_tests(tmp_path / "test_base.py"),
    ]
    proof = prove(image, checks, root=Root(path=base, run=contained(base)))
    assert [j for j in proof.judgements if j.status is not VerdictStatus.PASSED] == []
    assert proof.covers(image.digest)
