"""Which images may be deleted, and which may not, and why. Pure."""

from collections.abc import Iterable, Iterator
from datetime import datetime, timedelta

import attrs

from immutable.durations import duration, spell
from immutable.errors import InvalidInput
from immutable.images.brief import few
from immutable.images.catalogue.state import Mark
from immutable.images.catalogue.uses import RetentionFacts, ServiceFacts, Use
from immutable.model import Digest, Image, ImageId

SHORTEST_GRACE = timedelta(hours=1)
"""Whoever read the catalogue before a mark was in it has begun or given up by then."""
MARKS_KEPT = 5000
"""So many images are marked at a time: a snapshot of the catalogue has to hold them."""
ABANDONED = timedelta(hours=1)
"""After so long, whoever said that it was deleting an image has died."""


@attrs.frozen(kw_only=True)
class RetentionPolicy:
    """How long images are kept that nothing needs.

    Args:
        keep_last: so many of the latest releases that were ever live, per service, and
            as many before the live one: what a rollback may want.
        keep_younger: what was built, or was live, so recently is kept.
        grace: between marking an image and deleting it.
        most: the most images that one run deletes.
        unreleased: images that none of the given services ever released go, too. Give
            every service that uses the backend.
    """

    keep_last: int = 5
    keep_younger: timedelta = attrs.field(
        default=timedelta(days=30), converter=duration
    )
    grace: timedelta = attrs.field(default=timedelta(days=1), converter=duration)
    most: int = 10
    unreleased: bool = False

    def __attrs_post_init__(self) -> None:
        """See that nothing can be deleted in haste."""
        if self.grace < SHORTEST_GRACE:
            raise InvalidInput(
                f"a grace of {spell(self.grace)} is too short",
                hint=f"give at least {spell(SHORTEST_GRACE)}",
            )
        if self.keep_last < 1 or self.most < 1:
            raise InvalidInput(
                f"keep_last {self.keep_last} and most {self.most} cannot be meant",
                hint="give at least 1 of each",
            )


@attrs.frozen(kw_only=True)
class KeptImage:
    """An image that stays, and everything that needs it."""

    image: Image
    why: tuple[str, ...]


@attrs.frozen(kw_only=True)
class Waiting:
    """An image that nothing needs, and from when on it may be deleted."""

    image: Image
    until: datetime


@attrs.frozen(kw_only=True)
class RetentionPlan:
    """What retention would do. Making one changes nothing."""

    delete: tuple[Image, ...] = attrs.field(repr=few)
    """Marked long ago, and still needed by nothing."""
    mark: tuple[Image, ...] = attrs.field(repr=few)
    """Needed by nothing, for the first time."""
    spare: tuple[ImageId, ...] = attrs.field(repr=few)
    """Marked, and needed after all, or gone."""
    waiting: tuple[Waiting, ...] = attrs.field(repr=few)
    kept: tuple[KeptImage, ...] = attrs.field(repr=few)
    later: tuple[Image, ...] = attrs.field(default=(), repr=few)
    """Needed by nothing, and marked once fewer are: so many marks are kept at a time."""

    def __str__(self) -> str:
        """Return the plan as people read it, a line for each image."""
        lines = [f"  delete {image.id}" for image in self.delete]
        lines += [f"  mark {image.id}" for image in self.mark]
        lines += [f"  mark {len(self.later)} more later"] if self.later else []
        lines += [f"  wait with {w.image.id} until {w.until}" for w in self.waiting]
        lines += [f"  keep {k.image.id}: {', '.join(k.why)}" for k in self.kept]
        return "\n".join(["retention", *lines])


def retention(
    facts: RetentionFacts,
    images: Iterable[Image],
    policy: RetentionPolicy,
    now: datetime,
) -> RetentionPlan:
    """Return which images may be deleted now, which soon, and which are kept and why.

    Args:
        facts: what the services need, and what their catalogues say.
        images: every image that there is.
        policy: how long what nothing needs is kept.
        now: the time.
    """
    known = tuple(images)
    kept = needed(facts, known, policy, now)
    loose = [image for image in known if image.id not in kept]
    marks = [{mark.image: mark for mark in c.marks} for c in facts.catalogues]
    due = {image.id: _due(image, _marks(marks, image), policy) for image in loose}
    mark, later = _in_room([i for i in loose if due[i.id] is None], marks)
    ripe = sorted(
        (i for i in loose if (at := due[i.id]) is not None and at <= now),
        key=lambda image: (due[image.id], image.id),
    )
    chosen = ripe[: policy.most]
    return RetentionPlan(
        delete=tuple(chosen),
        mark=mark,
        later=later,
        spare=_spared(facts, {i.id: i.digest for i in loose}, now),
        waiting=tuple(
            Waiting(image=i, until=max(at, now))
            for i in loose
            if (at := due[i.id]) is not None and i not in chosen
        ),
        kept=tuple(KeptImage(image=i, why=kept[i.id]) for i in known if i.id in kept),
    )


