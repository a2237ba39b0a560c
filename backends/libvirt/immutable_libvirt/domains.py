"""Looking at libvirt's domains, and destroying them."""

from collections.abc import Iterator

import libvirt

from immutable.model import InstanceState
from immutable_libvirt.errors import is_absent
from immutable_libvirt.facts import InstanceFacts
from immutable_libvirt.metadata import NAMESPACE, from_text

_STATES = {
    libvirt.VIR_DOMAIN_RUNNING: InstanceState.RUNNING,
    libvirt.VIR_DOMAIN_BLOCKED: InstanceState.RUNNING,
    libvirt.VIR_DOMAIN_SHUTOFF: InstanceState.GONE,
    libvirt.VIR_DOMAIN_CRASHED: InstanceState.GONE,
}
"""Anything else, a pause for want of disk space among it, is not for us to judge."""


def lookup(connection: libvirt.virConnect, name: str) -> libvirt.virDomain | None:
    """Return the domain with this name, or None."""
    try:
        return connection.lookupByName(name)
    except libvirt.libvirtError as exc:
        if is_absent(exc):
            return None
        raise


def facts_of_domain(domain: libvirt.virDomain) -> InstanceFacts | None:
    """Return what a domain's metadata says, or None when it is not one of ours."""
    try:
        kind = libvirt.VIR_DOMAIN_METADATA_ELEMENT
        return from_text(domain.metadata(kind, NAMESPACE))
    except ValueError:
        return None
    except libvirt.libvirtError as exc:
        if is_absent(exc):
            return None
        raise


def state_of(domain: libvirt.virDomain) -> InstanceState:
    """Return what libvirt says of a domain that it knows."""
    try:
        return _STATES.get(domain.state()[0], InstanceState.UNKNOWN)
    except libvirt.libvirtError as exc:
        if is_absent(exc):
            return InstanceState.GONE
        raise


def ours(
    connection: libvirt.virConnect,
) -> Iterator[tuple[InstanceFacts, InstanceState]]:
    """Yield the facts and state of every domain that is one of ours."""
    for domain in connection.listAllDomains():
        facts = facts_of_domain(domain)
        # A copy that somebody made of a domain has its metadata, but not its name.
        if facts is not None and facts.name == domain.name():
            yield facts, state_of(domain)


def destroy(domain: libvirt.virDomain) -> None:
    """End a domain at once; one that has ended is no error."""
    try:
        domain.destroy()
    except libvirt.libvirtError as exc:
        if not is_absent(exc):
            raise
