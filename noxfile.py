"""Run every task of the project: the only door, for people and for CI.

``python3 noxfile.py -s SESSION -- ARGS`` needs nothing but a Python: run as a script,
this file gets nox and uv into an environment of its own under ``.nox/`` and hands its
arguments to nox. As root on Debian it also installs the packages a session needs;
otherwise it says which.
"""

from __future__ import annotations

# Until nox runs, only modules of Debian's python3-minimal may be imported.
import hashlib
import importlib.util
import os
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parent
TOOLS = ("nox>=2025.5.1", "uv>=0.8")

VM_PACKAGES = (
    "qemu-system-x86",
    "qemu-utils",
    "libvirt-daemon-system",
    "libvirt-clients",
    "libvirt-dev",
    "pkg-config",
    "gcc",
    "python3-dev",
    "haproxy",
    "mmdebstrap",
    "erofs-utils",
    "busybox-static",
    "cpio",
    "dnsmasq-base",
    "iproute2",
    "iptables",
    "e2fsprogs",
    "kmod",
)
PROCESS_PACKAGES = ("haproxy",)
BENCH_PACKAGES = ("wrk", "gcc")
TOOL_PACKAGES = ("packer",)
"""Tools that make images; the others are installed where they work: in the image."""
CLOUDS = ("backends/aws",)
LOCAL = ("backends/haproxy", "backends/libvirt", "backends/process")
BACKENDS = (*CLOUDS, *LOCAL)
PROCESS = ("backends/haproxy", "backends/process")
TESTING = (".[testing]",)
CONFORMANCE = {
    "memory": "tests/conformance",
    "aws": "backends/aws/tests/test_conformance.py",
    "haproxy": "backends/haproxy/tests/test_conformance.py",
    "process": "backends/process/tests/test_conformance.py",
    "libvirt": "backends/libvirt/tests/test_conformance.py",
}
"""Where each backend is held to the contract."""
COVERED = (
    "tests/unit",
    "tests/simulation",
    "tests/property",
    # they are about other things: a copy of the algorithm, real HAProxy, the benchmarks
    "--ignore=tests/simulation/test_mutants.py",
    "--ignore=tests/simulation/test_linearizability.py",
    "--ignore=tests/unit/test_bench.py",
    # measured, a test takes several times as long
    "--timeout=0",
)
"""What `immutable/deploying` is measured by."""


def provide(*packages: str) -> None:
    """Install the missing ones of Debian's ``packages`` as root; else say which."""
    missing = _missing(packages)
    if not missing:
        return
    install = ("install", "--yes", "--no-install-recommends", *missing)
    if os.geteuid() != 0:
        sys.exit(f"Some packages are missing. Run: sudo apt-get {' '.join(install)}")
    print(f"apt-get {' '.join(install)}", flush=True)
    # The lists of a fresh machine are empty or old; a good list is not fetched again.
    if _apt(*install) and (failure := _apt("update") or _apt(*install)):
        sys.exit(failure)


def _missing(packages: tuple[str, ...]) -> list[str]:
    """Return those of ``packages``, in order, that are not installed."""
    show = "--showformat=${Package} ${db:Status-Status}\n"
    try:
        query = ["dpkg-query", "--show", show, *packages]
        shown = subprocess.run(query, capture_output=True, text=True, check=False)
    except FileNotFoundError:
        print(f"Not a Debian system. Needed, by Debian's names: {', '.join(packages)}")
        return []
    installed = shown.stdout.splitlines()
    return [name for name in packages if f"{name} installed" not in installed]


def _apt(*arguments: str) -> str:
    """Run apt-get without questions; return what it said if it failed, else nothing."""
    wait = ("-o", "DPkg::Lock::Timeout=300", "-o", "Acquire::Retries=3")
    done = subprocess.run(
        ["apt-get", "--quiet", *wait, *arguments],
        env=os.environ | {"DEBIAN_FRONTEND": "noninteractive"},
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        check=False,
    )
    said = f"{done.stdout}\napt-get {' '.join(arguments)} exited {done.returncode}"
    return said if done.returncode else ""


