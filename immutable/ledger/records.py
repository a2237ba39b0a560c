"""What the ledger keeps: one numbered record for each intent, outcome and ending.

The state of a service is a fold over its records (`immutable.ledger.fold`). Records are
written in the newest schema and every released schema can be read.
"""

import enum
from datetime import datetime

import attrs

from immutable.deploying.facts import Reason
from immutable.deploying.steps import Effect
from immutable.ledger.goals import Goal
from immutable.ledger.state import FleetEntry, State
from immutable.model import DeploymentId, FleetName, Outcome

SCHEMA = 1


class Result(enum.StrEnum):
    """What became of an effect."""

    APPLIED = "applied"
    NOT_APPLIED = "not applied"
    UNKNOWN = "unknown"


@attrs.frozen(kw_only=True)
class Begun:
    """A deployment begins; its number in the stream is its fencing token."""

    deployment: DeploymentId
    goal: Goal


@attrs.frozen(kw_only=True)
class Intended:
    """An effect is about to happen, with exactly these parameters."""

    number: int
    step: Effect


@attrs.frozen(kw_only=True)
class Settled:
    """What became of the effect with this number."""

    number: int
    result: Result
    reason: Reason | None = None


@attrs.frozen(kw_only=True)
class Renewed:
    """The deployer is alive and waiting."""


@attrs.frozen(kw_only=True)
class TookOver:
    """Another deployer goes on where a dead one stopped."""


@attrs.frozen(kw_only=True)
class Aborting:
    """The deployment turns back; its own new fleet is a tombstone from here on."""

    reason: Reason


@attrs.frozen(kw_only=True)
class Finished:
    """The deployment has ended. Nothing that is said of it later counts."""

    outcome: Outcome
    live: FleetName | None
    reason: Reason | None = None
    leftovers: tuple[str, ...] = ()


@attrs.frozen(kw_only=True)
class Paused:
    """The deployer gave up and let go of the lease; recovery goes on from here."""

    reason: Reason
    leftovers: tuple[str, ...] = ()


@attrs.frozen(kw_only=True)
class Restored:
    """The ledger was lost; this is what tags and the switch still say."""

    live: FleetEntry | None
    next_release: int
    strays: tuple[FleetName, ...]
    """Fleets whose part is not known: only an explicit sweep retires them."""


@attrs.frozen(kw_only=True)
class Snapshot:
    """The whole state, so that reading it does not cost more as history grows."""

    state: State


Entry = (
    Begun
    | Intended
    | Settled
    | Renewed
    | TookOver
    | Aborting
    | Paused
    | Finished
    | Restored
    | Snapshot
)


@attrs.frozen(kw_only=True)
class Record:
    """An entry with its place, time and writer."""

    sequence: int
    at: datetime
    by: str
    """Names the writing process: host, boot, process and its start."""
    lease_until: datetime | None
    """Until when the writer may be presumed alive; None ends its lease."""
    snapshot: int
    """The sequence of the latest snapshot at or before this record; 0 for none."""
    nonce: str
    """Told apart from a rival's record after an ambiguous append."""
    entry: Entry
    schema: int = SCHEMA
