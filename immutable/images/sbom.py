"""The software bill of materials of an image: CycloneDX 1.6, as JSON.

Written by hand, and not by a library: a bill belongs to every image, also where no
extra is installed, and equal images have to have equal bytes. That the documents are
valid is tested against the official schema. The format: https://cyclonedx.org/docs/1.6/json/
"""

import itertools
import json
import uuid
from collections.abc import Iterable, Mapping
from datetime import UTC, datetime
from pathlib import Path

from immutable.errors import InvalidInput
from immutable.images.lock import Pin
from immutable.images.packages import (
    Distribution,
    Package,
    distribution_of,
    packages_of,
    pinned,
    purl,
    source_purl,
)
from immutable.model import Digest, ImageId

_JSON = json.JSONEncoder(separators=(",", ":"), sort_keys=True)
_SCHEMA = "http://cyclonedx.org/schema/bom-1.6.schema.json"
# Serial numbers are derived from digests in a space of our own, never drawn.
_SPACE = uuid.uuid5(uuid.NAMESPACE_URL, "pkg:pypi/immutable-deploy#sbom")
_SOURCE = "immutable:source"
# Pins do not say which system they are for.
_ANY = Distribution()
_Component = Mapping[str, object]


def sbom_of(
    root: Path,
    *,
    image: ImageId,
    digest: Digest,
    at: datetime,
    pins: Iterable[Pin] = (),
) -> bytes:
    """Return the bill of materials of an unbooted root.

    Equal roots, images, times and pins give equal bytes. Files that belong to no package
    are not in it, and it says of itself that it is incomplete.

    Args:
        root: the directory that is ``/`` in the image.
        image: the id of the image.
        digest: the digest of the image; the serial number comes from it.
        at: when the bill is made; aware.
        pins: what the image was built from; packages that are among them get its hash.

    Raises:
        InvalidInput: the time is not aware, or a package database is damaged.
        PermissionDenied: the operating system refuses to read the root.
    """
    if at.utcoffset() is None:
        raise InvalidInput(f"{at} has no zone", hint="use datetime.now(UTC)")
    system = distribution_of(root)
    packages = packages_of(root)
    document = {
        "$schema": _SCHEMA,
        "bomFormat": "CycloneDX",
        "specVersion": "1.6",
        "serialNumber": f"urn:uuid:{uuid.uuid5(_SPACE, digest)}",
        "version": 1,
        "metadata": _metadata(image, digest, at),
        "components": [*_system(system), *_components(packages, system, pins)],
        "compositions": [{"aggregate": "incomplete", "assemblies": [image]}],
    }
    return _JSON.encode(document).encode() + b"\n"


def _metadata(image: ImageId, digest: Digest, at: datetime) -> _Component:
    tool = {"type": "application", "name": "immutable-deploy"}
    return {
        "timestamp": at.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%SZ"),
        "tools": {"components": [tool]},
        "component": {
            "type": "container",
            "bom-ref": image,
            "name": image,
            "hashes": [_hash(digest)],
        },
    }


def _system(system: Distribution) -> list[_Component]:
    if not system.id:
        return []
    ref = f"os:{system.id}:{system.version}"
    facts = {"name": system.id, "version": system.version}
    return [{"type": "operating-system", "bom-ref": ref, **facts}]


def _components(
    packages: Iterable[Package], system: Distribution, pins: Iterable[Pin]
) -> list[_Component]:
    """Return one component for each purl; what is there twice has two occurrences."""
    hashes = _hashes(pins)
    ordered = sorted(packages, key=lambda package: (purl(package, system), package))
    groups = itertools.groupby(ordered, key=lambda package: purl(package, system))
    return [_component(ref, tuple(group), system, hashes) for ref, group in groups]


def _hashes(pins: Iterable[Pin]) -> Mapping[str, str]:
    """Return the hash of each package whose pins leave no doubt, by its purl."""
    found: dict[str, set[str]] = {}
    for pin in pins:
        found.setdefault(purl(pinned(pin), _ANY), set()).add(pin.sha256)
    return {ref: min(hashes) for ref, hashes in found.items() if len(hashes) == 1}


def _component(
    ref: str,
    group: tuple[Package, ...],
    system: Distribution,
    hashes: Mapping[str, str],
) -> _Component:
    first = group[0]
    sha256 = hashes.get(purl(first, _ANY))
    origin = source_purl(first, system) if first.source else ""
    places = [{"location": package.place} for package in group if package.place]
    return {
        "type": "library",
        "bom-ref": ref,
        "name": first.name,
        "version": first.version,
        "purl": ref,
        **({"hashes": [_hash(sha256)]} if sha256 else {}),
        **({"properties": [{"name": _SOURCE, "value": origin}]} if origin else {}),
        **({"evidence": {"occurrences": places}} if places else {}),
    }


def _hash(sha256: str) -> Mapping[str, str]:
    return {"alg": "SHA-256", "content": sha256}
