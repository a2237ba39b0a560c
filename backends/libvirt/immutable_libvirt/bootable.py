"""What a hypervisor is given to boot an image."""

from pathlib import Path

import attrs


@attrs.frozen(kw_only=True)
class BootFiles:
    """What a hypervisor needs to boot an image; ``layers`` are the lowest first."""

    kernel: Path
    initrd: Path
    layers: tuple[Path, ...]
    command_line: str
