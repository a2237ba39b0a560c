"""What must be so before anything is built."""

import os
import re
from pathlib import Path

from immutable.errors import InvalidInput, PermissionDenied
from immutable.images.layers import (
    Ansible,
    Cfengine,
    Chef,
    Files,
    Layer,
    Packages,
    Puppet,
    Python,
    Run,
)
from immutable_libvirt.building import provisioning
from immutable_libvirt.building.layers import find
from immutable_libvirt.building.process import require
from immutable_libvirt.building.steps import Step
from immutable_libvirt.pool import Pool

_MEBIBYTE = 1 << 20
_BASE_BYTES = 400 * _MEBIBYTE
_KERNEL_BYTES = 300 * _MEBIBYTE
_PACKAGES_BYTES = 400 * _MEBIBYTE
_RUN_BYTES = 100 * _MEBIBYTE
_SMALL_BYTES = 8 * _MEBIBYTE
_COPIES = 2  # each layer is kept as a disk and as a tree
_MOST_DISKS = 16  # more would not fit on the machine's bus
_SPECIAL = re.compile(r"""[\s:,"'\\]""")
_MOUNTED = (("dev",), ("proc",), ("run",), ("sys",))
_FINDING = ("apt-get", "dpkg-deb")
_PROGRAMS = ("mkfs.erofs", "mmdebstrap", "setpriv", "unshare")


def check_needs(
    pool: Pool, steps: tuple[Step, ...], *, below: int, boots: bool
) -> None:
    """Check that these steps can be built, and make the pool's directories.

    Args:
        pool: where.
        steps: what to build.
        below: how many disks there are already.
        boots: whether there is a kernel.

    Raises:
        InvalidInput: there are more steps than a machine can have disks, the pool's
            path cannot be mounted, or files would be hidden in the guest.
        PermissionDenied: the caller is not root, or cannot write the pool.
        Unavailable: a program is missing.
        NotEnough: the pool is too small.
    """
    if len(steps) + below > _MOST_DISKS:
        raise InvalidInput(
            f"the recipe needs {len(steps) + below} disks, and an instance has {_MOST_DISKS}",
            hint="join neighbouring commands and packages, and put files side by side",
            operation="images.build",
            backend="libvirt",
        )
    _require_mountable(pool.root)
    layers = tuple(layer for step in steps for layer in step.layers)
    for layer in layers:
        _require_visible(layer)
    _require_root(os.geteuid())
    for step in steps:
        for layer in step.layers:
            provisioning.check(layer, is_pinned=step.pins is not None)
    require(*_PROGRAMS, *_FINDING)
    pool.prepare()
    pool.require_space(_needed_bytes(pool, steps, boots=boots))


def check_tools() -> None:
    """Check that packages can be found here, without anything being built.

    Raises:
        Unavailable: a program is missing.
    """
    require(*_FINDING)


def _require_mountable(root: Path) -> None:
    found = _SPECIAL.search(str(root))
    if found:
        raise InvalidInput(
            f"the pool's path {str(root)!r} contains {found[0]!r}",
            hint="mount options are separated by it; use a path without",
            operation="images.build",
            resource=str(root),
            backend="libvirt",
        )


def _require_visible(layer: Layer) -> None:
    if isinstance(layer, Files) and layer.target.parts[1:2] in _MOUNTED:
        raise InvalidInput(
            f"files at {layer.target} would not be seen: something is mounted there",
            hint="choose a place outside /dev, /proc, /run and /sys",
            operation="images.build",
            backend="libvirt",
        )


def _require_root(user: int) -> None:
    if user != 0:
        raise PermissionDenied(
            "only root can build images on this backend",
            hint="build with libvirt:///system as root, then deploy by the image's id",
            operation="images.build",
            backend="libvirt",
        )


def _needed_bytes(pool: Pool, steps: tuple[Step, ...], *, boots: bool) -> int:
    missing = [step for step in steps if find(pool, step) is None]
    needed = sum(_step_bytes(step) for step in missing)
    return needed + (0 if boots else _KERNEL_BYTES) + _SMALL_BYTES


def _step_bytes(step: Step) -> int:
    return sum(map(_layer_bytes, step.layers)) if step.layers else _BASE_BYTES


def _layer_bytes(layer: Layer) -> int:
    match layer:
        case Packages() | Python():
            return _PACKAGES_BYTES
        case Run() | Ansible() | Puppet() | Cfengine() | Chef():
            return _RUN_BYTES
        case Files():
            return _COPIES * sum(map(_file_bytes, _files(layer.source)))
        case _:
            return 0


def _files(source: Path) -> list[Path]:
    return list(source.rglob("*")) if source.is_dir() else [source]


def _file_bytes(path: Path) -> int:
    return path.lstat().st_size
