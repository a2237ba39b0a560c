"""Wheels for an image: found and fetched on this machine, by this machine's pip.

Where they come from (indexes, proxies, certificates) is this machine's business: pip's
configuration and ``PIP_`` variables hold here. What is fetched is kept in the archive.
"""

import json
import os
import re
import sys
from collections.abc import Iterator, Sequence
from importlib import metadata
from pathlib import Path

import attrs

from immutable.errors import BuildFailed, InvalidInput, Unavailable
from immutable.images.content import digest_of_file
from immutable.images.lock import Pin
from immutable_libvirt.building.process import run
from immutable_libvirt.building.provisioning.site import Site

WHEEL = ".whl"
INSTALLER = "pypi installer"
"""The origin of the pip that installs the others, and is not installed itself."""

_INDEX = "pypi"
_PIP = Path(__file__).with_name("resolving") / "pip_elsewhere.py"
_QUIET = (
    "--no-input",
    "--disable-pip-version-check",
    "--progress-bar=off",
    "--no-color",
)
_OLDEST_GLIBC = 5
_REQUIREMENT = re.compile(
    r"[A-Za-z0-9][A-Za-z0-9._-]*\s*"
    r"(\[[A-Za-z0-9._, -]*\]\s*)?"
    r"(\(?(===|~=|==|!=|<=|>=|<|>)[A-Za-z0-9.*+!_,<>=~ -]+\)?\s*)?"
    r"(;[^@]*)?"
)
_HASH = re.compile(r"--hash[= ]sha(256|384|512):[0-9a-f]+")


@attrs.frozen(kw_only=True)
class Target:
    """What the Python of a Debian release takes: its own version, and that of its libc.

    From packages.debian.org, packages ``python3`` and ``libc6``, 2026-11.
    """

    python: str
    glibc: int

    @property
    def minor(self) -> str:
        """Return the version as a recipe has it."""
        return self.python.rpartition(".")[0]

    def options(self) -> Iterator[str]:
        """Yield the options that make pip choose wheels for it, the newest tag first."""
        yield from ("--only-binary=:all:", "--implementation=cp")
        yield f"--python-version={self.python}"
        yield f"--abi=cp{self.minor.replace('.', '')}"
        for number in range(self.glibc, _OLDEST_GLIBC - 1, -1):
            yield f"--platform=manylinux_2_{number}_x86_64"
        for name in ("manylinux2014", "manylinux2010", "manylinux1", "linux"):
            yield f"--platform={name}_x86_64"

    def markers(self) -> dict[str, str]:
        """Return what markers are evaluated with.

        https://packaging.python.org/specifications/dependency-specifiers
        """
        return {
            "implementation_name": "cpython",
            "implementation_version": self.python,
            "os_name": "posix",
            "platform_machine": "x86_64",
            "platform_python_implementation": "CPython",
            "platform_release": "",
            "platform_system": "Linux",
            "platform_version": "",
            "python_full_version": self.python,
            "python_version": self.minor,
            "sys_platform": "linux",
        }


TARGETS = {
    "bookworm": Target(python="3.11.2", glibc=36),
    "trixie": Target(python="3.13.5", glibc=41),
}


def check_requirements(lines: Sequence[str]) -> None:
    """Check that requirements can be kept by hash: names and versions, from an index.

    Raises:
        InvalidInput: one is an option, a path or an address.
    """
    for line in lines:
        if not _REQUIREMENT.fullmatch(_HASH.sub("", line).strip()):
            raise InvalidInput(
                f"the requirement {line!r} is no name with a version",
                hint="write all in one file, as name==version, for an index that has"
                " wheels; options and paths are pip's configuration, not the image's",
                operation="images.build",
                backend="libvirt",
            )


