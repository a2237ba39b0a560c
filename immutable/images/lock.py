"""A lock: the exact packages that each layer of a recipe is made of, by hash."""

import json
import re
from collections.abc import Iterable, Mapping

import attrs

from immutable.documents import Format
from immutable.images.brief import count, few
from immutable.model import Digest, digest_of

SCHEMA = 1
BOOT = Digest("boot")
"""The entry for what a backend adds to boot an image: kernel, initramfs."""
_FORMAT = Format(
    what="the lock",
    kind="lock",
    schema=SCHEMA,
    hint="give the text that to_json() wrote, or lock again",
)


@attrs.frozen(kw_only=True)
class Pin:
    """One file that a layer is made of, known by its hash wherever it comes from.

    ``origin`` says where it was found, as ``"debian bookworm"`` or ``"pypi"``; ``file``
    is the name that the tool which installs it wants it to have.
    """

    name: str
    version: str
    architecture: str = ""
    file: str
    sha256: str
    size_bytes: int
    origin: str


@attrs.frozen(kw_only=True)
class Entry:
    """The pins of one layer, known by the layer's digest without any lock.

    ``what`` is for people: ``"base debian:12"``, ``"packages nginx"``.
    """

    layer: Digest
    what: str
    pins: tuple[Pin, ...] = attrs.field(repr=few)

    @property
    def digest(self) -> Digest:
        """Return the digest of what gets installed: not of where it was found."""
        return digest_of(
            "pins", [(p.name, p.version, p.architecture, p.sha256) for p in self.pins]
        )


@attrs.frozen(kw_only=True)
class Lock:
    """What `Recipe.lock` found: a value that can be written to a file and kept.

    Printed, it is a line for each layer; `to_json` writes all of it.

    >>> Lock().to_json() == Lock.from_json(Lock().to_json()).to_json()
    True
    """

    entries: tuple[Entry, ...] = ()

    def find(self, layer: Digest) -> Entry | None:
        """Return the pins of a layer; None where the lock knows nothing of it."""
        return next((entry for entry in self.entries if entry.layer == layer), None)

    def of(self, layers: Iterable[Digest]) -> "Lock":
        """Return what the lock holds of these layers, in their order."""
        found = (self.find(layer) for layer in layers)
        return Lock(entries=tuple(entry for entry in found if entry))

    def holding(self, entry: Entry) -> "Lock":
        """Return the lock with the pins of one more layer."""
        return Lock(entries=(*self.entries, entry))

    def bind(self, keys: tuple[Digest, ...]) -> tuple[Digest, ...]:
        """Return a recipe's chain of digests with what is pinned, from the one without."""
        held, bound = list[Digest](), list[Digest]()
        for key in keys:
            entry = self.find(key)
            held += [entry.digest] if entry else []
            bound.append(digest_of("locked", key, held) if held else key)
        return tuple(bound)

    def seal(self, digest: Digest) -> Digest:
        """Return the digest of a whole recipe with what its image boots by."""
        boot = self.find(BOOT)
        return digest_of("booted", digest, boot.digest) if boot else digest

    def __str__(self) -> str:
        """Return how many packages each layer is locked to."""
        lines = [f"  {e.what}: {count(len(e.pins), 'package')}" for e in self.entries]
        return "\n".join(["lock", *lines])

    def to_json(self) -> str:
        """Return the lock as text, the same for equal locks, for a file beside the recipe."""
        document = {"schema": SCHEMA, **attrs.asdict(self)}
        return json.dumps(document, indent=1, sort_keys=True) + "\n"

    @classmethod
    def from_json(cls, text: str) -> "Lock":
        """Return the lock that `to_json` wrote.

        Raises:
            InvalidInput: it is something else, is damaged, or is of a newer version.
        """
        return _FORMAT.read(text, _lock)


def _lock(fields: Mapping[str, object]) -> Lock:
    return Lock(entries=tuple(map(_entry, _listed(fields["entries"]))))


def _listed(value: object) -> "list[dict[str, object]]":
    if not isinstance(value, list):
        raise TypeError(f"{value!r} is no list")
    return value


def _entry(fields: Mapping[str, object]) -> Entry:
    pins = _listed(fields["pins"])
    return Entry(
        layer=Digest(str(fields["layer"])),
        what=str(fields["what"]),
        pins=tuple(map(_pin, pins)),
    )


def _pin(fields: Mapping[str, object]) -> Pin:
    return Pin(
        name=str(fields["name"]),
        version=str(fields["version"]),
        architecture=str(fields["architecture"]),
        file=str(fields["file"]),
        sha256=_sha256(fields["sha256"]),
        size_bytes=int(str(fields["size_bytes"])),
        origin=str(fields["origin"]),
    )


def _sha256(value: object) -> str:
    if not isinstance(value, str) or not re.fullmatch("[0-9a-f]{64}", value):
        raise ValueError(f"{value!r} is no SHA-256")
    return value
