"""Opening the catalogue that a ledger holds, and the backend whose images it is about."""

import attrs

from immutable import host, registry
from immutable.errors import InvalidInput, UnknownImage
from immutable.host import Host
from immutable.images.catalogue.lineage import Ancestors, ancestors_in, no_ancestors
from immutable.images.catalogue.shelf import Shelf
from immutable.images.finding import check_same
from immutable.model import Image, ImageId, ServiceName
from immutable.protocols import Backend, LedgerStore
from immutable.service import Service

Ledger = str | LedgerStore | Service
"""A ledger's address, an open one, or a service: then it is that service's own."""
_GONE = "build it again, rebuild() it from its record, or check the backend's address"
_NOBODY = ServiceName("images")


@attrs.frozen(kw_only=True)
class Opened:
    """A catalogue, and the backend of its images, as far as one is known."""

    shelf: Shelf
    host: Host
    backend: Backend | None

    @property
    def ancestors(self) -> Ancestors:
        """Return what says what an image was built upon."""
        return ancestors_in(self.backend) if self.backend else no_ancestors

    def images(self) -> Backend:
        """Return the backend.

        Raises:
            InvalidInput: none is known.
        """
        if self.backend is None:
            raise InvalidInput(
                "nobody has said where the image is", hint="give backend=, or a Service"
            )
        return self.backend

    def exactly(self, image: Image) -> Image:
        """Return the image as it is there now.

        Raises:
            UnknownImage: it is there no more.
            Refused: other bytes are there under its id.
        """
        backend = self.images()
        found = backend.images.find(image.id)
        if found is None:
            raise UnknownImage(
                f"{backend.name} has no image {image.id!r}",
                hint=_GONE,
            )
        check_same(found, image)
        return found

    def meant(self, image: Image | str) -> Image:
        """Return the image that is meant, by value or by id, as it is there now.

        Raises:
            InvalidInput: it is neither, or cannot be looked for.
            Refused: other bytes are there under its id.
        """
        if isinstance(image, Image):
            return self.exactly(image) if self.backend else image
        backend = self.images()
        found = backend.images.find(id_of(image))
        if found is None:
            raise UnknownImage(f"{backend.name} has no image {image!r}", hint=_GONE)
        return found


def open_catalogue(ledger: Ledger, backend: str | Backend | None = None) -> Opened:
    """Open a catalogue. Nothing is read or changed by it.

    Raises:
        InvalidInput: an address cannot be used.
    """
    if isinstance(ledger, Service):
        opened = registry.open_backend(ledger.backend if backend is None else backend)
        store = registry.open_ledger(ledger.ledger, ledger.name, opened)
        return _opened(store, opened)
    known = None if backend is None else registry.open_backend(backend)
    return _opened(registry.open_ledger(ledger, _NOBODY), known)


def id_of(image: object) -> ImageId:
    """Return the id of an image that is given by value or by id.

    Raises:
        InvalidInput: it is neither.
    """
    if isinstance(image, Image):
        return image.id
    if not isinstance(image, str) or not image:
        raise InvalidInput(f"{image!r:.80} is no image", hint="give an Image or its id")
    return ImageId(image)


def _opened(store: LedgerStore, backend: Backend | None) -> Opened:
    here = host.current() if backend is None else host.of(backend)
    return Opened(shelf=Shelf(store, here), host=here, backend=backend)
