"""Carrying out retention: mark, wait, look again, delete. Nothing else deletes images."""

from collections.abc import Iterable
from contextlib import suppress
from datetime import timedelta

import attrs

from immutable.deploying.engine import Engine
from immutable.deploying.needing import read_facts
from immutable.deploying.opening import open_engine
from immutable.errors import BackendError, InvalidInput, LedgerError
from immutable.host import Never
from immutable.images.catalogue.records import Deleted, Deleting, Marked, Spared
from immutable.images.catalogue.retention import (
    MARKS_KEPT,
    RetentionPlan,
    RetentionPolicy,
    may_be_spared,
    needed,
    retention,
)
from immutable.images.catalogue.shelf import Shelf
from immutable.images.catalogue.state import Catalogue
from immutable.images.finding import recorder
from immutable.model import Image, ImageId
from immutable.service import Service, check_services

_QUICK = timedelta(minutes=10)
"""Whoever says that it deletes an image does so within this, or not at all."""


@attrs.frozen(kw_only=True)
class Spare:
    """An image that was to be deleted and was not, and why."""

    image: ImageId
    why: str


@attrs.frozen(kw_only=True)
class RetentionReport:
    """What one run of retention did; with ``dry_run`` nothing but the plan."""

    plan: RetentionPlan
    dry_run: bool
    deleted: tuple[Image, ...] = ()
    left: tuple[Spare, ...] = ()


def retain(
    services: Iterable[Service],
    *,
    images: Iterable[Image] | None = None,
    policy: RetentionPolicy | None = None,
    dry_run: bool = True,
    by: str | None = None,
) -> RetentionReport:
    """Delete images that nothing has needed for a while; by default only say which.

    An image is marked first, deleted by a later run after the policy's grace, and needed
    by nothing at both times: everything is read again immediately before each is deleted.
    A deployment that wants a marked image spares it; one that wants an image which is
    being deleted is refused. Killed at any point, a later run goes on.

    Args:
        services: every service that launches these images; all of one backend.
        images: what may be deleted; everything that the backend keeps when not given.
        policy: how long what nothing needs is kept.
        dry_run: change nothing. Give False to mark and to delete.
        by: who decides; this process when not given.

    Raises:
        InvalidInput: no service is given, or they are of several backends.
        Unsupported: the backend does not list its images, and none are given.
        LedgerError, BackendError: something cannot be read, or no mark be written;
            nothing was deleted.
    """
    run = _Run(_engines(services), _checked(policy), images, by)
    plan = run.plan()
    if dry_run:
        return RetentionReport(plan=plan, dry_run=True)
    return run.carry_out(plan)


def _checked(policy: object) -> RetentionPolicy:
    if policy is None:
        return RetentionPolicy()
    if not isinstance(policy, RetentionPolicy):
        hint = "give immutable.RetentionPolicy(…)"
        raise InvalidInput(f"{policy!r:.80} is no policy", hint=hint)
    return policy


def _engines(services: Iterable[Service]) -> tuple[Engine, ...]:
    given = check_services(services)
    engines = tuple(open_engine(s, tell=None, stop=Never()) for s in given)
    if not engines:
        raise InvalidInput(
            "retention needs to know who uses the images", hint="give every service"
        )
    addresses = [engine.service.backend for engine in engines]
    if any(address != addresses[0] for address in addresses):
        raise InvalidInput(
            "these services are of several backends", hint="retain one after the other"
        )
    return engines


