"""What dpkg would say of layers that are not built, found out without any mirror."""

import subprocess
from pathlib import Path

import pytest

from immutable.images.lock import Entry, Pin
from immutable.model import digest_of
from immutable_libvirt.archive import Archive
from immutable_libvirt.building.debs import stanzas
from immutable_libvirt.building.resolving import Resolver
from immutable_libvirt.building.supply import Supply
from immutable_libvirt.pool import Pool

pytestmark = pytest.mark.vm
INSTALLED = "Status: install ok installed"
BELOW = f"""\
Package: other
{INSTALLED}
Version: 3

Package: shop
{INSTALLED}
Version: 1
"""


def deb(folder: Path, name: str, version: str) -> Path:
    """Make a package that holds nothing."""
    control = folder / "tree" / "DEBIAN" / "control"
    control.parent.mkdir(parents=True)
    fields = {"Package": name, "Version": version, "Architecture": "all"}
    fields |= {"Maintainer": "nobody", "Description": "nothing"}
    control.write_text("".join(f"{key}: {value}\n" for key, value in fields.items()))
    made = folder / f"{name}_{version}_all.deb"
    build = ["dpkg-deb", "--root-owner-group", "--build", folder / "tree", made]
    subprocess.run(build, check=True, capture_output=True)
    return made


def test_a_newer_package_takes_the_place_of_the_older(tmp_path: Path) -> None:
    """Each is there once, as installed: apt would not know which of two counts."""
    pool = Pool(tmp_path / "pool")
    pool.prepare()
    archive = Archive.of(pool)
    supply = Supply(pool=pool, archive=archive, codename="bookworm", on_output=print)
    made = deb(tmp_path, "shop", "2")
    pin = Pin(
        name="shop",
        version="2",
        file=made.name,
        sha256=archive.add_package(made),
        size_bytes=made.stat().st_size,
        origin="debian bookworm",
    )
    (tmp_path / "below").write_text(BELOW)
    entry = Entry(layer=digest_of("layer"), what="packages shop", pins=(pin,))
    resolver = Resolver(supply=supply)
    status = resolver.status([entry], tmp_path / "below", tmp_path)
    found = dict(stanzas(status.read_text()))
    assert sorted(found) == [("other", "3"), ("shop", "2")]
    assert all(INSTALLED in text for text in found.values())
