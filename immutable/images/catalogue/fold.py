"""From one catalogue to the next: pure and total."""

from datetime import datetime, timedelta

import attrs

from immutable.images.catalogue.records import (
    Deleted,
    Deleting,
    Leased,
    LeaseEnded,
    Marked,
    Overridden,
    Promoted,
    Record,
    Revoked,
    Snapshot,
    Spared,
    Unrevoked,
    Withdrawn,
)
from immutable.images.catalogue.state import (
    Catalogue,
    Channel,
    Lease,
    Mark,
    Override,
    Revocation,
)
from immutable.model import ImageId

REMEMBERED = timedelta(days=30)
"""So long a lease that has ended is still known: whoever held it may have died."""
OVERRIDES_KEPT = 100
"""So many overrides stay in the catalogue; older ones are in history."""


def fold(catalogue: Catalogue, record: Record) -> Catalogue:
    """Return the catalogue after one more record."""
    return attrs.evolve(
        _folded(catalogue, record), sequence=record.sequence, snapshot=record.snapshot
    )


def _folded(catalogue: Catalogue, record: Record) -> Catalogue:
    match record.entry:
        case Promoted() | Withdrawn():
            return _channelled(catalogue, record, record.entry)
        case Revoked() | Unrevoked() | Overridden():
            return _judged(catalogue, record, record.entry)
        case Leased() | LeaseEnded():
            return _leased(catalogue, record.entry, record.at)
        case Marked() | Spared() | Deleting() | Deleted():
            return _marked(catalogue, record.entry, record.at)
        case Snapshot(catalogue=whole):
            return whole


def _channelled(
    catalogue: Catalogue, record: Record, entry: Promoted | Withdrawn
) -> Catalogue:
    others = tuple(c for c in catalogue.channels if c.name != entry.channel)
    if isinstance(entry, Withdrawn):
        return attrs.evolve(catalogue, channels=others)
    channel = Channel(name=entry.channel, image=entry.image, at=record.at, by=record.by)
    known = sorted((*others, channel), key=lambda c: c.name)
    catalogue = _spared(catalogue, entry.image.id)
    return attrs.evolve(catalogue, channels=tuple(known))


def _judged(
    catalogue: Catalogue, record: Record, entry: Revoked | Unrevoked | Overridden
) -> Catalogue:
    if isinstance(entry, Overridden):
        override = Override(
            image=entry.image,
            revoked=entry.revoked,
            service=entry.service,
            deployment=entry.deployment,
            reason=entry.reason,
            at=record.at,
            by=record.by,
        )
        latest = (*catalogue.overrides, override)[-OVERRIDES_KEPT:]
        return attrs.evolve(catalogue, overrides=latest)
    others = tuple(r for r in catalogue.revocations if r.image != entry.image)
    if isinstance(entry, Revoked):
        others += (_revocation(entry, record),)
    # what was allowed was allowed of the revocation as it stood then
    left = tuple(o for o in catalogue.overrides if o.revoked != entry.image)
    return attrs.evolve(catalogue, revocations=others, overrides=left)


def _revocation(entry: Revoked, record: Record) -> Revocation:
    return Revocation(
        image=entry.image,
        digests=entry.digests,
        reason=entry.reason,
        at=record.at,
        by=record.by,
    )


def _leased(
    catalogue: Catalogue, entry: Leased | LeaseEnded, at: datetime
) -> Catalogue:
    mine = (entry.image, entry.holder)
    others = tuple(
        lease
        for lease in catalogue.leases
        if (lease.image, lease.holder) != mine and lease.until + REMEMBERED > at
    )
    if isinstance(entry, LeaseEnded):
        return attrs.evolve(catalogue, leases=others)
    lease = Lease(image=entry.image, holder=entry.holder, until=entry.until)
    catalogue = _spared(catalogue, entry.image)
    return attrs.evolve(catalogue, leases=(*others, lease))


def _marked(
    catalogue: Catalogue, entry: Marked | Spared | Deleting | Deleted, at: datetime
) -> Catalogue:
    match entry:
        case Marked(images=images):
            known = {mark.image: mark for mark in catalogue.marks}
            for image, digest in images:
                known.setdefault(image, Mark(image=image, digest=digest, at=at))
            return attrs.evolve(catalogue, marks=tuple(known.values()))
        case Spared(images=images):
            return _spared(catalogue, *images)
        case Deleting(image=image, run=run):
            marks = tuple(
                attrs.evolve(mark, deleting=run, deleting_at=at)
                if mark.image == image
                else mark
                for mark in catalogue.marks
            )
            return attrs.evolve(catalogue, marks=marks)
        case Deleted(image=image):
            return _spared(catalogue, image)


def _spared(catalogue: Catalogue, *images: ImageId) -> Catalogue:
    marks = tuple(mark for mark in catalogue.marks if mark.image not in images)
    return attrs.evolve(catalogue, marks=marks)
