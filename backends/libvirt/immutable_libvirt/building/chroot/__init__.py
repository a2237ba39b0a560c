"""Layers made by running something inside the image: packages and commands.

The unpacked layers below are mounted as one tree, the command changes it, and what it
changed is the new layer: overlayfs keeps the difference, deletions included.
"""

from collections.abc import Mapping, Sequence
from datetime import timedelta
from pathlib import Path

import attrs

from immutable.images.layers import DEADLINE
from immutable_libvirt.building.apt import QUIET, Apt
from immutable_libvirt.building.base import LEFTOVERS
from immutable_libvirt.building.inside import Inside
from immutable_libvirt.building.process import PLAIN, Output, run
from immutable_libvirt.building.tree import clean

_ENTER = Path(__file__).with_name("enter")
_NAMESPACES = (
    "unshare",
    "--mount",
    "--pid",
    "--ipc",
    "--uts",
    "--fork",
    "--kill-child",
)
# By default: what is installed was downloaded before, and by apt outside.
_NO_NETWORK = ("--net",)
# Scripts of packages, such as netbase's, look at them; with the network they are ours.
_ALONE = {
    "hosts": "127.0.0.1 localhost\n127.0.1.1 image\n",
    "resolv.conf": "",
}
_START_NOTHING = "#!/bin/sh\nexit 101\n"


@attrs.frozen(kw_only=True)
class Chroot(Inside):
    """The layers below, mounted as one tree of files in namespaces of their own."""

    @property
    def root(self) -> Path:
        """Return where the whole tree is, for the command alone."""
        return self.work / "root"

    def install(
        self, names: Sequence[str], apt: Apt, *, downloads: Path, on_output: Output
    ) -> None:
        """Install packages with those that they need, recommended ones excepted.

        Args:
            names: the packages.
            apt: what knows them.
            downloads: where they are, under the names apt gives them.
            on_output: gets each line.

        Raises:
            BuildFailed: apt or dpkg failed.
        """
        self._make_directories()
        policy = self.upper / "usr/sbin/policy-rc.d"
        policy.parent.mkdir(parents=True, exist_ok=True)
        for directory in (policy.parent, policy.parent.parent):
            directory.chmod(0o755)
        policy.write_text(_START_NOTHING, encoding="utf-8")
        policy.chmod(0o755)
        self.enter(
            ["apt-get", *QUIET, "install", "--no-download", *names],
            handed={"downloads:rw": downloads},
            what=f"installing {' '.join(names)}",
            variables=apt.variables(_inside(self.root)),
            on_output=on_output,
        )
        policy.unlink()
        clean(self.upper, LEFTOVERS)

    def run(
        self,
        argv: Sequence[str],
        *,
        what: str,
        on_output: Output,
        handed: Mapping[str, Path] | None = None,
        variables: Mapping[str, str] | None = None,
        network: bool = False,
        deadline: timedelta = DEADLINE,
        leftovers: Sequence[str] = (),
    ) -> None:
        """Run a program of the image as root: see `Inside`.

        The network is this machine's own; a program that is late is killed.
        """
        self._make_directories()
        values = {**dict(PLAIN), **(variables or {})}
        given = [f"{name}={value}" for name, value in values.items()]
        self.enter(
            ["chroot", ".", "/usr/bin/env", "-i", *given, *argv],
            handed=handed or {},
            what=what,
            on_output=on_output,
            network=network,
            deadline=deadline,
        )
        clean(self.upper, (*LEFTOVERS, *leftovers))

    def _make_directories(self) -> None:
        for name in ("root", "upper", "overlay"):
            (self.work / name).mkdir(exist_ok=True)
            (self.work / name).chmod(0o755)

    def enter(
        self,
        argv: Sequence[str],
        *,
        handed: Mapping[str, Path],
        what: str,
        on_output: Output,
        variables: Mapping[str, str] | None = None,
        network: bool = False,
        deadline: timedelta = DEADLINE,
    ) -> None:
        """Run a program of this machine in the mounted image: see `run`."""
        self._make_directories()
        layers = ":".join(str(path) for path in self.below)
        places = [str(self.root), layers, str(self.upper), str(self.work / "overlay")]
        given = {**handed, **self._names(network=network)}
        seen = [f"{name}={path}" for name, path in given.items()]
        spaces = _NAMESPACES if network else (*_NAMESPACES, *_NO_NETWORK)
        run(
            [*spaces, "sh", str(_ENTER), *places, *seen, "--", *argv],
            what=what,
            on_output=on_output,
            variables=variables,
            deadline=deadline,
        )

    def _names(self, *, network: bool) -> dict[str, Path]:
        """Return what the base's links in /etc lead to; what is written there is lost."""
        made = self.work / "names"
        made.mkdir(exist_ok=True)
        for name, alone in _ALONE.items():
            here = Path("/etc", name)
            text = here.read_text("utf-8") if network and here.exists() else alone
            (made / name).write_text(text, "utf-8")
        (made / "hostname").write_text("image\n", "utf-8")
        return {"immutable:rw": made}


def _inside(root: Path) -> dict[str, str]:
    """Return apt's settings for working on a mounted image."""
    return {
        "DPkg::Chroot-Directory": str(root),
        "Dir::Cache::archives": f"{root}/run/downloads/",
        "Dir::State::extended_states": f"{root}/run/extended_states",
        "Dir::State::status": f"{root}/var/lib/dpkg/status",
        "Dpkg::Use-Pty": "false",
    }
