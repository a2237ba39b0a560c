"""Whether an image may be launched, or built upon. Pure."""

from immutable.errors import Revoked
from immutable.images.catalogue.lineage import Ancestor
from immutable.images.catalogue.state import Catalogue, Revocation
from immutable.model import Image


def revocation_of(
    catalogue: Catalogue, image: Image, ancestors: tuple[Ancestor, ...]
) -> Revocation | None:
    """Return why an image is revoked, itself or by what it was built upon; None: it is not.

    Args:
        catalogue: what is known of revocations.
        image: which.
        ancestors: what it was built upon, nearest first.
    """
    for member in (image, *ancestors):
        for revocation in catalogue.revocations:
            if is_meant(revocation, member):
                return revocation
    return None


def is_meant(revocation: Revocation, member: Ancestor) -> bool:
    """Return whether a revocation is of exactly this image or layer, under any id."""
    if isinstance(member, Image):
        return member.id == revocation.image or member.digest in revocation.digests
    return member == revocation.image or member in revocation.digests


def explained(revocation: Revocation, image: Image) -> str:
    """Return in words why an image is revoked."""
    if is_meant(revocation, image):
        return f"image {image.id} is revoked: {revocation.reason}"
    return (
        f"image {image.id} was built upon {revocation.image}, "
        f"which is revoked: {revocation.reason}"
    )


def check_not_revoked(
    catalogue: Catalogue,
    image: Image,
    ancestors: tuple[Ancestor, ...],
    override: str | None = None,
    *,
    who: str = "",
) -> Revocation | None:
    """Refuse an image that is revoked, or was built upon one that is.

    Args:
        catalogue: what is known of revocations.
        image: what is to be launched or built upon.
        ancestors: what it was built upon, nearest first.
        override: why it may be used all the same.
        who: what needs it, for the message.

    Returns:
        The revocation that is overridden and so has to be journalled; None: there is none.

    Raises:
        Revoked: it is revoked and nobody has said why it may be used all the same.
    """
    found = revocation_of(catalogue, image, ancestors)
    if found is None or override is not None:
        return found
    message = explained(found, image)
    raise Revoked(
        f"{who}: {message}" if who else message,
        hint="use an image that is not; affected() lists what runs it, "
        "and allow_revoked= with a reason accepts it",
        resource=image.id,
    )
