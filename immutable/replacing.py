"""What runs a revoked image, or what was built upon it, and what could take its place."""

from collections.abc import Iterable, Iterator

import attrs

from immutable.api import plan
from immutable.deploying import choosing
from immutable.deploying.engine import Engine
from immutable.deploying.entering import load
from immutable.deploying.opening import open_engine
from immutable.host import Never
from immutable.images.catalogue.checking import is_meant, revocation_of
from immutable.images.catalogue.lineage import digests_of
from immutable.images.catalogue.opening import id_of
from immutable.images.catalogue.state import Catalogue, Revocation
from immutable.images.finding import Subject
from immutable.ledger.state import FleetEntry, FleetStatus, State
from immutable.model import Digest, FleetName, Image, Release
from immutable.results import Plan
from immutable.service import Service, check_services

_KEPT = (FleetStatus.LIVE, FleetStatus.STANDBY)


@attrs.frozen(kw_only=True)
class Affected:
    """A fleet that runs what is meant, and what could take its place."""

    service: Service
    release: Release
    fleet: FleetName
    role: FleetStatus
    """It serves, or it is kept warm."""
    because: str
    """What it has to do with the image in question."""
    suggested: Release | None
    """The highest earlier release that may run: ``rollback(service, to=its number)``."""
    plan: Plan | None
    """What deploying the given image would do: ``deploy(plan)``. None: none was given."""

    @property
    def advice(self) -> str:
        """Return in a line what to do."""
        name = self.service.name
        if self.role is not FleetStatus.LIVE:
            return f"{name}: nothing serves from {self.fleet}; it ends with its time"
        if self.plan is not None:
            return f"{name}: deploy image {self.plan.release.image.id}"
        if self.suggested is not None:
            return f"{name}: roll back to v{self.suggested.number}, or build anew"
        return f"{name}: build anew, and deploy that"


def affected(
    image: Image | str,
    services: Iterable[Service],
    *,
    replacement: Subject | None = None,
) -> tuple[Affected, ...]:
    """Return the live and standby fleets that run an image or what was built upon it.

    It need not be revoked: ask before you revoke, and again afterwards. Nothing is changed;
    a recipe that is given as replacement is built, for its digest.

    Args:
        image: which, or its id. It may be gone.
        services: whose fleets are looked at.
        replacement: what is to take their place; each live fleet then has its plan.

    Raises:
        InvalidInput: the image or the replacement is none.
        Refused, BackendError: a plan cannot be made.
        LedgerError: a ledger cannot be read.
    """
    digests = (image.digest,) if isinstance(image, Image) else ()
    return tuple(
        found
        for service in check_services(services)
        for found in _in_service(service, _Meant(image, digests), replacement)
    )


class _Meant:
    """The image in question, as if it had just been revoked."""

    def __init__(self, image: Image | str, digests: tuple[Digest, ...]) -> None:
        self.id = id_of(image)
        self.digests = digests

    def revoked(self, engine: Engine, catalogue: Catalogue) -> Revocation:
        """Return a revocation of it, with every digest that anybody knows it by."""
        known = catalogue.revocation(self.id)
        digests = {*self.digests, *(known.digests if known else ())}
        digests |= digests_of(engine.backend, self.id)
        return Revocation(
            image=self.id,
            digests=tuple(sorted(digests)),
            reason=known.reason if known else "it was asked about",
            at=engine.host.now(),
            by=engine.host.name,
        )


def _in_service(
    service: Service, meant: _Meant, replacement: Subject | None
) -> Iterator[Affected]:
    engine = open_engine(service, tell=None, stop=Never())
    engine, state = load(engine)
    catalogue = engine.guard.load()
    asked = meant.revoked(engine, catalogue)
    others = tuple(r for r in catalogue.revocations if r.image != meant.id)
    catalogue = attrs.evolve(catalogue, revocations=(asked, *others))
    for entry in state.fleets:
        if entry.status in _KEPT and (why := _because(engine, asked, entry)):
            yield _affected(engine, state, entry, why, catalogue, replacement)


def _because(engine: Engine, asked: Revocation, entry: FleetEntry) -> str | None:
    image = entry.release.image
    if is_meant(asked, image):
        return f"it runs {image.id}"
    only = Catalogue(revocations=(asked,))
    if revocation_of(only, image, engine.guard.ancestors(image)) is None:
        return None
    return f"it runs {image.id}, which was built upon {asked.image}"


def _affected(
    engine: Engine,
    state: State,
    entry: FleetEntry,
    why: str,
    catalogue: Catalogue,
    replacement: Subject | None,
) -> Affected:
    serves = entry.status is FleetStatus.LIVE
    planned = None
    if serves and replacement is not None:
        planned = plan(engine.service, replacement)
    return Affected(
        service=engine.service,
        release=entry.release,
        fleet=entry.name,
        role=entry.status,
        because=why,
        suggested=_suggested(engine, state, catalogue) if serves else None,
        plan=planned,
    )


def _suggested(engine: Engine, state: State, catalogue: Catalogue) -> Release | None:
    live = state.live
    if live is None:
        return None
    known = choosing.ever_live(engine)
    earlier = [r for r in known if r.number < live.release.number]
    there = [r for r in reversed(earlier) if engine.backend.images.find(r.image.id)]
    return engine.guard.first_allowed(there, catalogue)[0]
