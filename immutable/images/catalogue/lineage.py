"""What an image was built upon, as far as the backend can still say."""

from collections.abc import Callable

from immutable.model import Digest, Image, ImageId
from immutable.protocols import Images

Ancestor = Image | ImageId | Digest
"""An image; the id of one that is gone; or the digest of a layer that is inside."""
Ancestors = Callable[[Image], tuple[Ancestor, ...]]
_DEEPEST = 1000


def no_ancestors(_image: Image) -> tuple[Ancestor, ...]:
    """Return none."""
    return ()


def ancestors_in(images: Images) -> Ancestors:
    """Return what follows the parents of an image, nearest first, to where they end."""

    def ancestors(image: Image) -> tuple[Ancestor, ...]:
        found: list[Ancestor] = []
        seen, parent = {image.id}, image.parent
        while parent is not None and parent not in seen and len(seen) < _DEEPEST:
            seen.add(parent)
            known = images.find(parent)
            # one that is gone can still have been revoked
            found.append(known or parent)
            parent = known.parent if known else None
        return tuple(found)

    return ancestors
