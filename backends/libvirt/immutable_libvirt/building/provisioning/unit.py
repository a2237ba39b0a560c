"""A systemd unit: its file in ``/etc/systemd/system``, enabled by the image's systemctl.

https://www.freedesktop.org/software/systemd/man/latest/systemctl.html, ``--root``. The
guest's own init does not read units: they are for images that start systemd.
"""

import shutil

from immutable.errors import MissingFiles
from immutable.images.layers import Unit
from immutable.images.record import Tool
from immutable_libvirt.building.provisioning.asking import program_of, version_of
from immutable_libvirt.building.provisioning.site import Site

_SYSTEMCTL = ("/usr/bin/systemctl", "/bin/systemctl")
_ANALYZE = "/usr/bin/systemd-analyze"
_INSTALL = '.packages("systemd")'
_PLACE = 'install -D -m 0644 "/run/unit/$1" "/etc/systemd/system/$1"'
# Only this unit's own faults: those that it needs are other people's.
_VERIFY = f'{_ANALYZE} verify --man=no --recursive-errors=no "/etc/systemd/system/$1"'
_ENABLE = 'exec "$2" --root=/ enable "$1"'


def make(layer: Unit, site: Site) -> None:
    """Install and enable a unit.

    Raises:
        MissingFiles: its file is not there.
        Unavailable: the image has no systemd.
        BuildFailed: systemd refuses the unit; holds what it said.
    """
    systemctl = program_of(site, *_SYSTEMCTL, install=_INSTALL)
    if not layer.source.is_file():
        raise MissingFiles(
            f"{layer.source} is not there",
            hint="the path is relative to the working directory",
        )
    handed = site.work / "unit"
    handed.mkdir()
    shutil.copyfile(layer.source, handed / layer.name)
    verify = [_VERIFY] if site.inside.has(_ANALYZE) else []
    script = "\n".join(["set -e", _PLACE, *verify, _ENABLE])
    site.inside.run(
        ["/bin/sh", "-c", script, "sh", layer.name, systemctl],
        what=f"enabling {layer.name}",
        handed={"unit": handed},
        on_output=site.on_output,
    )


def version(site: Site) -> Tool:
    """Return the systemd of the image.

    Raises:
        Unavailable: it has none.
    """
    return version_of(site, "systemd", program_of(site, *_SYSTEMCTL, install=_INSTALL))
