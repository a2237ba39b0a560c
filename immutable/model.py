"""The values everything else speaks in: frozen, validated when made, without I/O."""

import enum
import functools
import hashlib
import json
import os
from collections.abc import Iterable, Mapping
from datetime import datetime
from importlib import import_module
from pathlib import Path
from typing import Literal, NewType

import attrs

from immutable.errors import InvalidInput

ServiceName = NewType("ServiceName", str)
FleetName = NewType("FleetName", str)
InstanceId = NewType("InstanceId", str)
ImageId = NewType("ImageId", str)
Digest = NewType("Digest", str)
"""Lower-case hexadecimal SHA-256, 64 characters."""
Token = NewType("Token", str)
"""Names one mutation; the same token again is the same mutation, not a second one."""
Version = NewType("Version", str)
"""What a switch gives with each reading and wants back with each write."""
LedgerId = NewType("LedgerId", str)
DeploymentId = NewType("DeploymentId", str)
ReleaseNumber = NewType("ReleaseNumber", int)

WHOLE = 100
"""The weights of a routing that serves sum to this."""


def digest_of(*parts: object) -> Digest:
    """Return the SHA-256 of JSON values, length-delimited so that no two lists collide."""
    text = json.dumps(parts, sort_keys=True, separators=(",", ":"), ensure_ascii=True)
    return Digest(hashlib.sha256(text.encode()).hexdigest())


def pairs(
    value: Mapping[str, str] | Iterable[tuple[str, str]],
) -> tuple[tuple[str, str], ...]:
    """Return a mapping as sorted pairs: hashable, ordered, and impossible to change."""
    items = value.items() if isinstance(value, Mapping) else value
    return tuple(sorted((str(key), str(item)) for key, item in items))


@attrs.frozen(kw_only=True)
class HealthCheck:
    """What the switch probes on each instance.

    ``path`` is an HTTP path whose answer must be 2xx or 3xx; without it a bare TCP
    connection to ``port`` is enough.
    """

    port: int
    path: str | None = None


@attrs.frozen(kw_only=True)
class Endpoint:
    """Where a client connects, and the headers that make the switch choose this route.

    With ``https`` the certificate must be good for the ``Host`` in the headers, where they
    have one, and else for ``host``.
    """

    host: str
    port: int
    headers: tuple[tuple[str, str], ...] = ()
    scheme: Literal["http", "https"] = "http"

    @property
    def authority(self) -> str:
        """Return host and port, as an URL and a ``Host`` header have them."""
        host = f"[{self.host}]" if ":" in self.host else self.host
        return f"{host}:{self.port}"

    @property
    def url(self) -> str:
        """Return the endpoint as an URL without a trailing slash."""
        return f"{self.scheme}://{self.authority}"


@attrs.frozen(kw_only=True)
class Image:
    """A bootable artefact that never changes.

    ``digest`` covers every byte that an instance can boot from; ``recipe`` is the digest
    of the recipe that made it, and ``parent`` the image it was layered upon.
    """

    id: ImageId
    digest: Digest
    backend: str
    size_bytes: int = 0
    recipe: Digest | None = None
    parent: ImageId | None = None
    built_at: datetime | None = None

    @classmethod
    def from_packer_manifest(
        cls, manifest: str | os.PathLike[str], *, backend: object
    ) -> "Image":
        """Return the image of what a manifest of Packer's tells of, copied to the backend.

        Raises:
            InvalidInput, Unsupported: it, or the artefact, cannot be taken.
        """
        finding = import_module("immutable.images.finding")
        adopted: Image = finding.adopt_manifest(Path(manifest), backend)
        return adopted


@attrs.frozen(kw_only=True)
class Release:
    """An image with its configuration, ports and health check, numbered per service."""

    number: ReleaseNumber
    image: Image
    configuration: tuple[tuple[str, str], ...] = attrs.field(
        default=(), converter=pairs
    )
    ports: tuple[int, ...]
    health: HealthCheck

    @functools.cached_property
    def digest(self) -> Digest:
        """Return the hash over everything that makes this release what it is."""
        health = [self.health.port, self.health.path]
        return digest_of(self.image.digest, self.configuration, self.ports, health)


@attrs.frozen(kw_only=True)
class Tags:
    """What is written on every resource, so that it can be found without the ledger.

    Keys are ``immutable-…`` in ``[a-z0-9-]``, legal for AWS tags, GCP labels and Azure
    tags alike.
    """

    service: ServiceName
    ledger: LedgerId
    deployment: DeploymentId
    release: ReleaseNumber
    digest: Digest
    role: str = "fleet"
    expires_at: datetime | None = None

    def to_mapping(self) -> dict[str, str]:
        """Return the tags as the provider is to store them."""
        tags = {
            "immutable-service": self.service,
            "immutable-ledger": self.ledger,
            "immutable-deployment": self.deployment,
            "immutable-release": str(self.release),
            "immutable-role": self.role,
            "immutable-digest": self.digest[:16],
        }
        if self.expires_at is not None:
            tags["immutable-expires"] = str(int(self.expires_at.timestamp()))
        return tags


@attrs.frozen(kw_only=True)
class FleetSpec:
    """Everything needed to launch a fleet, or to launch it again.

    ``document`` is the configuration that each instance is handed at boot: one line of ASCII
    JSON, without secrets.
    """

    name: FleetName
    image: Image
    document: str
    size: int
    port: int
    tags: Tags
    place: str | None = None
    """The attachment's place, for backends whose launching binds to it."""


