"""Asking a tool in the image for its version, without a trace in the image."""

import re
import tempfile
from pathlib import Path, PurePosixPath

from immutable.errors import BuildFailed, Unavailable
from immutable.images.record import Tool
from immutable_libvirt.building.chroot import Chroot
from immutable_libvirt.building.provisioning.site import Site
from immutable_libvirt.building.tree import find

_INSTALLED = "\nStatus: install ok installed\n"
_PACKAGED = re.compile(r"^Version: (\S+)$", re.MULTILINE)
_VERSION = re.compile(r"\d+(?:\.\d+)+[\w.~+-]*")


def program_of(site: Site, *paths: str, install: str) -> str:
    """Return the first of several programs that the image has.

    Args:
        site: where the layer is made.
        paths: where the program may be.
        install: what puts it there.

    Raises:
        Unavailable: it has none of them; the hint is what installs it.
    """
    for path in paths:
        if site.inside.has(path):
            return path
    raise Unavailable(
        f"the image has no {paths[0].rpartition('/')[2]}, which the layer needs",
        hint=f"put it into the image first: {install}",
        operation="images.build",
        backend="libvirt",
    )


def version_of(site: Site, name: str, program: str, *, package: str = "") -> Tool:
    """Return a tool with its version.

    Args:
        site: where the layer is made.
        name: what the tool is called.
        program: its program in the image.
        package: what it comes in where it is Debian's. Then dpkg knows, and the tool,
            which may take seconds to say it, is not asked.

    Raises:
        BuildFailed: it failed, or said nothing like a version.
    """
    packaged = _packaged(site, package) if package else None
    return Tool(name=name, version=packaged or _said(site, program))


def _packaged(site: Site, package: str) -> str | None:
    status = find(site.inside.below, PurePosixPath("/var/lib/dpkg/status"))
    for entry in status.read_text(encoding="utf-8").split("\n\n") if status else ():
        if f"Package: {package}\n" in f"{entry}\n" and _INSTALLED in entry:
            found = _PACKAGED.search(entry)
            return found[1] if found else None
    return None


def _said(site: Site, program: str) -> str:
    lines = list[str]()
    with tempfile.TemporaryDirectory(dir=site.work) as work:
        aside = Chroot(below=site.inside.below, work=Path(work))
        what = f"{program} --version"
        aside.run([program, "--version"], what=what, on_output=lines.append)
    found = _VERSION.search("\n".join(lines))
    if found is None:
        raise BuildFailed(f"{what} says no version", backend="libvirt")
    return found[0]
