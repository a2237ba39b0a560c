"""Where a layer is made."""

from pathlib import Path

import attrs

from immutable.images.lock import Entry
from immutable_libvirt.archive import Archive
from immutable_libvirt.building.inside import Inside
from immutable_libvirt.building.process import Output
from immutable_libvirt.pool import Pool


@attrs.frozen(kw_only=True)
class Site:
    """The layers below and a place to run in, pool and archive, and what is locked."""

    inside: Inside
    pool: Pool
    archive: Archive
    codename: str
    work: Path
    """An empty directory for whatever is needed meanwhile; it is gone afterwards."""
    pins: Entry | None
    on_output: Output
