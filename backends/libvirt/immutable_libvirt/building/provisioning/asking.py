"""Asking a tool in the image for its version, without a trace in the image."""

import re
import tempfile
from pathlib import Path

from immutable.errors import BuildFailed, Unavailable
from immutable.images.record import Tool
from immutable_libvirt.building.chroot import Chroot
from immutable_libvirt.building.provisioning.site import Site

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
        if site.chroot.has(path):
            return path
    raise Unavailable(
        f"the image has no {paths[0].rpartition('/')[2]}, which the layer needs",
        hint=f"put it into the image first: {install}",
        operation="images.build",
        backend="libvirt",
    )


def version_of(site: Site, name: str, program: str) -> Tool:
    """Return a tool with the version that it says it has.

    Raises:
        BuildFailed: it failed, or said nothing like a version.
    """
    lines = list[str]()
    with tempfile.TemporaryDirectory(dir=site.work) as work:
        aside = Chroot(below=site.chroot.below, work=Path(work))
        what = f"{program} --version"
        aside.run([program, "--version"], what=what, on_output=lines.append)
    found = _VERSION.search("\n".join(lines))
    if found is None:
        raise BuildFailed(f"{what} says no version", backend="libvirt")
    return Tool(name=name, version=found[0])
