"""Python packages in a virtual environment: wheels with hashes, installed by a real pip.

The interpreter is the distribution's. What pip needs to run is handed over under /run:
of it nothing stays in the image, and it has no network.
"""

import shutil
from pathlib import Path, PurePosixPath

from immutable.errors import Unavailable
from immutable.images.layers import Python
from immutable.images.lock import Pin
from immutable.images.record import Tool
from immutable_libvirt.building.provisioning.site import Site
from immutable_libvirt.building.provisioning.wheels import (
    INSTALLER,
    WHEEL,
    check_requirements,
    fetch,
    pinned,
    pip_version,
    target_of,
)
from immutable_libvirt.building.provisioning.wheels import resolve as resolve_lines
from immutable_libvirt.building.supply import check_names
from immutable_libvirt.building.tree import find

PACKAGES = ("python3",)
"""The distribution's packages that a Python layer begins with."""

_HERE = "/run/python"
_OPTIONS = (
    "--no-index",
    f"--find-links={_HERE}/wheels",
    f"--requirement={_HERE}/requirements.txt",
    "--require-hashes",
    # Compiled copies depend on more than their sources.
    "--no-compile",
    "--no-cache-dir",
    "--no-input",
    "--disable-pip-version-check",
    "--no-warn-script-location",
    "--progress-bar=off",
    "--root-user-action=ignore",
)
_INSTALL = (
    '"$1" -m venv --without-pip "$2"; python=$2/bin/python; shift 2; "$python" "$@"'
)


def check(layer: Python) -> None:
    """Check that requirements can be found here, before anything is built for them.

    Raises:
        InvalidInput: a requirement is no name with a version.
        Unavailable: there is no pip on this machine.
    """
    lines = layer.wanted()
    check_requirements(lines)
    if lines:
        pip_version()


def resolve(layer: Python, site: Site) -> tuple[Pin, ...]:
    """Return the wheels that a layer's requirements come to now; they are kept.

    Raises:
        InvalidInput: a requirement is no name with a version.
        Unavailable: there is no pip on this machine.
        BuildFailed: they fit no wheels; holds pip's last lines.
    """
    lines = layer.wanted()
    check_requirements(lines)
    target_of(site.codename, layer.version)
    return resolve_lines(lines, site) if lines else ()


def make(layer: Python, site: Site) -> None:
    """Make the virtual environment, where there are requirements.

    Raises:
        InvalidInput, Unavailable, BuildFailed: as `resolve`; the image has no such
            Python, or a wheel is to be had no more.
    """
    python = f"/usr/bin/python{layer.version}"
    _check_interpreter(python, site)
    if not layer.wanted():
        return
    pins = _pinned(layer, site)
    handed = _handed(pins, site)
    pip = next(pin.file for pin in pins if pin.origin == INSTALLER)
    command = [python, str(layer.venv), f"{_HERE}/{pip}/pip", "install", *_OPTIONS]
    site.inside.run(
        ["/bin/sh", "-ec", _INSTALL, "sh", *command],
        what=f"installing the requirements into {layer.venv}",
        handed={"python": handed},
        on_output=site.on_output,
    )


def version(layer: Python, site: Site) -> Tool | None:
    """Return the pip that installs the wheels; None where there are none.

    Raises:
        Unavailable: there is none.
    """
    if not layer.wanted():
        return None
    own = next((pin for pin in _wheels(site) if pin.origin == INSTALLER), None)
    return Tool(name="pip", version=own.version if own else pip_version())


def _pinned(layer: Python, site: Site) -> tuple[Pin, ...]:
    return _wheels(site) or resolve(layer, site)


def _wheels(site: Site) -> tuple[Pin, ...]:
    pins = site.pins.pins if site.pins else ()
    return tuple(pin for pin in pins if pin.file.endswith(WHEEL))


def _handed(pins: tuple[Pin, ...], site: Site) -> Path:
    """Return a directory with the wheels, pip's own, and what is to be installed."""
    check_names(pins)
    handed = site.work / "python"
    (handed / "wheels").mkdir(parents=True)
    for pin in pins:
        place = handed if pin.origin == INSTALLER else handed / "wheels"
        shutil.copyfile(fetch(pin, site), place / pin.file)
    lines = "".join(pinned(pin) for pin in pins if pin.origin != INSTALLER)
    (handed / "requirements.txt").write_text(lines, encoding="utf-8")
    return handed


def _check_interpreter(python: str, site: Site) -> None:
    trees = (site.inside.upper, *site.inside.below)
    if find(trees, PurePosixPath(python)) is None:
        raise Unavailable(
            f"the image has no {python}",
            hint=f"{site.codename} has another Python; choose another base",
            operation="images.build",
            backend="libvirt",
        )
