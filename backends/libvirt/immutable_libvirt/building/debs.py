"""What Debian's packages and dpkg's lists say, and a repository of exactly some packages."""

import hashlib
import re
import shutil
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path

from immutable.errors import BuildFailed
from immutable.images.lock import Pin
from immutable_libvirt.building.process import capture

Versions = dict[str, str]
"""Versions of installed packages by ``name:architecture``."""

_URI = re.compile(r"^'[^']*' (\S+\.deb) (\d+) SHA256:([0-9a-f]{64})$", re.MULTILINE)
_FIELD = re.compile(r"^(Package|Status|Version|Architecture): (.*)$", re.MULTILINE)
_INSTALLED = "Status: install ok installed"
_DATE = "Tue, 01 Jan 1980 00:00:00 UTC"


def pins_of(said: str, origin: str) -> tuple[Pin, ...]:
    """Return the packages that apt's ``--print-uris`` named, in order of name."""
    found = (_pin(*row, origin=origin) for row in _URI.findall(said))
    return tuple(sorted(found, key=lambda pin: (pin.name, pin.architecture)))


def _pin(file: str, size: str, sha256: str, *, origin: str) -> Pin:
    name, version, architecture = file.removesuffix(".deb").split("_")
    return Pin(
        name=name,
        version=version.replace("%3a", ":"),
        architecture=architecture,
        file=file,
        sha256=sha256,
        size_bytes=int(size),
        origin=origin,
    )


def is_deb(pin: Pin) -> bool:
    """Return whether a pin is one of Debian's packages, and not a wheel."""
    return pin.file.endswith(".deb")


def wanted(pins: Iterable[Pin]) -> Versions:
    """Return the versions that are pinned."""
    return {f"{p.name}:{p.architecture}": p.version for p in pins if is_deb(p)}


def installed(status: Path) -> Versions:
    """Return the versions of what dpkg's list says is installed."""
    text = status.read_text(encoding="utf-8")
    found = (dict(_FIELD.findall(stanza)) for stanza in text.split("\n\n"))
    return {
        f"{fields['Package']}:{fields['Architecture']}": fields["Version"]
        for fields in found
        if fields.get("Status", "").startswith("install ok ")
    }


def check_installed(pins: Iterable[Pin], before: Versions, after: Versions) -> None:
    """Check that an installation brought exactly what is pinned.

    Raises:
        BuildFailed: a package is missing, or there is one too many; names them.
    """
    pinned = wanted(pins)
    missing = {
        f"{name} {pinned[name]}" for name in pinned if after.get(name) != pinned[name]
    }
    brought = {name for name in after if after[name] != before.get(name)}
    surplus = {f"{name} {after[name]}" for name in brought - set(pinned)}
    if missing or surplus:
        said = [f"without {', '.join(sorted(missing))}"] if missing else []
        said += [f"with {', '.join(sorted(surplus))} besides"] if surplus else []
        raise BuildFailed(
            f"what was installed is not what is pinned: {' and '.join(said)}",
            hint="lock the recipe again: commands in it may have changed packages",
            operation="images.build",
            backend="libvirt",
        )


def status_of(kept: Iterable[str], described: Iterable[str]) -> str:
    """Return dpkg's list of installed packages: some of its own, some as lists have them."""
    added = (f"{_INSTALLED}\n{text.strip()}" for text in described)
    return "".join(f"{text}\n\n" for text in (*kept, *added))


def control_of(deb: Path) -> str:
    """Return the control data of a package.

    Raises:
        BuildFailed: it is no package.
    """
    return capture(["dpkg-deb", "--field", str(deb)], variables={}).strip()


def stanzas(said: str) -> Iterator[tuple[tuple[str, str], str]]:
    """Yield stanzas of apt's lists, each after its package's name and version."""
    for stanza in said.split("\n\n"):
        fields = dict(_FIELD.findall(stanza))
        if "Package" in fields:
            yield (fields["Package"], fields["Version"]), stanza.strip()


def make_repository(directory: Path, files: Mapping[Pin, Path], codename: str) -> None:
    """Make a repository of exactly these packages, under the names apt gives them."""
    directory.mkdir()
    entries = []
    for pin, path in files.items():
        shutil.copyfile(path, directory / pin.file)
        place = f"Filename: ./{pin.file}\nSize: {pin.size_bytes}\nSHA256: {pin.sha256}"
        entries.append(f"{control_of(path)}\n{place}\n\n")
    index = "".join(entries).encode()
    (directory / "Packages").write_bytes(index)
    lines = [f"Suite: {codename}", f"Codename: {codename}", f"Date: {_DATE}", "SHA256:"]
    lines += [f" {hashlib.sha256(index).hexdigest()} {len(index)} Packages", ""]
    (directory / "Release").write_text("\n".join(lines), encoding="utf-8")
