"""What the catalogue keeps: one numbered record for each decision about images.

It is a stream of its own beside those of the services, in the same ledger store. The
catalogue is a fold over its records (`immutable.images.catalogue.fold`).
"""

from datetime import datetime

import attrs

from immutable.images.catalogue.state import Catalogue
from immutable.model import DeploymentId, Digest, Image, ImageId, ServiceName

SCHEMA = 1


@attrs.frozen(kw_only=True)
class Promoted:
    """A channel means this image from here on."""

    channel: str
    image: Image


@attrs.frozen(kw_only=True)
class Withdrawn:
    """A channel means nothing any more."""

    channel: str


@attrs.frozen(kw_only=True)
class Revoked:
    """An image, and all that was built upon it, is launched no more."""

    image: ImageId
    digests: tuple[Digest, ...]
    """What its bytes are known by, under whatever id."""
    reason: str


@attrs.frozen(kw_only=True)
class Unrevoked:
    """A revocation was an error, or has had its time."""

    image: ImageId
    reason: str


@attrs.frozen(kw_only=True)
class Overridden:
    """One deployment may launch a revoked image; written before it does so."""

    image: ImageId
    revoked: ImageId
    """The image that was revoked: itself, or one that it was built upon."""
    service: ServiceName
    deployment: DeploymentId
    reason: str


@attrs.frozen(kw_only=True)
class Leased:
    """Somebody needs an image for a while; the latest word of each holder counts."""

    image: ImageId
    holder: str
    until: datetime


@attrs.frozen(kw_only=True)
class LeaseEnded:
    """A holder needs an image no more."""

    image: ImageId
    holder: str


@attrs.frozen(kw_only=True)
class Marked:
    """Nothing needs these images now: unless spared, they are deleted after a while."""

    images: tuple[tuple[ImageId, Digest], ...]


@attrs.frozen(kw_only=True)
class Spared:
    """These images are needed after all."""

    images: tuple[ImageId, ...]


@attrs.frozen(kw_only=True)
class Deleting:
    """A marked image is about to be deleted: from here on nobody may launch it."""

    image: ImageId
    run: str
    """Who deletes it; another run takes it over."""


@attrs.frozen(kw_only=True)
class Deleted:
    """An image is gone."""

    image: ImageId


@attrs.frozen(kw_only=True)
class Snapshot:
    """The whole catalogue, so that reading it does not cost more as it grows."""

    catalogue: Catalogue


Entry = (
    Promoted
    | Withdrawn
    | Revoked
    | Unrevoked
    | Overridden
    | Leased
    | LeaseEnded
    | Marked
    | Spared
    | Deleting
    | Deleted
    | Snapshot
)


@attrs.frozen(kw_only=True)
class Record:
    """An entry with its place, time and writer."""

    sequence: int
    at: datetime
    by: str
    """Who decided: as the caller says, else the writing process."""
    snapshot: int
    """The sequence of the latest snapshot at or before this record; 0 for none."""
    nonce: str
    """Told apart from a rival's record after an ambiguous append."""
    entry: Entry
    schema: int = SCHEMA
