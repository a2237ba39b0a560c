"""One service's ledger as the oracles see it grow: its state, its holder, its intents."""

from collections import Counter

import attrs

from immutable.ledger.codec import decode, decode_anew
from immutable.ledger.fold import fold
from immutable.ledger.records import (
    Begun,
    Finished,
    Intended,
    Record,
    Restored,
    Snapshot,
    TookOver,
)
from immutable.ledger.state import EMPTY, Attempt, FleetStatus, State
from immutable.model import DeploymentId, FleetName
from immutable.testing.violations import Judge

_ANEW = 16
"""In one simulation of so many, every record is read anew from its bytes."""


@attrs.frozen(kw_only=True)
class Intent:
    """What a process has last said that it would do."""

    record: Record
    step: Intended
    deployment: DeploymentId


@attrs.define(eq=False)
class Book:
    """A ledger's records, folded one by one and judged."""

    judge: Judge
    service: str
    state: State = EMPTY
    holder: str = ""
    """Who has begun or taken over the open attempt."""
    ended: set[DeploymentId] = attrs.field(factory=set)
    tombstones: dict[FleetName, int] = attrs.field(factory=dict)
    """Fleets that are to get no weight any more, and since which record."""
    intents: dict[str, Intent] = attrs.field(factory=dict)
    """By process."""
    begun: Counter[str] = attrs.field(factory=Counter)
    """How many deployments each process has begun."""

    def append(self, sequence: int, data: bytes) -> Record:
        """Judge a record that the ledger has now, and add it.

        Raises:
            Violation: it must not follow what was there before.
        """
        record = self._read(sequence, data)
        if sequence != self.state.sequence + 1 or record.sequence != sequence:
            message = (
                f"record {sequence} says {record.sequence}, after {self.state.sequence}"
            )
            raise self.judge.condemn("sequence", message)
        self._judge(record, self.state.attempt)
        self._note(record, self.state.attempt)
        self.state = fold(self.state, record)
        self._mark(sequence)
        return record

    def _read(self, sequence: int, data: bytes) -> Record:
        record = decode(data)
        # what was just written is not decoded; its text tells types apart, too
        if self.judge.seed % _ANEW == 0 and repr(record) != repr(decode_anew(data)):
            message = f"record {sequence} does not read as it was written"
            raise self.judge.condemn("codec", message)
        return record

    def _judge(self, record: Record, attempt: Attempt | None) -> None:
        entry = record.entry
        match entry:
            case Begun(deployment=deployment):
                self._judge_beginning(deployment, attempt)
            case Restored() | Snapshot() if attempt is None:
                pass
            case TookOver() if attempt is not None:
                pass
            case _ if attempt is None:
                message = f"{_name(record)} by {record.by}, but all has ended"
                raise self.judge.condemn("terminal", message)
            case _ if record.by != self.holder:
                message = f"{_name(record)} by {record.by}, but {self.holder} holds it"
                raise self.judge.condemn("holder", message)

    def _judge_beginning(
        self, deployment: DeploymentId, attempt: Attempt | None
    ) -> None:
        if attempt is not None:
            message = f"{deployment} began while {attempt.id} is open"
            raise self.judge.condemn("terminal", message)
        if deployment in self.ended:
            raise self.judge.condemn("terminal", f"{deployment} began again")

    def _note(self, record: Record, attempt: Attempt | None) -> None:
        match record.entry:
            case Begun():
                self.holder = record.by
                self.begun[record.by] += 1
            case TookOver():
                self.holder = record.by
            case Intended() as step if attempt is not None:
                self.intents[record.by] = Intent(
                    record=record, step=step, deployment=attempt.id
                )
            case Finished() if attempt is not None:
                self.ended.add(attempt.id)
            case _:
                pass

    def _mark(self, sequence: int) -> None:
        retiring = {
            entry.name
            for entry in self.state.fleets
            if entry.status is FleetStatus.RETIRING
        }
        if retiring != self.tombstones.keys():
            self.tombstones = {
                name: self.tombstones.get(name, sequence) for name in sorted(retiring)
            }


def _name(record: Record) -> str:
    return type(record.entry).__name__
