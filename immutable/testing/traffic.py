"""Rules about who gets traffic, and about what may be destroyed."""

from collections.abc import Callable

import attrs

from immutable.deploying.steps import Route
from immutable.ledger.goals import AdoptGoal, DeployGoal
from immutable.ledger.records import Finished
from immutable.ledger.state import FleetEntry, State
from immutable.model import WHOLE, FleetName, Outcome, Routing
from immutable.testing.books import Book, Intent
from immutable.testing.calls import Request
from immutable.testing.cloud import Cloud
from immutable.testing.holding import Holding
from immutable.testing.proof import FRESH_US, Measure, most, serviceable, whole
from immutable.testing.registers import Register
from immutable.testing.scheduling import to_us
from immutable.testing.servers import Fleet
from immutable.testing.trace import spell
from immutable.testing.violations import Judge

PERSON = "a person"
"""The name of the process that moves the switch by hand."""
_SIDES = 2


@attrs.define(eq=False)
class Traffic:
    """Judges every change of one service's routing, and every destruction."""

    judge: Judge
    cloud: Cloud
    book: Book
    holding: Holding
    drifted: Routing | None = None
    """What a person has routed, while it is not what the ledger expects."""
    drifted_at: int = 0
    """The ledger's last record when the person did so."""
    _left: Routing = attrs.field(factory=Routing, init=False)
    """What was routed before a person began to meddle."""
    _meddled: bool = attrs.field(default=False, init=False)
    _meddled_us: int = attrs.field(default=-1, init=False)
    """When a person last routed traffic."""
    _span_us: int = attrs.field(init=False)

    def __attrs_post_init__(self) -> None:
        """Know how old a reading may be."""
        self._span_us = FRESH_US + to_us(self.cloud.provider.staleness)

    def routed(
        self, request: Request, intent: Intent | None, before: Register, after: Register
    ) -> None:
        """Judge a write of the routing.

        Raises:
            Violation: one of the rules on traffic was broken.
        """
        if request.process.name == PERSON:
            self._moved_by_person(before.routing, after.routing)
            return
        raised = [
            fleet
            for fleet, weight in after.routing.weights
            if weight > before.routing.weight_of(fleet)
        ]
        for fleet in raised:
            self._check_proof(request, fleet, after)
            self._check_tombstone(intent, fleet)
        if after.routing.weights != before.routing.weights:
            self._check_drift(intent, after.routing)
            self._check_turn(intent, after.routing)
        self._check_sides(after.routing)

    def detached(self, fleet: FleetName) -> None:
        """Judge the end of a fleet's place.

        Raises:
            Violation: the fleet has traffic, or had it so lately that it may still have.
        """
        past = self.cloud.switch(self.book.service)
        since_us = self.cloud.now_us - to_us(self.cloud.provider.settle)
        if self.drifted is not None or self._meddled_us >= since_us:
            # nobody can know when a person took the traffic away
            return
        instants = (since_us, *past.changes(since_us, self.cloud.now_us))
        if any(past.at(us).routing.weight_of(fleet) for us in instants):
            message = f"{fleet} lost its place, and may still be served"
            raise self.judge.condemn("settled", message)

    def destroyed(self, fleet: Fleet) -> None:
        """Judge the end of a fleet.

        Raises:
            Violation: it has traffic, or a place.
        """
        for service, switch in self.cloud.switches.items():
            if switch.now.routing.mentions(fleet.name):
                message = f"{fleet.name} is destroyed, and has traffic of {service}"
                raise self.judge.condemn("destroyed", message)
            place = switch.now.place_of(fleet.name)
            # where places are not compared, an empty one may come late, and does no harm
            compared = switch.now.kind == "compare-and-set"
            if place is not None and (place.joined or compared):
                message = f"{fleet.name} is destroyed, and has a place at {service}"
                raise self.judge.condemn("destroyed", message)

    def ended(self, entry: Finished) -> None:
        """Judge what is served when a deployment has ended well, or is undone.

        Raises:
            Violation: it is not what the ledger says from here on.
        """
        routing = self.cloud.switch(self.book.service).now.routing
        if dict(routing.weights) == _live(self.book.state):
            # as it should be: it was adopted, or moved back
            self.drifted = None
        elif self._meddled and entry.outcome is Outcome.NEEDS_RECOVERY:
            # what a person did while it worked is left alone, and said
            self.drifted = routing
        if self.drifted is None and entry.outcome is not Outcome.NEEDS_RECOVERY:
            self._check_served(routing)

    def _moved_by_person(self, before: Routing, after: Routing) -> None:
        if after.weights == before.weights:
            return
        if self.drifted is None:
            self._left = before
        self._meddled = True
        self._meddled_us = self.cloud.now_us
        if self._is_expected(after):
            self.drifted = None
            return
        self.drifted = after
        self.drifted_at = self.book.state.sequence

    def _is_expected(self, routing: Routing) -> bool:
        """Return whether the engine cannot see that it was a person who routed this.

        It is what was routed before, or what it was going to route.
        """
        return routing.weights == self._left.weights or self._is_intended(routing)

    def _is_intended(self, routing: Routing) -> bool:
        attempt = self.book.state.attempt
        doubted = (attempt.pending, attempt.suspect) if attempt else ()
        steps = [pending.step for pending in doubted if pending]
        return any(
            isinstance(step, Route) and step.routing.weights == routing.weights
            for step in steps
        )

    def _check_proof(self, request: Request, fleet: FleetName, after: Register) -> None:
        entry = self.book.state.fleet(fleet)
        if entry is None:
            message = f"{fleet} gets traffic, and the ledger does not know it"
            raise self.judge.condemn("unknown", message)
        # nobody who is stopped can look again
        asked_us = request.sent_us - request.slept_us
        span_us = max(asked_us - self._span_us, 0), self.cloud.now_us
        service = self.book.service
        measure = self._measure(fleet)(self.cloud, service, entry)
        ready = most(measure, self.cloud, service, span_us)
        if not ready:
            weight = after.routing.weight_of(fleet)
            message = (
                f"{fleet} gets {weight}, and was not whole and ready between "
                f"{span_us[0] / 1e6:.3f} and {span_us[1] / 1e6:.3f}"
            )
            raise self.judge.condemn("unready", message)
        self._check_capacity(fleet, ready, span_us)

    def _measure(self, fleet: FleetName) -> Callable[[Cloud, str, FleetEntry], Measure]:
        """Return how this fleet has to be proven: less is asked of one to go back to."""
        attempt = self.book.state.attempt
        goal = attempt.goal if attempt and attempt.aborting else None
        back = isinstance(goal, DeployGoal) and goal.incumbent == fleet
        return serviceable if back else whole

    def _check_capacity(
        self, fleet: FleetName, ready: int, span_us: tuple[int, int]
    ) -> None:
        attempt = self.book.state.attempt
        goal = attempt.goal if attempt else None
        if not isinstance(goal, DeployGoal) or goal.fleet != fleet:
            return
        self.holding.shifted(goal, span_us)
        incumbent = self.book.state.fleet(goal.incumbent) if goal.incumbent else None
        if incumbent is None or goal.fixed_size:
            return
        size = self.holding.least_size_of(incumbent, span_us)
        if ready < size:
            message = f"{fleet} takes over with {ready}, from {size}"
            raise self.judge.condemn("capacity", message)

    def _check_tombstone(self, intent: Intent | None, fleet: FleetName) -> None:
        since = self.book.tombstones.get(fleet)
        if since is None or intent is None or intent.record.sequence < since:
            return
        message = f"{fleet} gets traffic, and is to be retired since record {since}"
        raise self.judge.condemn("tombstone", message)

    def _check_drift(self, intent: Intent | None, routing: Routing) -> None:
        if self.drifted is None:
            return
        attempt = self.book.state.attempt
        adopting = attempt is not None and isinstance(attempt.goal, AdoptGoal)
        blind = self.cloud.provider.switch == "blind"
        knew = intent is not None and intent.record.sequence > self.drifted_at
        if adopting or self._is_as_before() or (blind and not knew):
            self.drifted = None
            return
        message = f"a person routed {spell(self.drifted)}; it became {spell(routing)}"
        raise self.judge.condemn("drift", message)

    def _is_as_before(self) -> bool:
        """Return whether a person did what whoever has a write in doubt takes for its absence.

        That is what was live before the deployment, or what it wrote before that write.
        """
        if self.drifted is None:
            return False
        attempt = self.book.state.attempt
        routed = attempt.routed.weights if attempt and attempt.routed else None
        is_live = dict(self.drifted.weights) == _live(self.book.state)
        return is_live or self.drifted.weights == routed

    def _check_turn(self, intent: Intent | None, routing: Routing) -> None:
        """Only the deployment that is open may move traffic."""
        if self.drifted is not None:
            return
        attempt = self.book.state.attempt
        if attempt is None:
            self._check_served(routing)
        elif intent is not None and intent.deployment != attempt.id:
            message = (
                f"{intent.deployment} moved traffic in the turn of {attempt.id}, "
                f"to {spell(routing)}"
            )
            raise self.judge.condemn("turn", message)

    def _check_served(self, routing: Routing) -> None:
        expected = _live(self.book.state)
        if dict(routing.weights) != expected:
            message = f"{spell(routing)} is served, and the ledger says {expected}"
            raise self.judge.condemn("served", message)

    def _check_sides(self, routing: Routing) -> None:
        fleets = [fleet for fleet, _ in routing.weights]
        exist = self.cloud.fleets.now
        if len(fleets) > _SIDES or any(fleet not in exist for fleet in fleets):
            raise self.judge.condemn("routing", f"{spell(routing)} cannot be served")


def _live(state: State) -> dict[FleetName, int]:
    return {state.live.name: WHOLE} if state.live else {}
