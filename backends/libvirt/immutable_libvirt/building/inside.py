"""Where something runs in an image that is being built: in a chroot, or booted."""

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from datetime import timedelta
from pathlib import Path, PurePosixPath

import attrs

from immutable.images.layers import DEADLINE, Run
from immutable_libvirt.building.process import Output
from immutable_libvirt.building.tree import find


@attrs.frozen(kw_only=True)
class Inside(ABC):
    """The tree of the layers below, and a way to run programs in it.

    What they changed is afterwards in ``upper``, which becomes the layer.
    """

    below: tuple[Path, ...]
    """The layers below, unpacked, the newest first."""
    work: Path
    """A directory to work in."""

    @property
    def upper(self) -> Path:
        """Return the directory that becomes the layer."""
        return self.work / "upper"

    def has(self, program: str) -> bool:
        """Return whether the layers below have a file, by its absolute path."""
        return find(self.below, PurePosixPath(program)) is not None

    def execute(self, layer: Run, *, on_output: Output) -> None:
        """Run a shell command as root.

        Raises:
            BuildFailed: it ended with another status than 0, or not in time.
        """
        self.run(
            ["/bin/sh", "-ec", layer.command],
            what=repr(layer.command),
            network=layer.network,
            deadline=layer.deadline,
            on_output=on_output,
        )

    @abstractmethod
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
        """Run a program of the image as root; what it changed is then in ``upper``.

        Args:
            argv: the program, by its path in the image, and its arguments.
            what: what it does, for the message when it fails.
            on_output: gets each line.
            handed: what it finds under /run, by name: not part of the image.
            variables: added to a plain environment.
            network: whether it can reach what this machine reaches.
            deadline: after so long it has failed, and is ended.
            leftovers: patterns of what to remove afterwards, besides the usual.

        Raises:
            BuildFailed: it ended with another status than 0, or not in time.
        """