class _Run:
    """One run of retention."""

    def __init__(
        self,
        engines: tuple[Engine, ...],
        policy: RetentionPolicy,
        images: Iterable[Image] | None,
        by: str | None,
    ) -> None:
        self._engines = engines
        self._policy = policy
        self._given = None if images is None else tuple(images)
        self._by = by
        self._host = engines[0].host
        self._backend = engines[0].backend
        self._id = self._host.unique()
        self._shelves = tuple(e.guard.shelf for e in engines if e.guard.shelf)

    def plan(self) -> RetentionPlan:
        """Read everything anew, and return what may be done now."""
        facts, images = read_facts(self._engines), self._images()
        return retention(facts, images, self._policy, self._host.now())

    def carry_out(self, plan: RetentionPlan) -> RetentionReport:
        """Write the marks, and delete what is due."""
        for shelf in self._shelves:
            self._spare(shelf, plan.spare)
            self._mark(shelf, plan.mark)
        deleted, left = list[Image](), list[Spare]()
        for image in plan.delete:
            why = self._delete(image)
            if why is None:
                deleted.append(image)
            else:
                left.append(Spare(image=image.id, why=why))
        return RetentionReport(
            plan=plan, dry_run=False, deleted=tuple(deleted), left=tuple(left)
        )

    def _delete(self, image: Image) -> str | None:
        """Delete an image if nothing needs it even now; return why it was not."""
        began = self._host.now()
        try:
            if why := self._needed_even_now(image):
                return self._let_go(image, why)
            if self._host.now() - began > _QUICK:
                return "looking took too long; the next run goes on"
            self._backend.images.delete(image.id)
        except (BackendError, LedgerError) as exc:
            # what became of it is not known: nobody may launch it until it is
            return f"{exc}; the next run goes on"
        # it is gone, whether that can be written or not: the next run sees it, too
        with suppress(LedgerError, BackendError):
            for shelf in self._shelves:
                shelf.change(lambda now: _ended(now, image), by=self._by)
        return None

    def _needed_even_now(self, image: Image) -> str | None:
        """Say that the image is being deleted, then look again; return why it is not."""
        try:
            for shelf in self._shelves:
                shelf.change(lambda now: self._beginning(now, image), by=self._by)
        except _Spared as exc:
            return str(exc)
        return self._still_needed(image)

    def _beginning(self, now: Catalogue, image: Image) -> Deleting | None:
        mark = now.mark(image.id)
        if mark is None or mark.digest != image.digest:
            raise _Spared("somebody needed it meanwhile")
        if mark.deleting == self._id:
            return None
        if not may_be_spared(mark, self._host.now()):
            raise _Spared("another run is deleting it")
        return Deleting(image=image.id, run=self._id)

    def _still_needed(self, image: Image) -> str | None:
        """Read everything again, now that nobody can begin to launch it any more."""
        found = self._backend.images.find(image.id)
        if found is not None and found.digest != image.digest:
            return "other bytes are there under its id"
        facts, now = read_facts(self._engines), self._host.now()
        why = needed(facts, self._images(), self._policy, now).get(image.id)
        return ", ".join(why) if why else None

    def _images(self) -> tuple[Image, ...]:
        if self._given is not None:
            return self._given
        return recorder(self._backend).list()

    def _let_go(self, image: Image, why: str) -> str:
        """Take back what this run has said of an image that it does not delete."""

        def decide(now: Catalogue) -> Spared | None:
            mark = now.mark(image.id)
            mine = mark is not None and mark.deleting == self._id
            return Spared(images=(image.id,)) if mine else None

        for shelf in self._shelves:
            shelf.change(decide, by=self._by)
        return why

    def _spare(self, shelf: Shelf, images: tuple[ImageId, ...]) -> None:
        def decide(now: Catalogue) -> Spared | None:
            at = self._host.now()
            marks = (mark for mark in now.marks if mark.image in images)
            free = tuple(mark.image for mark in marks if may_be_spared(mark, at))
            return Spared(images=free) if free else None

        shelf.change(decide, by=self._by)

    def _mark(self, shelf: Shelf, images: tuple[Image, ...]) -> None:
        def decide(now: Catalogue) -> Marked | None:
            known = {mark.image for mark in now.marks}
            fresh = tuple((i.id, i.digest) for i in images if i.id not in known)
            room = max(MARKS_KEPT - len(known), 0)
            return Marked(images=fresh[:room]) if fresh[:room] else None

        shelf.change(decide, by=self._by)


class _Spared(Exception):
    """Somebody was first: the image is not to be deleted by this run."""


def _ended(now: Catalogue, image: Image) -> Deleted | None:
    return Deleted(image=image.id) if now.mark(image.id) else None
