"""What is known of who needs which image: values that retention is decided by."""

from datetime import datetime

import attrs

from immutable.images.catalogue.state import Catalogue
from immutable.model import ImageId, ReleaseNumber, ServiceName


@attrs.frozen(kw_only=True)
class Use:
    """Something that exists and needs an image now."""

    image: ImageId
    why: str


@attrs.frozen(kw_only=True)
class Served:
    """A release that was live, and until when as far as is known."""

    number: ReleaseNumber
    image: ImageId
    until: datetime
    parent: ImageId | None = None
    """What the image was built upon, which need not be listed."""


@attrs.frozen(kw_only=True)
class ServiceFacts:
    """What one service needs, and what it needed once."""

    service: ServiceName
    live: ReleaseNumber | None
    uses: tuple[Use, ...]
    served: tuple[Served, ...]
    """Each release that was ever live, once, ascending."""
    released: frozenset[ImageId]
    """Every image that it ever tried to make live."""


@attrs.frozen(kw_only=True)
class RetentionFacts:
    """What is known of all services that share a backend's images."""

    services: tuple[ServiceFacts, ...]
    catalogues: tuple[Catalogue, ...]
