"""Channels: names for exactly one image, so that what was tested is what runs."""

from datetime import datetime, timedelta

from immutable.durations import duration
from immutable.errors import UnknownImage
from immutable.images.catalogue.checking import check_not_revoked
from immutable.images.catalogue.guard import check_kept
from immutable.images.catalogue.opening import Ledger, id_of, open_catalogue
from immutable.images.catalogue.records import Leased, LeaseEnded, Promoted, Withdrawn
from immutable.images.catalogue.state import Catalogue, Channel
from immutable.images.catalogue.wording import check_channel_name, check_given_reason
from immutable.model import Image
from immutable.protocols import Backend


def promote(
    image: Image | str,
    channel: str,
    *,
    ledger: Ledger,
    backend: str | Backend | None = None,
    by: str | None = None,
) -> Image:
    """Let a channel mean exactly this image; what it means already is not written again.

    Args:
        image: which, or its id.
        channel: two words, as in ``"shop/stable"``.
        ledger: where it is written: a service, an address, or an open ledger.
        backend: where the image is; the service's own when not given.
        by: who decides; this process when not given.

    Returns:
        The image, as it is there now.

    Raises:
        InvalidInput: the channel cannot be named so, or there is no such image.
        Revoked: the image, or one that it was built upon, is revoked.
        Refused: it is being deleted, or is not what it was.
        LedgerError, BackendError: one of them cannot be reached.
    """
    name = check_channel_name(channel)
    opened = open_catalogue(ledger, backend)
    found = opened.meant(image)
    ancestors = opened.ancestors(found)

    def decide(now: Catalogue) -> Promoted | None:
        check_kept(now, found)
        # asked between reading and writing: what deletes it would have written meanwhile
        opened.meant(found)
        check_not_revoked(now, found, ancestors, who=name)
        return None if _means(now, name, found) else Promoted(channel=name, image=found)

    opened.shelf.change(decide, by=by)
    return found


def channel(
    name: str, *, ledger: Ledger, backend: str | Backend | None = None
) -> Image:
    """Return the image that a channel means: exactly its id, and exactly its bytes.

    Args:
        name: of the channel.
        ledger: as in `promote`.
        backend: where the image is to be; the service's own when not given.

    Raises:
        UnknownImage: the channel means nothing, or the image is gone.
        Revoked: it has been revoked since.
        Refused: other bytes are there under its id.
        InvalidInput: nobody has said which backend.
        LedgerError, BackendError: one of them cannot be reached.
    """
    wanted = check_channel_name(name)
    opened = open_catalogue(ledger, backend)
    catalogue = opened.shelf.load()
    known = catalogue.channel(wanted)
    if known is None:
        names = ", ".join(c.name for c in catalogue.channels) or "none"
        raise UnknownImage(
            f"channel {wanted} means no image; those that do: {names}",
            hint="promote() an image to it first",
        )
    found = opened.exactly(known.image)
    check_kept(catalogue, found)
    ancestors = opened.ancestors(found) if catalogue.revocations else ()
    check_not_revoked(catalogue, found, ancestors, who=wanted)
    return found


def channels(*, ledger: Ledger) -> tuple[Channel, ...]:
    """Return what every channel means, since when and by whom, by name.

    Raises:
        LedgerError: the ledger cannot be read.
    """
    return open_catalogue(ledger).shelf.load().channels


def withdraw(name: str, *, ledger: Ledger, by: str | None = None) -> None:
    """Let a channel mean nothing any more; one that means nothing is no error.

    Raises:
        LedgerError: the ledger cannot be written.
    """
    wanted = check_channel_name(name)
    open_catalogue(ledger).shelf.change(
        lambda now: Withdrawn(channel=wanted) if now.channel(wanted) else None, by=by
    )


def lease(
    image: Image | str,
    holder: str,
    *,
    lasting: timedelta | str,
    ledger: Ledger,
) -> datetime:
    """Keep an image from being deleted for a while, whoever else needs it or not.

    Args:
        image: which, or its id.
        holder: who needs it; the latest lease of each holder counts.
        lasting: from now on.
        ledger: as in `promote`.

    Returns:
        When the lease ends.

    Raises:
        UnknownImage: there is no such image, as far as is known where to look.
        Refused: the image is being deleted.
        LedgerError: the ledger cannot be written.
    """
    wanted, who = id_of(image), check_given_reason(holder)
    opened = open_catalogue(ledger)
    until = opened.host.now() + duration(lasting)

    def decide(now: Catalogue) -> Leased:
        check_kept(now, wanted)
        if opened.backend and opened.backend.images.find(wanted) is None:
            raise UnknownImage(
                f"{opened.backend.name} has no image {wanted!r}",
                hint="check its id and the backend's address",
            )
        return Leased(image=wanted, holder=who, until=until)

    opened.shelf.change(decide)
    return until


def end_lease(image: Image | str, holder: str, *, ledger: Ledger) -> None:
    """Let a holder need an image no more; a lease that is not there is no error.

    Raises:
        LedgerError: the ledger cannot be written.
    """
    wanted = id_of(image)

    def decide(now: Catalogue) -> LeaseEnded | None:
        held = any((x.image, x.holder) == (wanted, holder) for x in now.leases)
        return LeaseEnded(image=wanted, holder=holder) if held else None

    open_catalogue(ledger).shelf.change(decide)


def _means(now: Catalogue, name: str, image: Image) -> bool:
    known = now.channel(name)
    meant = known.image if known else None
    return meant is not None and (meant.id, meant.digest) == (image.id, image.digest)
