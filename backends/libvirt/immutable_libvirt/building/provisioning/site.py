"""Where a layer is made."""

from pathlib import Path

import attrs

from immutable.images.lock import Entry
from immutable_libvirt.archive import Archive
from immutable_libvirt.building.chroot import Chroot
from immutable_libvirt.building.process import Output
from immutable_libvirt.pool import Pool


@attrs.frozen(kw_only=True)
class Site:
    """The layers below in a chroot, pool and archive, and what the layer is locked to."""

    chroot: Chroot
    pool: Pool
    archive: Archive
    codename: str
    work: Path
    """An empty directory for whatever is needed meanwhile; it is gone afterwards."""
    pins: Entry | None
    on_output: Output
