"""Which packages an unbooted root holds, from the databases that are in it.

Debian's: ``var/lib/dpkg/status``, deb822 stanzas (https://manpages.debian.org/deb822.5,
https://manpages.debian.org/dpkg-query.1 for the states). Python's: the ``METADATA`` of
each ``*.dist-info`` directory (https://packaging.python.org/specifications/core-metadata)
and the ``PKG-INFO`` of the older ``*.egg-info``.
"""

import os
import re
from collections.abc import Iterator, Mapping
from pathlib import Path, PurePosixPath
from typing import Literal
from urllib.parse import quote

import attrs

from immutable.errors import InvalidInput
from immutable.images import unbooted
from immutable.images.lock import Pin

STATUS = "var/lib/dpkg/status"
_GONE = frozenset({"not-installed", "config-files"})
_WHOLE = frozenset({"installed", "triggers-awaited", "triggers-pending"})
_METADATA = {".dist-info": "METADATA", ".egg-info": "PKG-INFO"}
_SOURCE = re.compile(r"(\S+)(?:\s+\((\S+)\))?")


@attrs.frozen(kw_only=True)
class Distribution:
    """The operating system of an image, as its ``os-release`` says."""

    id: str = ""
    version: str = ""


@attrs.frozen(kw_only=True, order=True)
class Package:
    """One package that is in an image.

    ``kind`` is the type in its purl. ``place`` is the directory of a Python package's
    metadata: the same one may be there several times, in several environments. One that
    is not ``is_whole`` was left in the middle of being installed.
    """

    kind: Literal["deb", "pypi"]
    name: str
    architecture: str = ""
    place: str = ""
    version: str
    source: str = ""
    source_version: str = ""
    is_whole: bool = True


def purl(package: Package, system: Distribution) -> str:
    """Return a package's URL, by https://github.com/package-url/purl-spec."""
    if package.kind == "pypi":
        name = package.name.replace("_", "-").lower()
        return f"pkg:pypi/{_encoded(name)}{_at(package.version)}"
    return _deb(package.name, package.version, package.architecture, system)


def source_purl(package: Package, system: Distribution) -> str:
    """Return the URL of the source package that a Debian package was built from."""
    return _deb(package.source, package.source_version, "source", system)


def pinned(pin: Pin) -> Package:
    """Return the package that a pin is of."""
    return Package(
        kind="deb" if pin.file.endswith(".deb") else "pypi",
        name=pin.name,
        version=pin.version,
        architecture=pin.architecture,
    )


def distribution_of(root: Path) -> Distribution:
    """Return which system a root holds; empty where it does not say.

    https://www.freedesktop.org/software/systemd/man/latest/os-release.html
    """
    places = ("etc/os-release", "usr/lib/os-release")
    text = next(filter(None, (unbooted.read(root, place) for place in places)), "")
    lines = (line.partition("=") for line in text.split("\n"))
    fields = {key.strip(): value.strip().strip("\"'") for key, _, value in lines}
    return Distribution(id=fields.get("ID", ""), version=fields.get("VERSION_ID", ""))


def packages_of(root: Path) -> tuple[Package, ...]:
    """Return the packages in an unbooted root, in order of kind and name.

    Raises:
        InvalidInput: a database is damaged: a list made from it would be wrong.
        PermissionDenied: the operating system refuses to read it.
    """
    return tuple(sorted([*debian_packages(root), *python_packages(root)]))


def debian_packages(root: Path) -> Iterator[Package]:
    """Yield what dpkg has put into a root, removed packages left out.

    Raises:
        InvalidInput: the database is damaged.
        PermissionDenied: the operating system refuses to read it.
    """
    for fields in _stanzas(unbooted.read(root, STATUS) or ""):
        if _required(fields, "Status").split()[-1] not in _GONE:
            yield _debian(fields)


def python_packages(root: Path) -> Iterator[Package]:
    """Yield the Python packages anywhere in a root.

    What the metadata leaves open, the name of its directory says.

    Raises:
        PermissionDenied: the operating system refuses to read a directory.
    """
    for entry in unbooted.walk(root):
        if PurePosixPath(entry.name).suffix in _METADATA:
            yield from _python(root, PurePosixPath(entry.path).relative_to(root))


def _debian(fields: Mapping[str, str]) -> Package:
    name, version = _required(fields, "Package"), _required(fields, "Version")
    named = _SOURCE.fullmatch(fields.get("source", ""))
    return Package(
        kind="deb",
        name=name,
        version=version,
        architecture=fields.get("architecture", ""),
        source=named[1] if named else name,
        source_version=(named[2] if named else "") or version,
        is_whole=_required(fields, "Status").split()[-1] in _WHOLE,
    )


def _python(root: Path, place: PurePosixPath) -> Iterator[Package]:
    # An .egg-info may be a single file, as distutils wrote it.
    text = unbooted.read(root, f"{place}/{_METADATA[place.suffix]}")
    text = unbooted.read(root, str(place)) if text is None else text
    if text is None:
        return
    # Names of files may be any bytes; what is told of them is text.
    told = PurePosixPath(os.fsencode(place).decode(errors="replace"))
    name, _, version = told.stem.partition("-")
    # What follows the first empty line is the description.
    fields = next(_stanzas(text.partition("\n\n")[0]), {})
    if name := fields.get("name") or name:
        yield Package(
            kind="pypi",
            name=name,
            version=fields.get("version") or version,
            place=f"/{told}",
        )


def _required(fields: Mapping[str, str], name: str) -> str:
    if not (value := fields.get(name.lower(), "")):
        raise InvalidInput(
            f"/{STATUS} in the image is damaged: {dict(fields)!r:.80} has no {name}",
            hint="build the image anew",
            resource=STATUS,
        )
    return value


def _stanzas(text: str) -> Iterator[dict[str, str]]:
    """Yield the fields of each paragraph, their names in lower case, one line of each."""
    fields: dict[str, str] = {}
    for line in text.split("\n"):
        if not line.strip():
            if fields:
                yield fields
            fields = {}
        elif not line[0].isspace():
            key, _, value = line.partition(":")
            fields.setdefault(key.lower(), value.strip())
    if fields:
        yield fields


def _deb(name: str, version: str, architecture: str, system: Distribution) -> str:
    vendor = _encoded(system.id.lower() or "debian")
    distro = f"{system.id}-{system.version}" if system.id and system.version else ""
    qualifiers = {"arch": architecture, "distro": distro}
    tail = "&".join(
        f"{key}={_encoded(value)}" for key, value in qualifiers.items() if value
    )
    path = f"pkg:deb/{vendor}/{_encoded(name.lower())}{_at(version)}"
    return f"{path}?{tail}" if tail else path


def _at(version: str) -> str:
    return f"@{_encoded(version)}" if version else ""


def _encoded(text: str) -> str:
    # Everything but letters, digits, "-._~" and ":" is percent-encoded.
    return quote(text, safe=":")
