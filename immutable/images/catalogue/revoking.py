"""Revocations: what is launched no more, nor anything that was built upon it."""

from immutable.errors import InvalidInput, UnknownImage
from immutable.images.catalogue.lineage import digests_of
from immutable.images.catalogue.opening import Ledger, Opened, id_of, open_catalogue
from immutable.images.catalogue.records import Revoked, Unrevoked
from immutable.images.catalogue.state import Catalogue, Override, Revocation
from immutable.images.catalogue.wording import check_given_reason
from immutable.model import Digest, Image, ImageId
from immutable.protocols import Backend


def revoke(
    image: Image | str,
    reason: str,
    *,
    ledger: Ledger,
    backend: str | Backend | None = None,
    by: str | None = None,
) -> Revocation:
    """Let nothing be launched from an image any more, nor from what was built upon it.

    What runs goes on running: `affected` lists it, with what could replace it. The same
    reason again writes nothing. An image that is gone can be revoked, too, and so can one
    of another machine's pool that shares the ledger: by its `Image`, or by its id where
    nothing but the address of the ledger is given, which knows no images to compare with.

    Args:
        image: which, or its id. By value, the same bytes under another id count, too.
        reason: a line that whoever is refused will read.
        ledger: as in `promote`; every service that is to obey it has to have this one.
        backend: where the image is; the service's own when not given.
        by: who decides; this process when not given.

    Raises:
        InvalidInput: it is no image, or the reason cannot be read.
        UnknownImage: neither the backend nor the ledger has heard of this id.
        LedgerError, BackendError: one of them cannot be reached.
    """
    why, wanted = check_given_reason(reason), id_of(image)
    opened = open_catalogue(ledger, backend)
    digests = _digests(image, opened.backend)
    _check_known(image, opened, digests)

    def decide(now: Catalogue) -> Revoked | None:
        return _entry(now, wanted, why, digests)

    after = opened.shelf.change(decide, by=by).revocation(wanted)
    if after is None:
        raise AssertionError("what was revoked is not")
    return after


def _entry(
    now: Catalogue, image: ImageId, reason: str, digests: frozenset[Digest]
) -> Revoked | None:
    """Return what is to be written; None where that very thing is in force."""
    known = now.revocation(image)
    before = set(known.digests) if known else set[Digest]()
    if known and known.reason == reason and digests <= before:
        return None
    return Revoked(image=image, digests=tuple(sorted(before | digests)), reason=reason)


def _check_known(
    image: Image | str, opened: Opened, digests: frozenset[Digest]
) -> None:
    """Refuse an id that means nothing here: what was meant would still be launched."""
    if isinstance(image, Image) or digests or opened.backend is None:
        return
    if not opened.shelf.load().knows(id_of(image)):
        raise UnknownImage(
            f"{opened.backend.name} has no image {image!r:.80}, and had none that the"
            " ledger knows",
            hint="check the id; give the Image, or the ledger's address and no backend,"
            " for one that is gone or in another pool",
        )


def _digests(image: Image | str, backend: Backend | None) -> frozenset[Digest]:
    given = frozenset({image.digest} if isinstance(image, Image) else ())
    return given if backend is None else given | digests_of(backend, id_of(image))


def unrevoke(
    image: Image | str, reason: str, *, ledger: Ledger, by: str | None = None
) -> None:
    """Take a revocation back; the reason stays in the ledger.

    Raises:
        InvalidInput: this very image is not revoked, or the reason cannot be read.
        LedgerError: the ledger cannot be written.
    """
    why, wanted = check_given_reason(reason), id_of(image)

    def decide(now: Catalogue) -> Unrevoked:
        if now.revocation(wanted) is None:
            names = ", ".join(r.image for r in now.revocations) or "none"
            raise InvalidInput(
                f"image {wanted} is not revoked itself", hint=f"revoked are: {names}"
            )
        return Unrevoked(image=wanted, reason=why)

    open_catalogue(ledger).shelf.change(decide, by=by)


def revocations(*, ledger: Ledger) -> tuple[Revocation, ...]:
    """Return what is revoked, why, since when and by whom, oldest first.

    Raises:
        LedgerError: the ledger cannot be read.
    """
    return open_catalogue(ledger).shelf.load().revocations


def overrides(*, ledger: Ledger) -> tuple[Override, ...]:
    """Return the latest deployments that were allowed to launch revoked images.

    Raises:
        LedgerError: the ledger cannot be read.
    """
    return open_catalogue(ledger).shelf.load().overrides