def _in_room(
    images: list[Image], marks: list[dict[ImageId, Mark]]
) -> tuple[tuple[Image, ...], tuple[Image, ...]]:
    """Return the images that every catalogue can mark, and those for later.

    What one catalogue has marked needs no room there: the others can catch up with it.
    """
    left = [MARKS_KEPT - len(known) for known in marks]
    mark, later = list[Image](), list[Image]()
    for image in images:
        lacking = [at for at, known in enumerate(marks) if image.id not in known]
        has_room = all(left[at] > 0 for at in lacking)
        (mark if has_room else later).append(image)
        for at in lacking if has_room else ():
            left[at] -= 1
    return tuple(mark), tuple(later)


def needed(
    facts: RetentionFacts,
    images: tuple[Image, ...],
    policy: RetentionPolicy,
    now: datetime,
) -> dict[ImageId, tuple[str, ...]]:
    """Return every image that has to stay, with everything that needs it."""
    reasons: dict[ImageId, list[str]] = {}
    for use in (
        *_uses(facts, policy, now),
        *_of_themselves(facts, images, policy, now),
    ):
        reasons.setdefault(use.image, []).append(use.why)
    parents = _parents(facts, images)
    for child in tuple(reasons):
        for parent in _chain(child, parents):
            reasons.setdefault(parent, []).append(f"{child} was built upon it")
    return {image: tuple(dict.fromkeys(why)) for image, why in reasons.items()}


def _parents(
    facts: RetentionFacts, images: tuple[Image, ...]
) -> dict[ImageId, ImageId | None]:
    """Return what each image was built upon, also of those that are not listed."""
    served = [each for service in facts.services for each in service.served]
    meant = [c.image for catalogue in facts.catalogues for c in catalogue.channels]
    return {
        **{each.image: each.parent for each in served},
        **{image.id: image.parent for image in (*meant, *images)},
    }


def _uses(
    facts: RetentionFacts, policy: RetentionPolicy, now: datetime
) -> Iterator[Use]:
    for service in facts.services:
        yield from service.uses
        yield from _window(service, policy, now)
    for catalogue in facts.catalogues:
        for channel in catalogue.channels:
            yield Use(image=channel.image.id, why=f"channel {channel.name} means it")
        for lease in catalogue.leases:
            if lease.until > now:
                yield Use(image=lease.image, why=f"{lease.holder} has a lease")


def _window(
    service: ServiceFacts, policy: RetentionPolicy, now: datetime
) -> Iterator[Use]:
    live = service.live or 0
    earlier = [each for each in service.served if each.number < live]
    latest = {*service.served[-policy.keep_last :], *earlier[-policy.keep_last :]}
    for each in service.served:
        name = f"{service.service} v{each.number}"
        if each in latest:
            yield Use(image=each.image, why=f"{name} can be rolled back to")
        elif now - each.until < policy.keep_younger:
            yield Use(image=each.image, why=f"{name} was live lately")


def _of_themselves(
    facts: RetentionFacts,
    images: tuple[Image, ...],
    policy: RetentionPolicy,
    now: datetime,
) -> Iterator[Use]:
    released = frozenset[ImageId]().union(*(s.released for s in facts.services))
    for image in images:
        if image.built_at is not None and now - image.built_at < policy.keep_younger:
            yield Use(image=image.id, why="it was built lately")
        if image.id not in released and not policy.unreleased:
            yield Use(image=image.id, why="no given service ever released it")


def _chain(child: ImageId, parents: dict[ImageId, ImageId | None]) -> Iterator[ImageId]:
    seen, parent = {child}, parents.get(child)
    while parent is not None and parent not in seen:
        yield parent
        seen.add(parent)
        parent = parents.get(parent)


def _marks(marks: list[dict[ImageId, Mark]], image: Image) -> tuple[Mark, ...]:
    """Return the marks of exactly this image; none where a catalogue lacks one."""
    found = [known.get(image.id) for known in marks]
    whole = tuple(mark for mark in found if mark and mark.digest == image.digest)
    return whole if len(whole) == len(found) else ()


def _due(
    image: Image, marks: tuple[Mark, ...], policy: RetentionPolicy
) -> datetime | None:
    """Return from when on an image may be deleted; None: it has yet to be marked."""
    return max((_ripe(image, mark, policy) for mark in marks), default=None)


def _ripe(image: Image, mark: Mark, policy: RetentionPolicy) -> datetime:
    if mark.deleting_at is not None:
        return mark.deleting_at + ABANDONED
    if image.built_at is None:
        # nobody knows how old it is: at least as old as its mark
        return mark.at + max(policy.grace, policy.keep_younger)
    return mark.at + policy.grace


def _spared(
    facts: RetentionFacts, loose: dict[ImageId, Digest], now: datetime
) -> tuple[ImageId, ...]:
    """Return what is marked and must not be: needed, gone, or other bytes by now."""
    marks = [mark for catalogue in facts.catalogues for mark in catalogue.marks]
    wrong = [mark for mark in marks if loose.get(mark.image) != mark.digest]
    return tuple(
        dict.fromkeys(mark.image for mark in wrong if may_be_spared(mark, now))
    )


def may_be_spared(mark: Mark, now: datetime) -> bool:
    """Return whether nobody is about to delete the image."""
    return mark.deleting_at is None or mark.deleting_at + ABANDONED <= now
