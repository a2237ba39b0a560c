"""What two images have otherwise: packages, services, configuration, files, size."""

from collections.abc import Iterable, Mapping
from pathlib import Path

import attrs

from immutable.errors import InvalidInput
from immutable.images.diffing.changes import (
    Facts,
    ImageDiff,
    PackageChange,
    PathChange,
)
from immutable.images.diffing.owners import owners_of
from immutable.images.diffing.trees import Side, changes
from immutable.images.packages import Package, packages_of

__all__ = ["Facts", "ImageDiff", "PackageChange", "PathChange", "diff_roots"]

_SERVICES = (
    "/usr/lib/immutable/services/",
    "/etc/systemd/system/",
    "/usr/lib/systemd/system/",
    "/usr/local/lib/systemd/system/",
    "/lib/systemd/system/",
)
_Versions = Mapping[tuple[str, str, str], tuple[str, ...]]


def diff_roots(before: Path, after: Path) -> ImageDiff:
    """Return what two unbooted roots have otherwise.

    Every path is compared: kind, content, mode, owner, target, extended attributes. Times
    are not. No link is followed, so nothing outside of the roots is read.

    Args:
        before: the directory that is ``/`` in the one image.
        after: the directory that is ``/`` in the other.

    Raises:
        InvalidInput: one is no directory, or a package database in it is damaged.
        PermissionDenied: the operating system refuses to read something.
    """
    for root in (before, after):
        if not root.is_dir():
            raise InvalidInput(f"{root} is no directory", hint="give unpacked roots")
    sides = Side(before.resolve()), Side(after.resolve())
    paths = sorted(changes(*sides), key=lambda change: change.path)
    packages = packages_of(sides[0].root), packages_of(sides[1].root)
    owned = _owned(paths, *map(_owners, sides, packages))
    services = tuple(change for change in owned if _is_service(change.path))
    others = tuple(change for change in owned if not _is_service(change.path))
    return ImageDiff(
        packages=_package_changes(*packages),
        services=services,
        configuration=tuple(c for c in others if _is_configuration(c.path)),
        files=tuple(c for c in others if not _is_configuration(c.path)),
        size_before_bytes=sides[0].size_bytes,
        size_after_bytes=sides[1].size_bytes,
    )


def _package_changes(
    before: Iterable[Package], after: Iterable[Package]
) -> tuple[PackageChange, ...]:
    old, new = _versions(before), _versions(after)
    keys = sorted(
        key for key in old.keys() | new.keys() if old.get(key) != new.get(key)
    )
    return tuple(
        PackageChange(
            kind="deb" if kind == "deb" else "pypi",
            name=name,
            architecture=architecture,
            before=old.get((kind, name, architecture), ()),
            after=new.get((kind, name, architecture), ()),
        )
        for kind, name, architecture in keys
    )


def _versions(packages: Iterable[Package]) -> _Versions:
    """Return the versions of each package; in which environments is not compared."""
    found: dict[tuple[str, str, str], tuple[str, ...]] = {}
    for package in packages:
        key = (package.kind, package.name, package.architecture)
        found[key] = tuple(sorted((*found.get(key, ()), package.version)))
    return found


def _owners(side: Side, packages: Iterable[Package]) -> Mapping[str, str]:
    return owners_of(side.root, packages)


def _owned(
    paths: Iterable[PathChange], before: Mapping[str, str], after: Mapping[str, str]
) -> list[PathChange]:
    """Return the changes with their packages; directories belong to many."""
    found = []
    for change in paths:
        owner = after.get(change.path) or before.get(change.path, "")
        facts = change.after or change.before
        directory = facts is not None and facts.kind == "directory"
        found.append(change if directory else attrs.evolve(change, package=owner))
    return found


def _is_service(path: str) -> bool:
    return path.startswith(_SERVICES)


def _is_configuration(path: str) -> bool:
    return path == "/etc" or path.startswith("/etc/")
