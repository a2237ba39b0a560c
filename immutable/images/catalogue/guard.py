"""What stands before every launch: nothing revoked, nothing that is being deleted."""

from collections.abc import Iterable

import attrs

from immutable.errors import BackendError, Refused
from immutable.images.catalogue.checking import (
    check_not_revoked,
    explained,
    revocation_of,
)
from immutable.images.catalogue.lineage import Ancestor, ancestors_in
from immutable.images.catalogue.records import Entry, Overridden, Spared
from immutable.images.catalogue.shelf import Shelf
from immutable.images.catalogue.state import EMPTY, Catalogue, Revocation
from immutable.model import DeploymentId, Image, ImageId, Release, ServiceName
from immutable.protocols import Backend


@attrs.frozen(kw_only=True)
class Guard:
    """Asked once by every call that is about to launch instances.

    Without a shelf it lets everything pass: where there is no catalogue, nothing is revoked.
    """

    shelf: Shelf | None = None
    backend: Backend | None = None

    def load(self) -> Catalogue:
        """Return the catalogue as it is now.

        Raises:
            LedgerError: it cannot be read or trusted.
        """
        return self.shelf.load() if self.shelf else EMPTY

    def check(
        self,
        image: Image,
        *,
        service: ServiceName,
        override: str | None = None,
        catalogue: Catalogue | None = None,
    ) -> None:
        """Refuse what `admit` would refuse, and write nothing.

        Raises:
            Revoked: the image is revoked, or was built upon one that is.
            Refused: it is being deleted.
        """
        catalogue = self.load() if catalogue is None else catalogue
        check_kept(catalogue, image)
        check_not_revoked(
            catalogue, image, self._ancestors(catalogue, image), override, who=service
        )

    def admit(
        self,
        image: Image,
        *,
        service: ServiceName,
        deployment: DeploymentId,
        override: str | None = None,
        standing: Iterable[DeploymentId] = (),
        catalogue: Catalogue | None = None,
    ) -> None:
        """Let a deployment launch an image, or refuse it. Writes what has to be known.

        An image that is marked for deletion is spared: who deletes and who launches write
        to one stream by compare-and-set, so one of them is first.

        Args:
            image: what is to be launched.
            service: whose fleet.
            deployment: which launches it.
            override: why a revoked image may be launched all the same; journalled here.
            standing: deployments of this service for which it was allowed already, if it
                was; asked only where there are overrides of this image.
            catalogue: as it was read in this very call; read anew when not given.

        Raises:
            Revoked: the image is revoked, or was built upon one that is.
            Refused: it is being deleted.
            BackendError: it was deleted meanwhile.
            LedgerError: the catalogue cannot be read or written.
        """
        if self.shelf is None:
            return
        catalogue = self.shelf.load() if catalogue is None else catalogue
        ancestors = self._ancestors(catalogue, image)
        accepted = override or _allowed_before(catalogue, image, service, standing)
        found = check_not_revoked(catalogue, image, ancestors, accepted, who=service)
        self._spare(catalogue, image)
        if found is not None and override is not None:
            entry = _overridden(found, image, service, deployment, override)
            self.shelf.change(lambda _: entry)

    def first_allowed(
        self, releases: Iterable[Release], catalogue: Catalogue
    ) -> tuple[Release | None, tuple[str, ...]]:
        """Return the first release that may be launched, and why those before it may not."""
        skipped: list[str] = []
        for release in releases:
            ancestors = self._ancestors(catalogue, release.image)
            found = revocation_of(catalogue, release.image, ancestors)
            if found is None:
                return release, tuple(skipped)
            skipped.append(
                f"v{release.number} is skipped: {explained(found, release.image)}"
            )
        return None, tuple(skipped)

    def ancestors(self, image: Image) -> tuple[Ancestor, ...]:
        """Return what an image was built upon, nearest first."""
        if self.backend is None or self.shelf is None:
            return ()
        walk = ancestors_in(self.backend)
        return self.shelf.ask(lambda: walk(image))

    def _ancestors(self, catalogue: Catalogue, image: Image) -> tuple[Ancestor, ...]:
        # nobody pays for what cannot matter
        return self.ancestors(image) if catalogue.revocations else ()

    def _spare(self, catalogue: Catalogue, image: Image) -> None:
        check_kept(catalogue, image)
        if self.shelf is not None and _marked(catalogue, image):
            self.shelf.change(lambda now: self._sparing(now, image))

    def _sparing(self, catalogue: Catalogue, image: Image) -> Entry | None:
        check_kept(catalogue, image)
        # asked between reading and writing: what deletes it would have written meanwhile
        if not self._is_there(image):
            raise BackendError(
                f"image {image.id} is gone", hint="build it again from its recipe"
            )
        marked = _marked(catalogue, image)
        return Spared(images=marked) if marked else None

    def _is_there(self, image: Image) -> bool:
        if self.backend is None or self.shelf is None:
            return True
        find = self.backend.images.find
        return self.shelf.ask(lambda: find(image.id)) is not None


def _allowed_before(
    catalogue: Catalogue,
    image: Image,
    service: ServiceName,
    standing: Iterable[DeploymentId],
) -> str | None:
    allowed = catalogue.allowed(image.id, service)
    # going through what stands may read the whole ledger
    before = bool(allowed) and any(each in allowed for each in standing)
    return "as before" if before else None


def _overridden(
    revocation: Revocation,
    image: Image,
    service: ServiceName,
    deployment: DeploymentId,
    reason: str,
) -> Overridden:
    return Overridden(
        image=image.id,
        revoked=revocation.image,
        service=service,
        deployment=deployment,
        reason=reason,
    )


def check_kept(catalogue: Catalogue, image: Image | ImageId) -> None:
    """Refuse an image that is being deleted.

    Raises:
        Refused: saying so.
    """
    name = image.id if isinstance(image, Image) else image
    mark = catalogue.mark(name)
    if mark is not None and mark.deleting:
        raise Refused(
            f"image {name} is being deleted: nothing needed it",
            hint="wait until it is gone, and build it again",
            resource=name,
        )


def _marked(catalogue: Catalogue, image: Image) -> tuple[ImageId, ...]:
    """Return the image and its parent, as far as they are marked and can be spared."""
    own = catalogue.mark(image.id)
    parent = catalogue.mark(image.parent) if image.parent else None
    marks = [own] if own else []
    marks += [parent] if parent and not parent.deleting else []
    return tuple(mark.image for mark in marks)
