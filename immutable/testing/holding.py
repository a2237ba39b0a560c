"""Rules about fleets that their provider heals and scales by itself."""

from collections.abc import Iterator

import attrs

from immutable.deploying.steps import Freeze, Resize
from immutable.ledger.goals import AdoptGoal, DeployGoal, Goal, HealGoal
from immutable.ledger.records import Begun, Entry, Finished, Intended
from immutable.ledger.state import FleetEntry, FleetStatus, State
from immutable.model import FleetName, Outcome
from immutable.testing.books import Intent
from immutable.testing.calls import Request
from immutable.testing.cloud import Cloud
from immutable.testing.groups import KEEP, Group
from immutable.testing.servers import Fleet
from immutable.testing.violations import Judge


@attrs.define(eq=False)
class Holding:
    """Judges who changes fleets, and how they are left."""

    judge: Judge
    cloud: Cloud
    persons: set[FleetName] = attrs.field(factory=set)
    """Fleets that a person has frozen, and nobody else may let go."""
    _goal: Goal | None = None

    def changed(self, request: Request, before: Fleet | None) -> None:
        """Judge a change of a fleet.

        Raises:
            Violation: its provider has changed it by itself, though it is frozen.
        """
        if request.call != KEEP or before is None or before.group is None:
            return
        if before.group.frozen:
            message = f"{before.name} is frozen, and its provider changed it"
            raise self.judge.condemn("frozen", message)

    def sent(self, intent: Intent) -> None:
        """Judge what is going to be done to a fleet.

        Raises:
            Violation: healing makes one smaller that its provider scales.
        """
        step = intent.step.step
        if not isinstance(self._goal, HealGoal) or not isinstance(step, Resize):
            return
        fleet = self.cloud.fleets.now.get(step.fleet)
        if fleet is None or fleet.group is None or fleet.group.frozen:
            return
        if step.spec.size < fleet.spec.size or step.remove:
            message = (
                f"{step.fleet} has {fleet.spec.size}, and is healed to {step.spec.size}"
            )
            raise self.judge.condemn("capacity", message)

    def appended(self, entry: Entry, state: State) -> None:
        """Judge what the ledger says, and note what it was going to do.

        Raises:
            Violation: the rules by which a fleet is scaled have not been carried over.
        """
        match entry:
            case Begun(goal=goal):
                self._goal = goal
                # whoever makes a fleet live lets it go
                if isinstance(goal, DeployGoal | AdoptGoal) and goal.fleet:
                    self.persons.discard(goal.fleet)
            case Intended(step=Freeze(fleet=fleet)):
                self.persons.discard(fleet)
            case Finished(outcome=Outcome.LIVE) if isinstance(self._goal, DeployGoal):
                self._check_policies(self._goal, state)
            case _:
                pass

    def shifted(self, goal: DeployGoal, span_us: tuple[int, int]) -> None:
        """Judge a write that gives more weight to the new side.

        Args:
            goal: which sides there are.
            span_us: from the earliest look that the write may rest upon to its landing: a
                call of the past may have come late within it, and let a fleet go.

        Raises:
            Violation: all that time somebody else could change one of the two sides.
        """
        for name in (goal.fleet, goal.incumbent):
            fleets = tuple(self._within(name, span_us)) if name else ()
            groups = [fleet.group for fleet in fleets if fleet.group is not None]
            if groups and not any(group.frozen for group in groups):
                message = f"{goal.fleet} gets weight while {name} is not frozen"
                raise self.judge.condemn("frozen", message)

    def least_size_of(self, entry: FleetEntry, span_us: tuple[int, int]) -> int:
        """Return the least that a fleet was to have in a span; see `shifted`."""
        sizes = [f.spec.size for f in self._within(entry.name, span_us) if f.group]
        return min(sizes, default=entry.size)

    def size_of(self, entry: FleetEntry) -> int:
        """Return how many instances a fleet is to have, by whoever decides that."""
        fleet = self.cloud.fleets.now.get(entry.name)
        return fleet.spec.size if fleet and fleet.group else entry.size

    def rests(self, entry: FleetEntry) -> None:
        """Judge how a fleet is left when all has come to rest.

        Raises:
            Violation: what serves is frozen, or the standby is not; or the other way round
                where a person wants it so.
        """
        group = self._group(entry.name)
        if group is None:
            return
        held = entry.status is not FleetStatus.LIVE or entry.name in self.persons
        if group.frozen != held:
            said = "frozen" if group.frozen else "not frozen"
            message = f"{entry.name} is {entry.status}, and {said}"
            raise self.judge.condemn("held", message)

    def _check_policies(self, goal: DeployGoal, state: State) -> None:
        new, old = self._group(goal.fleet), self._group(goal.incumbent)
        live = state.live
        if new is None or old is None or live is None or live.name != goal.fleet:
            return
        if (new.policies, new.least) != (old.policies, min(old.least, new.most)):
            message = f"{goal.fleet} is scaled by {new}, and took over from {old}"
            raise self.judge.condemn("policies", message)

    def _within(self, name: FleetName, span_us: tuple[int, int]) -> Iterator[Fleet]:
        first_us, last_us = span_us
        for when_us in (first_us, *self.cloud.fleets.changes(first_us, last_us)):
            if fleet := self.cloud.fleets.at(when_us).get(name):
                yield fleet

    def _group(self, name: FleetName | None) -> Group | None:
        fleet = self.cloud.fleets.now.get(name) if name else None
        return fleet.group if fleet else None
