"""What the catalogue's records add up to."""

from datetime import datetime

import attrs

from immutable.model import DeploymentId, Digest, Image, ImageId, ServiceName


@attrs.frozen(kw_only=True)
class Channel:
    """A name for exactly one image: what was tested here is what the next one runs."""

    name: str
    image: Image
    at: datetime
    by: str


@attrs.frozen(kw_only=True)
class Revocation:
    """An image that nothing may be launched from, nor from its descendants, and why."""

    image: ImageId
    digests: tuple[Digest, ...]
    reason: str
    at: datetime
    by: str


@attrs.frozen(kw_only=True)
class Override:
    """A deployment that may launch a revoked image all the same, and why."""

    image: ImageId
    revoked: ImageId
    service: ServiceName
    deployment: DeploymentId
    reason: str
    at: datetime
    by: str


@attrs.frozen(kw_only=True)
class Lease:
    """Somebody who needs an image until a time."""

    image: ImageId
    holder: str
    until: datetime


@attrs.frozen(kw_only=True)
class Mark:
    """An image that nothing needed when it was marked."""

    image: ImageId
    digest: Digest
    at: datetime
    deleting: str = ""
    """The run that is deleting it; empty before."""
    deleting_at: datetime | None = None


@attrs.frozen(kw_only=True)
class Catalogue:
    """Which image each channel means, what is revoked, leased, and marked for deletion."""

    sequence: int = 0
    snapshot: int = 0
    channels: tuple[Channel, ...] = ()
    revocations: tuple[Revocation, ...] = ()
    overrides: tuple[Override, ...] = ()
    """The latest; older ones are in history."""
    leases: tuple[Lease, ...] = ()
    marks: tuple[Mark, ...] = ()

    def channel(self, name: str) -> Channel | None:
        """Return what a channel means, or None when it means nothing."""
        return next((c for c in self.channels if c.name == name), None)

    def revocation(self, image: ImageId) -> Revocation | None:
        """Return the revocation of exactly this image; descendants are another matter."""
        return next((r for r in self.revocations if r.image == image), None)

    def mark(self, image: ImageId) -> Mark | None:
        """Return an image's mark, or None when it has none."""
        return next((m for m in self.marks if m.image == image), None)

    def knows(self, image: ImageId) -> bool:
        """Return whether anything is said of an image."""
        return (
            any(channel.image.id == image for channel in self.channels)
            or any(override.image == image for override in self.overrides)
            or any(lease.image == image for lease in self.leases)
            or self.revocation(image) is not None
            or self.mark(image) is not None
        )

    def allowed(self, image: ImageId, service: ServiceName) -> frozenset[DeploymentId]:
        """Return which deployments of a service may launch an image, though it is revoked."""
        known = (o for o in self.overrides if (o.image, o.service) == (image, service))
        return frozenset(override.deployment for override in known)


EMPTY = Catalogue()
"""What no records add up to."""