def resolve(lines: Sequence[str], site: Site) -> tuple[Pin, ...]:
    """Return the wheels that requirements come to now, and the pip to install them.

    Raises:
        Unavailable: there is no pip here.
        BuildFailed: they fit no wheels, or a hash does not match; holds pip's last lines.
    """
    into = _directory(site, "found")
    wanted = site.work / "wanted.txt"
    wanted.write_text("".join(f"{line}\n" for line in lines), encoding="utf-8")
    _download(["--requirement", str(wanted)], into, "finding wheels", site)
    installer = _installer(site)
    site.archive.add_packages([*_wheels(into), installer])
    found = [pin_of(path, _INDEX) for path in _wheels(into)]
    return (*found, pin_of(installer, INSTALLER))


def fetch(pin: Pin, site: Site) -> Path:
    """Return a wheel from the archive, or else from an index.

    Raises:
        BuildFailed: it is in neither, or what the index has is another file.
    """
    kept = site.archive.package(pin.sha256)
    if kept is not None:
        return kept
    into = _directory(site, f"fetched-{pin.sha256}")
    wanted = into.with_suffix(".txt")
    wanted.write_text(pinned(pin), encoding="utf-8")
    options = ["--no-deps", "--require-hashes", "--requirement", str(wanted)]
    what = f"fetching {pin.file}, which the archive does not have"
    _download(options, into, what, site)
    site.archive.add_packages(_wheels(into))
    return _wheels(into)[0]


def pinned(pin: Pin) -> str:
    """Return the line of a requirements file that means exactly this wheel."""
    return f"{pin.name}=={pin.version} --hash=sha256:{pin.sha256}\n"


def pin_of(wheel: Path, origin: str) -> Pin:
    """Return what is known of a wheel, by its name and its contents.

    https://packaging.python.org/specifications/binary-distribution-format
    """
    name, version, *_, architecture = wheel.stem.split("-")
    return Pin(
        name=re.sub(r"[-_.]+", "-", name).lower(),
        version=version,
        architecture=architecture,
        file=wheel.name,
        sha256=digest_of_file(wheel),
        size_bytes=wheel.stat().st_size,
        origin=origin,
    )


def pip_version() -> str:
    """Return the version of this machine's pip.

    Raises:
        Unavailable: there is none.
    """
    found = next(iter(metadata.distributions(name="pip")), None)
    if found is None:
        raise Unavailable(
            "Python layers need pip, which is not installed",
            hint='run: uv pip install "immutable-deploy-libvirt[python]", or'
            " python3 -m ensurepip",
            operation="images.build",
            backend="libvirt",
        )
    return found.version


def target_of(codename: str, version: str) -> Target:
    """Return what wheels for a release must fit.

    Raises:
        BuildFailed: the release has another Python.
    """
    target = TARGETS[codename]
    if target.minor != version:
        raise BuildFailed(
            f"{codename} has Python {target.minor}, not {version}",
            hint=f'write .python("{target.minor}"), or choose another base',
            operation="images.build",
            backend="libvirt",
        )
    return target


def _installer(site: Site) -> Path:
    """Return the wheel of the pip that is here: what found wheels installs them too."""
    version, cache = pip_version(), site.pool.cache("pip")
    if not (kept := list(cache.glob(f"pip-{version}-*{WHEEL}"))):
        into = _directory(site, "installer")
        _download(["--no-deps", f"pip=={version}"], into, "fetching pip", site)
        kept = [found.rename(cache / found.name) for found in _wheels(into)]
    return kept[0]


def _download(options: Sequence[str], into: Path, what: str, site: Site) -> None:
    pip_version()
    target = TARGETS[site.codename]
    markers = site.work / "markers.json"
    markers.write_text(json.dumps(target.markers()), encoding="utf-8")
    chosen = [*target.options(), "--dest", str(into), *options]
    run(
        [sys.executable, "-P", str(_PIP), str(markers), "download", *_QUIET, *chosen],
        what=what,
        variables={k: v for k, v in os.environ.items() if k.startswith("PIP_")},
        on_output=site.on_output,
    )


def _directory(site: Site, name: str) -> Path:
    made = site.work / name
    made.mkdir()
    return made


def _wheels(directory: Path) -> list[Path]:
    return sorted(directory.glob(f"*{WHEEL}"))
