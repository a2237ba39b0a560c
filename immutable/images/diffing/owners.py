"""Which package a path belongs to, by the lists that the package tools keep.

dpkg's ``info/*.list`` (https://manpages.debian.org/dpkg.1, FILES), and the ``RECORD`` of
Python packages (https://packaging.python.org/specifications/recording-installed-packages).
"""

import csv
import posixpath
import stat
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path

from immutable.images import unbooted
from immutable.images.packages import Package

_LISTS = "var/lib/dpkg/info"


def owners_of(root: Path, packages: Iterable[Package]) -> Mapping[str, str]:
    """Return the package of each path that a package says is its own.

    A path is there under the name that it really has, whatever link its package had
    reached it by.

    Raises:
        PermissionDenied: the operating system refuses to read the lists.
    """
    links = _links(root)
    found = {_real(path, links): name for path, name in _debian(root)}
    for package in packages:
        if package.kind == "pypi":
            found.update(dict.fromkeys(_recorded(root, package), package.name))
    return found


def _debian(root: Path) -> Iterator[tuple[str, str]]:
    directory = unbooted.located(root, _LISTS)
    if directory is None or not stat.S_ISDIR(directory.status.st_mode):
        return
    for entry in unbooted.listed(directory.path):
        stem, dot, suffix = entry.name.rpartition(".")
        if dot and suffix == "list":
            text = unbooted.read(root, f"{_LISTS}/{entry.name}") or ""
            name = stem.partition(":")[0]
            yield from ((path, name) for path in text.split("\n") if path)


def _recorded(root: Path, package: Package) -> Iterator[str]:
    text = unbooted.read(root, f"{package.place}/RECORD") or ""
    home = posixpath.dirname(package.place)
    try:
        for row in csv.reader(text.split("\n")):
            if row:
                yield posixpath.normpath(posixpath.join(home, row[0]))
    except csv.Error:
        # Of what is damaged, the rest is nobody's.
        return


def _links(root: Path) -> Mapping[str, str]:
    """Return where the links at the top lead: ``/bin`` is ``/usr/bin`` nowadays."""
    tops = (entry.name for entry in unbooted.listed(root) if entry.is_symlink())
    found = ((name, unbooted.located(root, name)) for name in tops)
    return {name: str(place.name) for name, place in found if place}


def _real(path: str, links: Mapping[str, str]) -> str:
    top, slash, rest = path.lstrip("/").partition("/")
    return f"{links[top]}/{rest}" if slash and top in links else path
