"""Layers that a tool of its own makes: each in the module that has its name.

Each of them is given a `Site` and leaves what it changed in the site's chroot.
"""

from immutable.errors import Unsupported
from immutable.images.layers import Layer
from immutable_libvirt.building.provisioning.site import Site

__all__ = ["Site", "make"]


def make(layer: Layer, site: Site) -> None:
    """Make a layer by its tool.

    Raises:
        Unavailable: the tool is not installed; says what to install.
        BuildFailed: the tool failed; holds its last lines.
        Unsupported: there is no tool for it here.
    """
    raise Unsupported(
        f"the libvirt backend makes no layers of {type(layer).__name__}",
        hint="use .run() with commands that do the same",
        operation="images.build",
        backend="libvirt",
    )