def _environments() -> Path:
    """Return this interpreter's folder: another Python must not reuse its venvs."""
    seed = f"{sys.base_prefix} {sys.version}".encode()
    digest = hashlib.sha256(seed).hexdigest()[:8]
    return ROOT / ".nox" / f"{sys.implementation.cache_tag}-{digest}"


def _importable(*modules: str) -> bool:
    """Say whether this interpreter can import all of ``modules``."""
    return all(importlib.util.find_spec(name) for name in modules)


def _private_python() -> Path:
    """Return the Python of a private environment that has nox and uv."""
    home = _environments() / "bootstrap"
    python, stamp = home / "bin" / "python", home / "tools"
    wanted = " ".join(TOOLS)
    # Written last, the stamp means that an interrupted start is begun again.
    if not (python.exists() and stamp.exists() and stamp.read_text() == wanted):
        if not _importable("venv", "ensurepip"):
            provide("python3-venv")
        print(f"Installing {wanted} in {home}", flush=True)
        _setup([sys.executable, "-m", "venv", "--clear", str(home)])
        _setup([str(python), "-m", "pip", "install", "--quiet", *TOOLS])
        stamp.write_text(wanted)
    return python


def _setup(command: list[str]) -> None:
    """Run one command of the bootstrap; end here, naming it, if it fails."""
    if subprocess.run(command, check=False).returncode:
        sys.exit(f"Failed: {' '.join(command)}")


def _become_nox() -> None:
    """Replace this process by nox with the same arguments."""
    found = _importable("nox", "uv")
    python = sys.executable if found else str(_private_python())
    os.execv(python, [python, "-m", "nox", "-f", __file__, *sys.argv[1:]])  # noqa: S606 - no shell is the point


if __name__ == "__main__":
    _become_nox()

import shutil  # noqa: E402 - not in python3-minimal

import nox  # noqa: E402 - present from here on

nox.needs_version = ">=2025.5.1"
nox.options.default_venv_backend = "uv"
nox.options.envdir = str(_environments())
nox.options.reuse_venv = "yes"
nox.options.sessions = ["lint", "types", "tests"]


@nox.session
def demo(session: nox.Session) -> None:
    """Replace real servers under live traffic; ``-- --backend process://``: as any user."""
    by_process = any(word.startswith("process://") for word in session.posargs)
    provide(*(PROCESS_PACKAGES if by_process else VM_PACKAGES))
    _install_editable(session, ".[rich]", *(PROCESS if by_process else LOCAL))
    _run(session, "python", "-m", "demo", *session.posargs)


@nox.session
def tests(session: nox.Session) -> None:
    """Test the built wheels, on real virtual machines too; ``-- -n 0``: one by one."""
    provide(*VM_PACKAGES, *TOOL_PACKAGES)
    _install_wheels(session)
    # Not `python -m pytest`: that would import the tree instead of the wheels. A process
    # for each core, and one more, for much is waited for; what runs beside what is said in
    # conftest.py.
    workers = f"--numprocesses={(os.cpu_count() or 1) + 1}"
    _run(session, "pytest", workers, *session.posargs)


@nox.session
def coverage(session: nox.Session) -> None:
    """Measure which branches of the algorithm tests reach; takes about ten minutes."""
    _install_editable(session, *TESTING)
    session.install("--group", "test", "coverage>=7.10")
    _run(session, "coverage", "run", "-m", "pytest", *COVERED, *session.posargs)
    session.run("coverage", "report")


@nox.session
def conformance(session: nox.Session) -> None:
    """Hold backends to the contract: all, or ``-- NAME …``, and print what was seen."""
    names = session.posargs or sorted(CONFORMANCE)
    if strange := set(names) - set(CONFORMANCE):
        session.error(f"{', '.join(strange)}: there are {', '.join(CONFORMANCE)}")
    if not set(names) <= {"memory", "aws"}:
        provide(*(VM_PACKAGES if "libvirt" in names else PROCESS_PACKAGES))
    needed = (*PROCESS, "backends/aws") if "aws" in names else PROCESS
    backends = BACKENDS if "libvirt" in names else needed
    _install_editable(session, *TESTING, *backends)
    session.install("--group", "test")
    _run(session, "pytest", *(CONFORMANCE[name] for name in names))


