"""Installing exactly the packages that are pinned."""

from collections.abc import Iterable
from pathlib import Path, PurePosixPath

from immutable.errors import BuildFailed
from immutable.images.lock import Pin
from immutable_libvirt.building import base
from immutable_libvirt.building.chroot import Chroot
from immutable_libvirt.building.debs import check_installed, installed
from immutable_libvirt.building.supply import Supply
from immutable_libvirt.building.tree import find

STATUS = PurePosixPath("/var/lib/dpkg/status")


def install(
    chroot: Chroot,
    names: Iterable[str],
    pins: tuple[Pin, ...],
    *,
    supply: Supply,
    work: Path,
) -> None:
    """Install packages in a chroot, from nothing but pins.

    Args:
        chroot: what is below, and where the changes are left.
        names: the packages that are asked for.
        pins: these, and all that they need besides what is installed.
        supply: where packages come from.
        work: an empty directory.

    Raises:
        MissingFiles: a package is to be had nowhere.
        BuildFailed: apt or dpkg failed, or other packages came of it.
    """
    before = installed(status_in((chroot.upper, *chroot.below)))
    apt = supply.apt(pins, work)
    chroot.install(
        tuple(names), apt, downloads=work / "archives", on_output=supply.on_output
    )
    check_installed(pins, before, installed(status_in((chroot.upper, *chroot.below))))


def make_base(root: Path, pins: tuple[Pin, ...], *, supply: Supply, work: Path) -> None:
    """Install the base into a directory that does not exist yet, from nothing but pins.

    Raises:
        MissingFiles: a package is to be had nowhere.
        BuildFailed: the tools failed, or other packages came of it.
    """
    apt = supply.apt(pins, work)
    base.make(apt, root, downloads=work / "archives", on_output=supply.on_output)
    check_installed(pins, {}, installed(status_in((root,))))


def status_in(trees: tuple[Path, ...]) -> Path:
    """Return dpkg's list of what trees (the newest first) have installed.

    Raises:
        BuildFailed: they have none.
    """
    status = find(trees, STATUS)
    if status is None:
        raise BuildFailed("the base has no list of its packages", backend="libvirt")
    return status
