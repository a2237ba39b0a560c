"""What services need of images, as their ledgers and their fleets say. Reads only."""

from collections.abc import Iterable, Iterator
from datetime import datetime

from immutable.deploying import finding
from immutable.deploying.engine import Engine
from immutable.deploying.entering import load
from immutable.images.catalogue.uses import RetentionFacts, Served, ServiceFacts, Use
from immutable.ledger.goals import AdoptGoal, DeployGoal
from immutable.ledger.records import Begun, Finished, Record, Restored
from immutable.ledger.state import State
from immutable.model import Image, ImageId, Outcome, Release, ReleaseNumber


def read_facts(engines: Iterable[Engine]) -> RetentionFacts:
    """Read what services need now.

    Raises:
        LedgerError, BackendError: something cannot be read; then nothing is known.
    """
    opened = tuple(engines)
    return RetentionFacts(
        services=tuple(_of_service(engine) for engine in opened),
        catalogues=tuple(engine.guard.load() for engine in opened),
    )


def _of_service(engine: Engine) -> ServiceFacts:
    engine, state = load(engine)
    history = tuple(engine.journal.history())
    live = state.live
    return ServiceFacts(
        service=engine.service.name,
        live=live.release.number if live else None,
        uses=(*_uses(engine, state), *_running(engine)),
        served=tuple(_served(history)),
        released=frozenset(_released(history)),
    )


def _uses(engine: Engine, state: State) -> Iterator[Use]:
    name = engine.service.name
    for entry in state.fleets:
        release = entry.release
        yield from _upon(release.image, f"{name} v{release.number} is {entry.status}")
    goal = state.attempt.goal if state.attempt else None
    if isinstance(goal, DeployGoal | AdoptGoal) and goal.release is not None:
        yield from _upon(goal.release.image, f"a deployment of {name} is open")


def _upon(image: Image, why: str) -> Iterator[Use]:
    """Yield an image, and the one that it was built upon: that may not be listed."""
    yield Use(image=image.id, why=why)
    if image.parent is not None:
        yield Use(image=image.parent, why=f"{image.id} was built upon it")


def _running(engine: Engine) -> Iterator[Use]:
    """Yield what exists by its tags alone: the ledger need not answer for it."""
    if engine.ledger is None:
        return
    for fleet in finding.tagged(engine, engine.ledger):
        for image in sorted({i.image for i in fleet.instances if i.image}):
            yield Use(image=image, why=f"fleet {fleet.name} runs it")


def _served(history: Iterable[Record]) -> Iterator[Served]:
    """Yield each release that was live, with the end of its latest time."""
    found: dict[ReleaseNumber, Served] = {}
    live: Release | None = None
    for at, release in _cutovers(history):
        for each in (live, release):
            if each is not None:
                found[each.number] = Served(
                    number=each.number,
                    image=each.image.id,
                    until=at,
                    parent=each.image.parent,
                )
        live = release
    yield from (found[number] for number in sorted(found))


def _cutovers(history: Iterable[Record]) -> Iterator[tuple[datetime, Release]]:
    release: Release | None = None
    for record in history:
        match record.entry:
            case Begun(goal=DeployGoal() | AdoptGoal() as goal):
                release = goal.release
            case Begun():
                release = None
            case Finished(outcome=Outcome.LIVE) if release is not None:
                yield record.at, release
            case Restored(live=entry) if entry is not None:
                yield record.at, entry.release
            case _:
                pass


def _released(history: Iterable[Record]) -> Iterator[ImageId]:
    for record in history:
        match record.entry:
            case Begun(goal=DeployGoal() | AdoptGoal() as goal) if goal.release:
                yield goal.release.image.id
            case Restored(live=entry) if entry is not None:
                yield entry.release.image.id
            case _:
                pass
