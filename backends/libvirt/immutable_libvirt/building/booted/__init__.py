"""Layers made in a machine of their own: see `Booted`."""

import secrets
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path

import attrs

from immutable.baking import Bake, Work
from immutable.errors import BuildFailed
from immutable.images.baked import bake
from immutable.images.layers import DEADLINE
from immutable.model import Token
from immutable_libvirt.bootable import BootFiles
from immutable_libvirt.building.base import LEFTOVERS
from immutable_libvirt.building.booted import places
from immutable_libvirt.building.booted.leftovers import remove_all
from immutable_libvirt.building.booted.machine import LibvirtBaking
from immutable_libvirt.building.inside import Inside
from immutable_libvirt.building.process import Output
from immutable_libvirt.building.tree import clean
from immutable_libvirt.config import LibvirtConfig
from immutable_libvirt.daemon import Daemon
from immutable_libvirt.errors import BACKEND, translated


@attrs.frozen(kw_only=True)
class Booted(Inside):
    """A throw-away machine that boots the layers below: a chroot with its own kernel.

    Whoever needs more than a tree of files runs here, once: what looks at process 1 or at
    ``/sys``, loads modules, mounts, or sets up a network.
    """

    boot: BootFiles
    """The kernel, and the same layers as disks, the lowest first."""
    config: LibvirtConfig

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
        """Run a program of the image as root in a machine of its own: see `Inside`.

        The deadline counts from when it has booted.

        Raises:
            BuildFailed: it ended with another status than 0, or not in time; or it is
                not the first one.
        """
        self._require_fresh()
        work = Work(
            what=what,
            argv=tuple(argv),
            variables=variables or {},
            handed=tuple((handed or {}).items()),
            network=network,
            deadline=deadline,
        )
        order = Bake(parent=self.boot.layers[-1].stem, works=(work,))
        bake(
            self._baking(),
            order,
            token=Token(secrets.token_hex(16)),
            on_output=on_output,
        )
        clean(self.upper, (*LEFTOVERS, *leftovers))

    def _require_fresh(self) -> None:
        if self.upper.exists():
            raise BuildFailed(
                "a machine of its own runs one program for each layer",
                hint="make it one script, or one layer for each",
                operation="images.build",
                backend=BACKEND,
            )

    def _baking(self) -> LibvirtBaking:
        return LibvirtBaking(
            config=self.config,
            daemon=Daemon(uri=self.config.uri),
            boot=self.boot,
            target=self.upper,
        )


def sweep(config: LibvirtConfig) -> tuple[str, ...]:
    """Destroy what dead builds have left in a pool, and return the machines' names.

    Where there was never a builder, libvirt is not even asked.
    """
    if not places.is_any(config.pool):
        return ()
    with translated("images.sweep", str(config.pool)):
        connection = Daemon(uri=config.uri).connection()
        return remove_all(connection, config.pool, now=datetime.now(UTC))
