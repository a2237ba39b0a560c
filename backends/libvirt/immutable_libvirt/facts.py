"""What is known of an instance from outside: kept in its domain and its directory."""

import json
import re
from datetime import UTC, datetime
from ipaddress import IPv4Address

import attrs

from immutable.errors import InvalidInput
from immutable.model import FleetName, FleetSpec, ImageId, InstanceId, pairs

SCHEMA = 1
_NAME = re.compile(r"[a-z0-9][a-z0-9-]{0,62}")
# XML 1.0 has no way to write other control characters, nor surrogates.
_DOCUMENT = re.compile(r"[\x20-\x7e]*")
_TEXT = re.compile(r"[\x20-\x7e]{0,255}")


def check_name(name: str) -> str:
    """Return a name that is safe as a domain, a directory and a host name.

    Raises:
        InvalidInput: it is not 1 to 63 of ``[a-z0-9-]``.
    """
    if not _NAME.fullmatch(name):
        hint = "use 1 to 63 of a-z, 0-9 and hyphens"
        raise InvalidInput(f"libvirt: {name!r} cannot name an instance", hint=hint)
    return name


def check_text(value: str) -> str:
    """Return a value that every place where facts are kept can hold.

    Raises:
        InvalidInput: it is longer than 255 characters or not printable ASCII.
    """
    if not _TEXT.fullmatch(value):
        hint = "use up to 255 printable ASCII characters"
        raise InvalidInput(f"libvirt: {value!r} cannot be kept as metadata", hint=hint)
    return value


@attrs.frozen(kw_only=True)
class InstanceFacts:
    """One instance: its name, fleet, image, address and tags, and when it was made."""

    name: InstanceId
    fleet: FleetName
    image: ImageId
    address: IPv4Address
    launched_at: datetime
    tags: tuple[tuple[str, str], ...] = attrs.field(converter=pairs)
    document: str = ""
    """The configuration document it was handed; empty when it was made without one."""

    def __attrs_post_init__(self) -> None:
        """Refuse what a domain, a directory or a line of XML could not hold."""
        for name in (self.name, self.fleet, *(key for key, _ in self.tags)):
            check_name(name)
        if not _DOCUMENT.fullmatch(self.document):
            raise InvalidInput("libvirt: the document is not one line of ASCII JSON")
        for text in (self.image, *(value for _, value in self.tags)):
            check_text(text)

    @property
    def digest(self) -> str | None:
        """Return the first 16 hexadecimal digits of the release's digest."""
        return dict(self.tags).get("immutable-digest")

    def to_json(self) -> str:
        """Return the facts as JSON text."""
        return json.dumps(
            {
                "schema": SCHEMA,
                "name": self.name,
                "fleet": self.fleet,
                "image": self.image,
                "address": str(self.address),
                "launched_at": self.launched_at.isoformat(),
                "tags": dict(self.tags),
                "document": self.document,
            },
            indent=1,
        )


def facts_of(
    spec: FleetSpec, *, name: str, address: IPv4Address, now: datetime
) -> InstanceFacts:
    """Return the facts of an instance that is about to be made.

    Raises:
        InvalidInput: a name or a tag cannot be kept.
    """
    return InstanceFacts(
        name=InstanceId(name),
        fleet=spec.name,
        image=spec.image.id,
        address=address,
        launched_at=now.astimezone(UTC),
        tags=spec.tags.to_mapping(),
        document=spec.document,
    )


def from_json(text: str) -> InstanceFacts:
    """Return what `InstanceFacts.to_json` wrote.

    Raises:
        ValueError: it is something else.
    """
    try:
        data = json.loads(text)
        return InstanceFacts(
            name=data["name"],
            fleet=data["fleet"],
            image=data["image"],
            address=IPv4Address(data["address"]),
            launched_at=datetime.fromisoformat(data["launched_at"]),
            tags=data["tags"],
            document=data.get("document", ""),
        )
    except (KeyError, TypeError, AttributeError) as exc:
        raise ValueError(f"not the facts of an instance: {exc}") from exc
