"""Long ledgers, made quickly: what the journal would have written, a million times."""

import sqlite3
from collections.abc import Iterator
from contextlib import closing
from datetime import UTC, datetime, timedelta
from pathlib import Path

from immutable.deploying.steps import (
    Attach,
    Detach,
    Effect,
    Join,
    Launch,
    Retire,
    Route,
)
from immutable.host import ThisHost
from immutable.ledger.codec import sealed, unsealed
from immutable.ledger.format import found
from immutable.ledger.goals import DeployGoal, TidyGoal
from immutable.ledger.journal import SNAPSHOT_EVERY, Journal
from immutable.ledger.records import Begun, Finished, Intended, Result, Settled
from immutable.model import (
    DeploymentId,
    Digest,
    FleetName,
    FleetSpec,
    HealthCheck,
    Image,
    ImageId,
    InstanceId,
    LedgerId,
    Member,
    Outcome,
    Release,
    ReleaseNumber,
    Routing,
    ServiceName,
    Tags,
    Version,
    digest_of,
)
from immutable.protocols import LedgerStore
from immutable.strategies import Stage

SERVICE = ServiceName("shop")
STREAM = f"service/{SERVICE}"
_PERIOD = SNAPSHOT_EVERY + 1
_HEALTH = HealthCheck(port=8080, path="/healthz")
_DRAIN = timedelta(seconds=30)
_DEPLOYMENTS = 80
_APPEND = "INSERT INTO records (stream, sequence, record) VALUES (?, ?, ?)"


class Memory(LedgerStore):
    """A store that keeps one stream in a list."""

    def __init__(self) -> None:
        self.records: list[bytes] = []

    def append(self, stream: str, sequence: int, record: bytes) -> None:
        """Keep a record of the service; the ledger's identity is not needed here."""
        if stream == STREAM and sequence == len(self.records) + 1:
            self.records.append(record)

    def read(
        self, stream: str, *, after: int, limit: int
    ) -> tuple[tuple[int, bytes], ...]:
        """Return nothing: this journal is only written."""
        del stream, after, limit
        return ()

    def last(self, stream: str) -> tuple[int, bytes] | None:
        """Return nothing, as `read` does."""
        del stream
        return None


def write_history(path: Path, records: int) -> int:
    """Make a ledger file of about so many records and return how many it has.

    The journal itself writes the first deployments, until its state has reached its
    full size; from there on the last whole period between two snapshots is repeated
    with the numbers moved on.
    """
    begun = _begun()
    number = 0
    with closing(sqlite3.connect(path, isolation_level=None)) as connection:
        connection.execute("PRAGMA synchronous=OFF")
        connection.execute("PRAGMA journal_mode=OFF")
        connection.execute("BEGIN")
        found(connection)
        for number, record in _records(begun, records):
            connection.execute(_APPEND, (STREAM, number, record))
        connection.execute("COMMIT")
    return number


def _records(begun: list[bytes], count: int) -> Iterator[tuple[int, bytes]]:
    yield from enumerate(begun[:count], 1)
    number = len(begun)
    period = [_Template(record) for record in begun[-_PERIOD:]]
    while number < count:
        snapshot = number + 1
        for template in period:
            number += 1
            yield number, template.at(number, snapshot)


class _Template:
    """A record whose numbers can be changed without decoding it."""

    def __init__(self, record: bytes) -> None:
        # The keys are sorted: these two are the last of the record itself.
        text = unsealed(record).decode()
        self._head = text[: text.rindex('"sequence":')]

    def at(self, sequence: int, snapshot: int) -> bytes:
        return sealed(f'{self._head}"sequence":{sequence},"snapshot":{snapshot}}}')