class InstanceState(enum.StrEnum):
    """What the provider says of an instance."""

    PENDING = "pending"
    RUNNING = "running"
    GONE = "gone"
    """Confirmed dead, though something of it may be left to clear away."""
    UNKNOWN = "unknown"


@attrs.frozen(kw_only=True)
class Instance:
    """One server of a fleet, as the provider describes it.

    ``digest`` is the first 16 hexadecimal digits of the digest of the release it was
    launched from, read from the provider's own metadata; None when it cannot be read.
    """

    id: InstanceId
    fleet: FleetName
    state: InstanceState
    address: str | None = None
    digest: str | None = None
    launched_at: datetime | None = None
    image: ImageId | None = None
    """The image it was launched from; None when it cannot be read."""
    document: str | None = None
    """The configuration document it was handed; None when it cannot be read."""
    port: int | None = None
    """Where its service is reached; None when that is the service's own port."""


@attrs.frozen(kw_only=True)
class Member:
    """An instance as the switch knows it: an address to send requests to."""

    instance: InstanceId
    address: str
    port: int


@attrs.frozen(kw_only=True)
class FleetView:
    """What the provider says of a fleet: present, with its instances, in order of id.

    ``desired_size`` is None where the provider keeps no such number; then the ledger's
    counts. ``frozen`` is None where it does nothing by itself, see `immutable.groups`.
    """

    name: FleetName
    instances: tuple[Instance, ...]
    desired_size: int | None = None
    tags: tuple[tuple[str, str], ...] = ()
    frozen: bool | None = None
    """The provider neither heals nor scales it at present; False: it does."""

    # A fleet is looked at many times between two readings, so each of these is made once.
    @functools.cached_property
    def alive(self) -> tuple[Instance, ...]:
        """Return the instances that the provider does not call dead."""
        return tuple([i for i in self.instances if i.state is not InstanceState.GONE])

    @functools.cached_property
    def dead(self) -> tuple[Instance, ...]:
        """Return the instances that the provider calls dead."""
        return tuple([i for i in self.instances if i.state is InstanceState.GONE])

    def members(self, port: int) -> tuple[Member, ...]:
        """Return the living instances that have an address, as a switch is to know them.

        Args:
            port: where those are reached that name no port of their own.
        """
        if port not in self._members:
            self._members[port] = tuple(
                Member(instance=i.id, address=i.address, port=i.port or port)
                for i in self.alive
                if i.address is not None
            )
        return self._members[port]

    @functools.cached_property
    def _members(self) -> dict[int, tuple[Member, ...]]:
        return {}


@attrs.frozen(kw_only=True)
class Attachment:
    """A fleet's place at the switch, with the members that joined it."""

    fleet: FleetName
    place: str
    members: tuple[Member, ...] = ()


def _weights(
    value: Mapping[FleetName, int] | Iterable[tuple[FleetName, int]],
) -> tuple[tuple[FleetName, int], ...]:
    items = value.items() if isinstance(value, Mapping) else value
    return tuple(sorted((fleet, weight) for fleet, weight in items if weight))


@attrs.frozen(kw_only=True)
class Routing:
    """Fleet → weight, empty or summing to 100, and the fleet on the preview route."""

    weights: tuple[tuple[FleetName, int], ...] = attrs.field(
        default=(), converter=_weights
    )
    preview: FleetName | None = None

    @weights.validator
    def _whole(
        self, _attribute: object, value: tuple[tuple[FleetName, int], ...]
    ) -> None:
        total = sum(weight for _, weight in value)
        if any(weight < 0 for _, weight in value) or total not in {0, WHOLE}:
            message = f"weights {dict(value)} sum to {total}"
            raise InvalidInput(
                message, hint=f"give none, or whole numbers summing to {WHOLE}"
            )

    def weight_of(self, fleet: FleetName) -> int:
        """Return the share of traffic that a fleet gets, 0 to 100."""
        return dict(self.weights).get(fleet, 0)

    def mentions(self, fleet: FleetName) -> bool:
        """Return whether any request, previewed ones included, can reach the fleet."""
        return self.weight_of(fleet) > 0 or self.preview == fleet


@attrs.frozen(kw_only=True)
class SwitchView:
    """One consistent reading of the switch.

    ``owner`` is the ledger that this switch obeys, None while it has never been written.
    """

    routing: Routing
    version: Version
    attachments: tuple[Attachment, ...] = ()
    owner: LedgerId | None = None

    def attachment_of(self, fleet: FleetName) -> Attachment | None:
        """Return the fleet's attachment, or None when it has none."""
        return next((a for a in self.attachments if a.fleet == fleet), None)


class Health(enum.StrEnum):
    """What the switch's own probes say. ``UNKNOWN`` is not a pass."""

    READY = "ready"
    UNREADY = "unready"
    UNKNOWN = "unknown"


@attrs.frozen(kw_only=True)
class Probe:
    """The switch's verdict on one instance, with the evidence it gives."""

    instance: InstanceId
    health: Health
    evidence: str = ""


class Outcome(enum.StrEnum):
    """How a deployment ended."""

    LIVE = "live"
    ROLLED_BACK = "rolled back"
    """It failed, production is as it was, and nothing is left over."""
    REFUSED = "refused"
    """Nothing was touched."""
    SUPERSEDED = "superseded"
    """Another deployer took over and went on."""
    NEEDS_RECOVERY = "needs recovery"
    """Something is left; it is listed."""


@attrs.frozen(kw_only=True)
class InstanceLog:
    """What an instance said while it lived: readable after it is gone.

    ``console`` is what its kernel and init printed, ``journal`` what its services did.
    """

    instance: InstanceId
    fleet: FleetName
    console: str
    journal: str
