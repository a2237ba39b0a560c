"""What an image was built upon, as far as the backend can still say."""

from collections.abc import Callable

from immutable.images.finding import records_of
from immutable.images.record import ImageRecord
from immutable.model import Digest, Image, ImageId, digest_of
from immutable.protocols import Backend
from immutable.records import ImageRecords

Ancestor = Image | ImageId | Digest
"""An image; the id of one that is gone; or the digest of a stack of layers."""
Ancestors = Callable[[Image], tuple[Ancestor, ...]]
_DEEPEST = 1000


def no_ancestors(_image: Image) -> tuple[Ancestor, ...]:
    """Return none."""
    return ()


def ancestors_in(backend: Backend) -> Ancestors:
    """Return what says what an image was built upon, nearest first.

    That is its parent, and the parent's, to where they end; and where the backend keeps
    how images were made, each stack of layers beneath the image's topmost.
    """
    records = records_of(backend)

    def ancestors(image: Image) -> tuple[Ancestor, ...]:
        found: list[Ancestor] = []
        seen, parent = {image.id}, image.parent
        while parent is not None and parent not in seen and len(seen) < _DEEPEST:
            seen.add(parent)
            known = _known(backend, records, parent)
            # one of which nothing is known can still have been revoked
            found.append(known or parent)
            parent = known.parent if known else None
        record = records.record(image.id) if records else None
        return (*found, *reversed(stacks(record)[:-1] if record else ()))

    return ancestors


def stacks(record: ImageRecord) -> tuple[Digest, ...]:
    """Return a digest for each layer of an image together with all that lie beneath.

    Equal ones mean equal bytes, down to the base. A layer's own digest would not do: what
    starts a service, say, is the same bytes in images that share nothing else.
    """
    contents = [layer.content for layer in record.built]
    return tuple(digest_of("stack", *contents[: n + 1]) for n in range(len(contents)))


def digests_of(backend: Backend, image: ImageId) -> frozenset[Digest]:
    """Return all that an image's bytes are known by: its digest, and its stack of layers."""
    records = records_of(backend)
    record = records.record(image) if records else None
    known = _known(backend, records, image)
    stack = stacks(record)[-1:] if record else ()
    return frozenset({known.digest} if known else ()) | frozenset(stack)


def _known(
    backend: Backend, records: ImageRecords | None, image: ImageId
) -> Image | None:
    """Return an image, or what was kept of one that is gone."""
    found = backend.images.find(image)
    if found is not None or records is None:
        return found
    record = records.record(image)
    return record.image if record else None
