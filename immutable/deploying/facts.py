"""What can be read of the world, and what has been read so far, with its age.

A fact that nobody asked for is never read: API calls are a cost. A rule that needs a
fact which is missing or too old asks for it by raising `Missing`, and `decide` answers
with a `Look`.
"""

from collections.abc import Mapping
from datetime import datetime, timedelta
from types import MappingProxyType
from typing import cast

import attrs

from immutable.judging import Verdict
from immutable.model import (
    FleetName,
    FleetView,
    InstanceLog,
    Probe,
    SwitchView,
)


@attrs.frozen(kw_only=True)
class Reason:
    """Why a deployment stops: an error in the form that the ledger can keep."""

    kind: str
    """The name of the class in `immutable.errors`."""
    message: str
    hint: str = ""


@attrs.frozen(kw_only=True)
class SwitchFact:
    """How the switch routes now."""


@attrs.frozen(kw_only=True)
class FleetFact:
    """Which instances a fleet has; None when nothing of it exists."""

    fleet: FleetName


@attrs.frozen(kw_only=True)
class HealthFact:
    """How ready the switch finds each member of a fleet."""

    fleet: FleetName


@attrs.frozen(kw_only=True)
class SessionsFact:
    """How many requests a fleet is serving; None when the switch cannot tell."""

    fleet: FleetName


@attrs.frozen(kw_only=True)
class VerdictsFact:
    """What the validators say of a fleet, on the preview route or on live traffic."""

    fleet: FleetName
    live: bool


@attrs.frozen(kw_only=True)
class EvidenceFact:
    """What a fleet's instances said; collected before they are destroyed."""

    fleet: FleetName


Fact = SwitchFact | FleetFact | HealthFact | SessionsFact | VerdictsFact | EvidenceFact
Value = (
    SwitchView
    | FleetView
    | tuple[Probe, ...]
    | tuple[Verdict, ...]
    | tuple[InstanceLog, ...]
    | int
    | None
)


class Missing(Exception):
    """A rule needs this fact."""

    def __init__(self, fact: Fact) -> None:
        super().__init__(fact)
        self.fact = fact


@attrs.frozen(kw_only=True)
class Seen:
    """A value, and when it was read."""

    value: Value
    at: datetime


@attrs.frozen(kw_only=True)
class World:
    """Everything that has been read and not been spoilt since, and the time."""

    now: datetime
    facts: Mapping[Fact, Seen] = MappingProxyType({})
    stop: Reason | None = None
    """Set when the caller wants to stop, or its time is over."""

    def switch(self, *, fresh: timedelta | None = None) -> SwitchView:
        """Return the switch as it was read."""
        return cast("SwitchView", self._need(SwitchFact(), fresh))

    def read_at(self, fact: Fact) -> datetime:
        """Return when a fact was read."""
        self._need(fact, None)
        return self.facts[fact].at

    def fleet(
        self, fleet: FleetName, *, fresh: timedelta | None = None
    ) -> FleetView | None:
        """Return the fleet as it was read; None when nothing of it exists."""
        return cast("FleetView | None", self._need(FleetFact(fleet=fleet), fresh))

    def health(
        self, fleet: FleetName, *, fresh: timedelta | None = None
    ) -> tuple[Probe, ...]:
        """Return the switch's probes of the fleet."""
        return cast("tuple[Probe, ...]", self._need(HealthFact(fleet=fleet), fresh))

    def sessions(self, fleet: FleetName) -> int | None:
        """Return the fleet's sessions; None when the switch cannot tell."""
        return cast("int | None", self._need(SessionsFact(fleet=fleet), None))

    def verdicts(self, fleet: FleetName, *, live: bool) -> tuple[Verdict, ...]:
        """Return the validators' verdicts."""
        return cast(
            "tuple[Verdict, ...]",
            self._need(VerdictsFact(fleet=fleet, live=live), None),
        )

    def evidence(self, fleet: FleetName) -> tuple[InstanceLog, ...]:
        """Return what the fleet's instances said."""
        return cast(
            "tuple[InstanceLog, ...]", self._need(EvidenceFact(fleet=fleet), None)
        )

    def learn(self, fact: Fact, value: Value) -> "World":
        """Return the world with one more fact, read now."""
        return self._with({**self.facts, fact: Seen(value=value, at=self.now)})

    def at(self, now: datetime, stop: Reason | None) -> "World":
        """Return the same knowledge, later."""
        return World(now=now, facts=self.facts, stop=stop)

    def forget(self, *facts: Fact) -> "World":
        """Return the world without these facts."""
        kept = {fact: seen for fact, seen in self.facts.items() if fact not in facts}
        return self._with(kept)

    def forget_all(self) -> "World":
        """Return the world with nothing known but the evidence, which does not age."""
        kept: dict[Fact, Seen] = {
            fact: seen
            for fact, seen in self.facts.items()
            if isinstance(fact, EvidenceFact)
        }
        return self._with(kept)

    def _with(self, facts: Mapping[Fact, Seen]) -> "World":
        # the constructor is several times faster than attrs.evolve, and this is hot
        return World(now=self.now, facts=facts, stop=self.stop)

    def _need(self, fact: Fact, fresh: timedelta | None) -> Value:
        seen = self.facts.get(fact)
        if seen is None or (fresh is not None and self.now - seen.at > fresh):
            raise Missing(fact)
        return seen.value
