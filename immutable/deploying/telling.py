"""Tells callers what happens, as typed events, and keeps the reports for the result."""

from collections.abc import Callable
from datetime import datetime
from typing import cast

from immutable import events
from immutable.deploying.facts import Fact, Reason, Value, VerdictsFact
from immutable.deploying.steps import (
    Effect,
    Finish,
    Join,
    Launch,
    Replace,
    Resize,
    Route,
    Thaw,
    Wait,
    name_of,
)
from immutable.host import Host
from immutable.judging import Verdict
from immutable.model import FleetName, Routing
from immutable.results import StepReport


def detail_of(effect: Effect) -> str:
    """Return what a step is about, in a few words."""
    match effect:
        case Launch(spec=spec) | Resize(spec=spec):
            return f"{spec.size} instances of {spec.image.id}"
        case Replace(instance=instance):
            return instance
        case Join(members=members):
            return f"{len(members)} members"
        case Route(routing=routing):
            return spell_routing(routing)
        case Thaw(like=str() as like):
            return f"like {like}"
        case _:
            return ""


def spell_routing(routing: Routing) -> str:
    """Return a routing as people read it."""
    weights = [f"{weight}% {fleet}" for fleet, weight in routing.weights]
    shown = [f"preview {routing.preview}"] if routing.preview else []
    return ", ".join([*weights, *shown]) or "nothing"


class Teller:
    """Remembers what was said last, so that waiting is not told over and over."""

    def __init__(self, tell: Callable[[events.Event], None], host: Host) -> None:
        self._tell = tell
        self._host = host
        self._waiting_on = ""
        self._verdicts: dict[tuple[FleetName, bool, str], Verdict] = {}
        self.reports: list[StepReport] = []

    def started(self, effect: Effect) -> datetime:
        """Tell that an effect begins, and return when."""
        now = self._host.now()
        detail = detail_of(effect)
        self._waiting_on = ""
        self._tell(
            events.StepStarted(
                at=now, step=name_of(effect), fleet=effect.fleet, detail=detail
            )
        )
        return now

    def finished(
        self, effect: Effect, began: datetime, result: str, error: BaseException | None
    ) -> None:
        """Tell how an effect ended, and keep the report."""
        now = self._host.now()
        detail = str(error) if error else detail_of(effect)
        report = StepReport(
            step=name_of(effect),
            fleet=effect.fleet,
            result=result,
            took=now - began,
            detail=detail,
        )
        self.reports.append(report)
        self._tell(
            events.StepFinished(
                at=now,
                step=report.step,
                fleet=report.fleet,
                took=report.took,
                result=result,
                detail=detail,
            )
        )

    def shifted(self, effect: Effect, began: datetime, before: Routing | None) -> None:
        """Tell that production traffic has moved, where the effect has moved it."""
        if not isinstance(effect, Route) or before is None:
            return
        if effect.routing.weights != before.weights:
            now = self._host.now()
            self._tell(events.Shifted(at=now, routing=effect.routing, took=now - began))

    def waiting(self, step: Wait) -> None:
        """Tell what the deployment waits on, when that has changed."""
        if step.on == self._waiting_on:
            return
        self._waiting_on = step.on
        self._tell(events.Waiting(at=self._host.now(), on=step.on, until=step.until))

    def looked(self, fact: Fact, value: Value) -> None:
        """Tell the verdicts that are new."""
        if isinstance(fact, VerdictsFact):
            for verdict in cast("tuple[Verdict, ...]", value):
                self._judged(fact, verdict)

    def turned_back(self, reason: Reason) -> None:
        """Tell that the deployment has failed."""
        self._tell(
            events.TurnedBack(
                at=self._host.now(), kind=reason.kind, message=reason.message
            )
        )

    def ended(self, step: Finish) -> None:
        """Tell how the deployment ended."""
        message = step.reason.message if step.reason else ""
        self._tell(
            events.Ended(at=self._host.now(), outcome=step.outcome, message=message)
        )

    def _judged(self, fact: VerdictsFact, verdict: Verdict) -> None:
        key = (fact.fleet, fact.live, verdict.validator)
        said = self._verdicts.get(key)
        if said is not None and said.status == verdict.status:
            return
        self._verdicts[key] = verdict
        now = self._host.now()
        self._tell(
            events.Judged(at=now, fleet=fact.fleet, live=fact.live, verdict=verdict)
        )