def _begun() -> list[bytes]:
    """Return what the journal writes first; the next record would be a snapshot."""
    store = Memory()
    journal = Journal(store, SERVICE, ThisHost())
    for number in range(1, _DEPLOYMENTS + 1):
        _deploy(journal, number)
    return store.records[: len(store.records) // _PERIOD * _PERIOD - 1]


def _deploy(journal: Journal, number: int) -> None:
    """Append what one deployment appends, the retirement of the last fleet included."""
    state = journal.state
    live = state.live.name if state.live else None
    deployment = DeploymentId(f"{number:016x}")
    goal = _goal(number, live)
    journal.append(Begun(deployment=deployment, goal=goal))
    for count, step in enumerate(_steps(goal, deployment), 1):
        journal.append(Intended(number=count, step=step))
        journal.append(Settled(number=count, result=Result.APPLIED))
    journal.append(Finished(outcome=Outcome.LIVE, live=goal.fleet))
    if state.standby is not None:
        _retire(journal, state.standby.name, deployment, goal.fleet)


def _retire(
    journal: Journal, fleet: FleetName, deployment: DeploymentId, live: FleetName
) -> None:
    goal = TidyGoal(fleets=(fleet,), drain=_DRAIN)
    journal.append(Begun(deployment=deployment, goal=goal))
    steps: tuple[Effect, ...] = (
        Detach(fleet=fleet, expected=Version("1")),
        Retire(fleet=fleet),
    )
    for count, step in enumerate(steps, 1):
        journal.append(Intended(number=count, step=step))
        journal.append(Settled(number=count, result=Result.APPLIED))
    journal.append(Finished(outcome=Outcome.LIVE, live=live))


def _goal(number: int, live: FleetName | None) -> DeployGoal:
    return DeployGoal(
        verb="deploy",
        release=_release(number),
        fleet=FleetName(f"{SERVICE}-v{number}-{number:06x}"),
        reused=False,
        size=3,
        fixed_size=False,
        incumbent=live,
        before=Routing(weights={live: 100} if live else {}),
        stages=(Stage(weight=100, hold=timedelta(minutes=2)),),
        keep_warm=timedelta(hours=1),
        validators=("http /version",),
        ready_timeout=timedelta(minutes=5),
        validate_timeout=timedelta(minutes=1),
        drain=_DRAIN,
    )


def _release(number: int) -> Release:
    digest = digest_of("image", number)
    image = Image(
        id=ImageId(f"img-{digest[:16]}"),
        digest=digest,
        backend="libvirt",
        size_bytes=120_000_000,
        recipe=Digest(digest),
        built_at=datetime(2026, 1, 1, tzinfo=UTC),
    )
    return Release(
        number=ReleaseNumber(number),
        image=image,
        configuration={"GREETING": "hello"},
        ports=(_HEALTH.port,),
        health=_HEALTH,
    )


def _steps(goal: DeployGoal, deployment: DeploymentId) -> tuple[Effect, ...]:
    fleet, version = goal.fleet, Version("0123456789abcdef0123456789abcdef.7.7")
    members = tuple(
        Member(instance=InstanceId(f"{fleet}-{i}"), address=f"10.83.0.{i}", port=8080)
        for i in range(1, goal.size + 1)
    )
    routing = Routing(weights={fleet: 100})
    preview = Routing(weights=goal.before.weights, preview=fleet)
    return (
        Attach(fleet=fleet, health=_HEALTH, expected=version),
        Launch(spec=_spec(goal, deployment)),
        Join(fleet=fleet, members=members, drain=goal.drain),
        Route(fleet=fleet, routing=preview, expected=version),
        Route(fleet=fleet, routing=routing, expected=version, stage=0),
    )


def _spec(goal: DeployGoal, deployment: DeploymentId) -> FleetSpec:
    release = goal.release
    return FleetSpec(
        name=goal.fleet,
        image=release.image,
        document='{"configuration": {"GREETING": "hello"}}',
        size=goal.size,
        port=8080,
        tags=Tags(
            service=SERVICE,
            ledger=LedgerId("00000000-0000-4000-8000-000000000000"),
            deployment=deployment,
            release=release.number,
            digest=release.digest,
        ),
    )
