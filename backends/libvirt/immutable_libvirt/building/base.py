"""The lowest layer: a Debian without documentation, package lists, identity or SSH."""

import shlex
from pathlib import Path

from immutable.errors import InvalidInput
from immutable.images.origins import Origin
from immutable_libvirt.building.apt import Apt
from immutable_libvirt.building.process import Output, run
from immutable_libvirt.building.tree import clean

CODENAMES = {"debian:12": "bookworm", "debian:13": "trixie"}
"""The origins of recipes that this backend can build."""

LEFTOVERS = (
    *(f"etc/{name}-" for name in ("group", "gshadow", "passwd", "shadow")),
    *(f"etc/{name}-" for name in ("subgid", "subuid")),
    "etc/.pwd.lock",
    "etc/apt/sources.list*",
    "etc/machine-id",
    # Made by Debian's package: whoever wants ssh lets each instance make its own.
    "etc/ssh/ssh_host_*_key*",
    "var/cache/apt/*",
    "var/cache/debconf/*-old",
    "var/cache/ldconfig/*",
    "var/lib/apt/*",
    # So are these: every instance would have the same private key.
    *(f"var/lib/cfengine3/{name}" for name in ("ppkeys/*", "randseed", "state/cf_*")),
    "var/lib/dbus/machine-id",
    "var/lib/dpkg/*-old",
    "var/lib/dpkg/lock*",
    "var/lib/dpkg/triggers/Lock",
    *(f"var/log/{name}.log" for name in ("alternatives", "bootstrap", "dpkg")),
    "var/log/apt",
)
_INCLUDED = ("usr-is-merged",)
_EXCLUDED = ("doc/*", "info/*", "locale/*", "man/*")
_COPYRIGHT = "path-include=/usr/share/doc/*/copyright"
# The guest's init writes them: each instance has its own.
_PER_INSTANCE = ("hostname", "hosts", "resolv.conf")
# Its mounts and processes end with it, however it ends.
_NAMESPACE = ("unshare", "--mount", "--pid", "--fork", "--kill-child", "--mount-proc")
_MERGED_USR = "/usr/share/mmdebstrap/hooks/merged-usr"


def codename_of(origin: Origin) -> str:
    """Return Debian's codename for a recipe's origin.

    Raises:
        InvalidInput: this backend cannot build it.
    """
    if not isinstance(origin, str) or origin not in CODENAMES:
        raise InvalidInput(
            f"the libvirt backend cannot build on {origin!r}",
            hint=f"use one of: {', '.join(sorted(CODENAMES))}",
            operation="images.build",
            backend="libvirt",
        )
    return CODENAMES[origin]


def make(apt: Apt, root: Path, *, downloads: Path, on_output: Output) -> None:
    """Install the base system into a directory that does not exist yet.

    Args:
        apt: what knows the packages.
        root: the directory.
        downloads: where the packages are, under the names apt gives them.
        on_output: gets each line.

    Raises:
        BuildFailed: it cannot be fetched or installed.
    """
    options = [f"--dpkgopt=path-exclude=/usr/share/{part}" for part in _EXCLUDED]
    options += [f"--dpkgopt={_COPYRIGHT}"]
    argv = ["mmdebstrap", "--mode=root", "--variant=essential", "--format=directory"]
    argv += [f"--include={','.join(_INCLUDED)}", f"--hook-dir={_MERGED_USR}", *options]
    argv += _use_downloads(downloads)
    run(
        [*_NAMESPACE, *argv, apt.codename, str(root), str(apt.sources)],
        what=f"mmdebstrap of {apt.codename}",
        on_output=on_output,
    )
    _finish(root)


def wanted(codename: str) -> tuple[str, ...]:
    """Return what apt is to be asked for a base: the packages that `make` installs."""
    release = f"?or(?archive(^{codename}$),?codename(^{codename}$))"
    return (f"?narrow({release},?essential)", *_INCLUDED)


def _use_downloads(downloads: Path) -> list[str]:
    """Let mmdebstrap find what was downloaded; its last step would delete it."""
    outside, inside = shlex.quote(str(downloads)), '"$1"/var/cache/apt/archives'
    return [
        f"--setup-hook=mkdir -p {inside} && mount --bind {outside} {inside}",
        "--skip=essential/unlink",
        f"--customize-hook=umount {inside}",
    ]


def _finish(root: Path) -> None:
    (root / "etc/apt/apt.conf.d/99mmdebstrap").unlink(missing_ok=True)
    clean(root, LEFTOVERS)
    for name in _PER_INSTANCE:
        path = root / "etc" / name
        path.unlink(missing_ok=True)
        path.symlink_to(f"/run/immutable/{name}")
