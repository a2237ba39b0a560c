"""What may be launched: releases of the past, as far as nobody has revoked their images."""

from collections.abc import Iterator

from immutable.deploying import admitting, looking
from immutable.deploying.engine import Engine
from immutable.errors import BackendError, Revoked
from immutable.images.catalogue.state import Catalogue
from immutable.images.demands import Demands
from immutable.images.finding import check_same
from immutable.ledger.goals import DeployGoal
from immutable.ledger.records import Begun, Finished
from immutable.ledger.state import FleetEntry, State
from immutable.model import DeploymentId, Image, Outcome, Release
from immutable.service import Options


def releases(engine: Engine, state: State, to: int | None) -> tuple[Release, ...]:
    """Return the releases that were ever live, ascending.

    The state holds the latest; the whole history is read only when an older one is named
    or none earlier is held.
    """
    live = state.live
    wanted = to if to is not None else (live.release.number - 1 if live else 0)
    held = state.releases
    if held and held[0].number <= wanted:
        return held
    return ever_live(engine)


def ever_live(engine: Engine) -> tuple[Release, ...]:
    """Return every release that was ever live, ascending, from the whole history."""
    found: dict[int, Release] = {}
    goal = None
    for record in engine.journal.history():
        goal = getattr(record.entry, "goal", goal)
        ended = record.entry
        if isinstance(ended, Finished) and isinstance(goal, DeployGoal):
            if ended.outcome is Outcome.LIVE:
                found[goal.release.number] = goal.release
            goal = None
    return tuple(found[number] for number in sorted(found))


def target(
    engine: Engine,
    state: State,
    to: int | None,
    options: Options,
    catalogue: Catalogue,
) -> tuple[Release, tuple[str, ...]]:
    """Return what to go back to, and why later releases than that are passed over.

    Raises:
        UnknownRelease: there is none such.
        Revoked: every earlier release is revoked.
    """
    latest = admitting.rollback_target(state, releases(engine, state, to), to)
    named = to is not None or options.allow_revoked is not None
    if named or not catalogue.revocations:
        return latest, ()
    earlier = [r for r in ever_live(engine) if r.number <= latest.number]
    found, skipped = engine.guard.first_allowed(reversed(earlier), catalogue)
    if found is None:
        raise Revoked(
            f"there is nothing to go back to: {'; '.join(skipped)}",
            hint="deploy another image, or say why one may run: allow_revoked=",
        )
    return found, skipped


def admit(
    engine: Engine,
    image: Image,
    deployment: DeploymentId,
    override: str | None,
    *,
    catalogue: Catalogue | None = None,
) -> None:
    """Refuse to launch what is revoked or being deleted; see `Guard.admit`.

    Raises:
        Refused: it is one of the two.
        LedgerError: the catalogue cannot be read or written.
    """
    _check_demands(engine, image)
    engine.guard.admit(
        image,
        service=engine.service.name,
        deployment=deployment,
        override=override,
        catalogue=catalogue,
    )


def check_there(engine: Engine, image: Image) -> None:
    """Refuse an image that is not what it was: what was tested is what is launched.

    Raises:
        Refused: other bytes are there under its id.
        BackendError: it is gone.
    """
    there = looking.ask(engine, lambda: engine.backend.images.find(image.id))
    if there is None:
        raise BackendError(
            f"image {image.id} is gone", hint="build it again from its recipe"
        )
    check_same(there, image)


def admit_growth(
    engine: Engine,
    live: FleetEntry,
    size: int,
    deployment: DeploymentId,
    override: str | None,
) -> None:
    """Refuse more instances of a revoked image; fewer of them are welcome.

    Raises:
        Refused: as `admit`, or it is not what it was.
        BackendError: it is gone.
    """
    if size > live.size:
        check_there(engine, live.release.image)
        admit(engine, live.release.image, deployment, override)


def admit_healing(
    engine: Engine, live: FleetEntry, deployment: DeploymentId, override: str | None
) -> None:
    """Refuse new instances of a revoked image, unless it was allowed for this very fleet.

    Raises:
        Refused: as `admit`, or it is not what it was.
        BackendError: it is gone.
    """
    check_there(engine, live.release.image)
    engine.guard.admit(
        live.release.image,
        service=engine.service.name,
        deployment=deployment,
        override=override,
        standing=_made_live_by(engine, live),
    )


def _made_live_by(engine: Engine, live: FleetEntry) -> Iterator[DeploymentId]:
    """Yield the deployments that were about a fleet: it may have been a warm standby."""
    yield live.deployment
    for record in engine.journal.history():
        match record.entry:
            case Begun(deployment=id_, goal=DeployGoal(fleet=live.name)):
                yield id_


def check(engine: Engine, image: Image, override: str | None) -> None:
    """Refuse what `admit` would refuse, and write nothing.

    Raises:
        Refused: as `admit`.
    """
    _check_demands(engine, image)
    engine.guard.check(image, service=engine.service.name, override=override)


def _check_demands(engine: Engine, image: Image) -> None:
    service, backend = engine.service, engine.backend
    demands = Demands(proven=service.proven, signed_by=service.signed_by)
    if demands.concern(backend):
        looking.ask(engine, lambda: demands.check(image, backend))
