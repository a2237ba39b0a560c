"""Layers that a tool of its own makes: each in the module that has its name.

Each of them is given a `Site` and leaves what it changed in the layer to be.
"""

from immutable.errors import Unsupported
from immutable.images.layers import (
    Ansible,
    Cfengine,
    Chef,
    Layer,
    Puppet,
    Python,
    Unit,
)
from immutable.images.lock import Pin
from immutable.images.record import Tool
from immutable_libvirt.building.provisioning import (
    ansible,
    cfengine,
    chef,
    puppet,
    python,
    unit,
)
from immutable_libvirt.building.provisioning.site import Site

__all__ = ["Site", "check", "make", "resolve", "version"]


def check(layer: Layer, *, is_pinned: bool) -> None:
    """Check that what makes a layer is installed, as far as it must be on this machine.

    Args:
        layer: which.
        is_pinned: whether it is known already what the layer is made of.

    Raises:
        InvalidInput: the layer asks for what cannot be pinned.
        Unavailable: it is not; says what to install.
    """
    if isinstance(layer, Ansible):
        ansible.check()
    if isinstance(layer, Python) and not is_pinned:
        python.check(layer)


def make(layer: Layer, site: Site) -> None:
    """Make a layer by its tool.

    Raises:
        Unavailable: the tool is not installed; says what to install.
        BuildFailed: the tool failed; holds its last lines.
        Unsupported: there is no tool for it here.
    """
    match layer:
        case Ansible():
            ansible.make(layer, site)
        case Cfengine():
            cfengine.make(layer, site)
        case Chef():
            chef.make(layer, site)
        case Puppet():
            puppet.make(layer, site)
        case Python():
            python.make(layer, site)
        case Unit():
            unit.make(layer, site)
        case _:
            raise _unsupported(layer)


def resolve(layer: Layer, site: Site) -> tuple[Pin, ...]:
    """Return what a layer's tool would fetch now, kept in the archive.

    The packages of the distribution are not its business.

    Raises:
        InvalidInput: what the layer asks for cannot be pinned.
        Unavailable: the tool is not installed; says what to install.
        BuildFailed: it is not to be had; holds the tool's last lines.
    """
    return python.resolve(layer, site) if isinstance(layer, Python) else ()


def version(layer: Layer, site: Site) -> Tool | None:
    """Return the tool that makes a layer, as it is there; None where none is needed."""
    match layer:
        case Ansible():
            return ansible.version(site)
        case Cfengine():
            return cfengine.version(site)
        case Chef():
            return chef.version(site)
        case Puppet():
            return puppet.version(site)
        case Python():
            return python.version(layer, site)
        case Unit():
            return unit.version(site)
        case _:
            return None


def _unsupported(layer: Layer) -> Unsupported:
    return Unsupported(
        f"the libvirt backend makes no layers of {type(layer).__name__}",
        hint="use .run() with commands that do the same",
        operation="images.build",
        backend="libvirt",
    )
