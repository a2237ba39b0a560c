"""What callers observe while a deployment runs, through ``on_event``.

Events are told in order, from the thread that runs the deployment. An ``on_event`` that
raises is logged and never disturbs the deployment.
"""

from collections.abc import Callable
from datetime import datetime, timedelta

import attrs

from immutable.judging import Verdict
from immutable.model import (
    DeploymentId,
    FleetName,
    Outcome,
    Release,
    Routing,
    ServiceName,
)


@attrs.frozen(kw_only=True)
class Started:
    """A deployment has begun: from here on the ledger knows of it."""

    at: datetime
    service: ServiceName
    deployment: DeploymentId
    verb: str
    """``deploy``, ``rollback``, ``scale``, ``heal``, ``retire`` or ``recover``."""
    fleet: FleetName | None = None
    release: Release | None = None


@attrs.frozen(kw_only=True)
class StepStarted:
    """An effect is about to happen; its intent is in the ledger."""

    at: datetime
    step: str
    fleet: FleetName
    detail: str = ""


@attrs.frozen(kw_only=True)
class StepFinished:
    """An effect has happened, or has failed."""

    at: datetime
    step: str
    fleet: FleetName
    took: timedelta
    result: str
    detail: str = ""


@attrs.frozen(kw_only=True)
class Waiting:
    """The deployment waits; told again only when what it waits on has changed."""

    at: datetime
    on: str
    until: datetime


@attrs.frozen(kw_only=True)
class Judged:
    """A validator has reached a verdict; told again only when the verdict changes."""

    at: datetime
    fleet: FleetName
    live: bool
    verdict: Verdict


@attrs.frozen(kw_only=True)
class Shifted:
    """The switch has acknowledged a routing that moves production traffic."""

    at: datetime
    routing: Routing
    took: timedelta


@attrs.frozen(kw_only=True)
class TurnedBack:
    """The deployment has failed and now undoes what it did."""

    at: datetime
    kind: str
    message: str


@attrs.frozen(kw_only=True)
class Ended:
    """The deployment has ended."""

    at: datetime
    outcome: Outcome
    message: str = ""


@attrs.frozen(kw_only=True)
class Output:
    """A line that an image build has printed."""

    at: datetime
    line: str


Event = (
    Started
    | StepStarted
    | StepFinished
    | Waiting
    | Judged
    | Shifted
    | TurnedBack
    | Ended
    | Output
)
OnEvent = Callable[[Event], None]
"""What hears of events, in order, from the calling thread."""
