"""What a hypervisor is given to boot an image."""

from pathlib import Path
from typing import Literal

import attrs

Format = Literal["qcow2", "raw"]
"""The formats of disks: stated wherever one is opened, and never guessed."""


@attrs.frozen(kw_only=True)
class BootFiles:
    """What a hypervisor needs to boot an image; ``layers`` are the lowest first."""

    kernel: Path
    initrd: Path
    layers: tuple[Path, ...]
    command_line: str


@attrs.frozen(kw_only=True)
class BootDisk:
    """The disk that the firmware boots, of an image that another tool made."""

    path: Path
    format: Format