@nox.session
def images(session: nox.Session) -> None:
    """Build, prove and rebuild images by every tool and base, each twice: half an hour."""
    provide(*VM_PACKAGES, *TOOL_PACKAGES)
    _install_editable(session, *TESTING, *LOCAL)
    session.install("--group", "test")
    places = ("backends/libvirt/tests", "tests/docs/test_tutorials.py")
    _run(session, "pytest", "-m", "matrix", *places, *session.posargs)


@nox.session
def matrix_aws(session: nox.Session) -> None:
    """Let work on AWS's fleets die at each of its calls, emulated: five minutes."""
    _install_editable(session, *TESTING, "backends/aws")
    session.install("--group", "test")
    _run(session, "pytest", "-m", "matrix", "backends/aws/tests", *session.posargs)


@nox.session
def bench(session: nox.Session) -> None:
    """Measure, each figure beside its floor or peer from the same run."""
    provide(*VM_PACKAGES, *BENCH_PACKAGES)
    _install_editable(session, ".[rich,testing]", *BACKENDS)
    session.install("--group", "bench")
    _run(session, "python", "-m", "bench", *session.posargs)


@nox.session
def simulate(session: nox.Session) -> None:
    """Run simulated schedules: ``-- --count N --seed S``; needs no Debian package."""
    _install_editable(session, *TESTING)
    _run(session, "python", "-m", "proofs", "simulate", *session.posargs)


@nox.session
def mutants(session: nox.Session) -> None:
    """Plant bugs in the protocol, and print which proof catches each."""
    _install_editable(session, *TESTING)
    _run(session, "python", "-m", "proofs", "mutants", *session.posargs)


@nox.session
def prove(session: nox.Session) -> None:
    """Run one proof in full: ``-- NAME [options]``; without a name, say which there are."""
    provide(*VM_PACKAGES)
    _install_editable(session, *TESTING, *BACKENDS)
    session.install("--group", "test")
    _run(session, "python", "-m", "proofs", *session.posargs)


@nox.session
def lint(session: nox.Session) -> None:
    """Check style and format; with ``-- --fix``, repair what can be repaired."""
    session.install("--group", "lint")
    fix = "--fix" in session.posargs
    session.run("ruff", "check", *(["--fix"] if fix else []))
    session.run("ruff", "format", *([] if fix else ["--check"]))


@nox.session
def types(session: nox.Session) -> None:
    """Check types strictly; needs no Debian package."""
    dependencies = ("--requirements", "pyproject.toml", "--extra", "rich")
    session.install("--no-sources", *dependencies, "--group", "types")
    session.run("mypy", *session.posargs)


def _install_editable(session: nox.Session, *distributions: str) -> None:
    """Install distributions in place."""
    editable = [part for path in distributions for part in ("-e", path)]
    session.install("--no-sources", *editable)


def _install_wheels(session: nox.Session) -> None:
    """Build every distribution and install the wheels, by their published bounds."""
    # Not session.create_tmp(): it moves TMPDIR to where socket paths grow too long.
    folder = Path(session.virtualenv.location) / "wheels"
    shutil.rmtree(folder, ignore_errors=True)
    build = ("uv", "build", "--quiet", "--wheel", "--all-packages", "--out-dir")
    session.run(*build, str(folder))
    wheels = sorted(folder.glob("*.whl"))
    # The version stays the same between two runs; the contents do not.
    again = [f"--reinstall-package={w.name.split('-')[0]}" for w in wheels]
    session.install("--no-sources", *again, *map(str, wheels), "--group", "test")


def _run(session: nox.Session, *command: str) -> None:
    """Run a command that needs time, after Ctrl-C, to put away what it started."""
    session.run(*command, interrupt_timeout=120.0, terminate_timeout=10.0)
