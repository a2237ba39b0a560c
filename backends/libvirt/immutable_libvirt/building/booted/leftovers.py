"""Finding builders that nobody waits for: by their domains, and by their directories."""

from collections.abc import Iterator
from datetime import datetime
from pathlib import Path
from xml.etree.ElementTree import Element, register_namespace

import attrs
import libvirt

from immutable.baking import expiry_of
from immutable_libvirt import domains
from immutable_libvirt.building.booted import places
from immutable_libvirt.errors import is_absent
from immutable_libvirt.xml import add, parse

NAMESPACE = "urn:immutable:builder:1"
PREFIX = "immutable-bake-"
_BUILDER, _TAG = f"{{{NAMESPACE}}}builder", f"{{{NAMESPACE}}}tag"

register_namespace("immutable-builder", NAMESPACE)


@attrs.frozen(kw_only=True)
class Facts:
    """What a builder's domain says of it: its directory, and its tags."""

    place: Path
    tags: tuple[tuple[str, str], ...]

    def to_element(self) -> Element:
        """Return it as an element of the domain's metadata."""
        root = Element(_BUILDER, place=str(self.place))
        for key, value in self.tags:
            add(root, _TAG, key=key, value=value)
        return root


def remove_all(
    connection: libvirt.virConnect, pool: Path, *, now: datetime
) -> tuple[str, ...]:
    """Destroy the builders of a pool that have expired, or whose owners have died.

    What an owner who lives has in its directory is its own to remove. Directories go
    last: as long as there is one, somebody looks for its domain.
    """
    removed = set()
    for domain, facts in builders(connection, pool):
        expires_at = expiry_of(facts.tags)
        is_late = expires_at is None or expires_at < now
        if is_late or not places.is_held(facts.place):
            removed.add(domain.name())
            domains.destroy(domain)
    removed |= {f"{PREFIX}{name}" for name in places.abandoned(pool)}
    return tuple(sorted(removed))


def builders(
    connection: libvirt.virConnect, pool: Path
) -> Iterator[tuple[libvirt.virDomain, Facts]]:
    """Yield the builders of a pool that are on."""
    for domain in connection.listAllDomains():
        facts = _facts_of(domain)
        # A copy that somebody made of a domain has its metadata, but not its name.
        if facts is None or facts.place.parent != pool / "bakes":
            continue
        if domain.name() == f"{PREFIX}{facts.place.name}":
            yield domain, facts


def _facts_of(domain: libvirt.virDomain) -> Facts | None:
    try:
        kind = libvirt.VIR_DOMAIN_METADATA_ELEMENT
        root = parse(domain.metadata(kind, NAMESPACE))
    except ValueError:
        return None
    except libvirt.libvirtError as exc:
        if is_absent(exc):
            return None
        raise
    tags = [(e.get("key", ""), e.get("value", "")) for e in root]
    return Facts(place=Path(root.get("place", "")), tags=tuple(tags))
