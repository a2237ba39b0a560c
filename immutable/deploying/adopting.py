"""Accepting what the switch does: the fleet that serves becomes this ledger's own."""

from immutable.deploying.facts import HealthFact
from immutable.deploying.freezing import adopted
from immutable.deploying.steps import Decision, Finish, Route, Wait
from immutable.deploying.view import FRESH, Whole
from immutable.deploying.view import whole as is_whole
from immutable.ledger.goals import AdoptGoal
from immutable.model import WHOLE, FleetName, Outcome, Routing


def adopt(whole: Whole, goal: AdoptGoal, *, exhausted: bool) -> Decision:
    """Return the next step towards a switch that obeys this ledger, wholly on one side."""
    view = whole.world.switch()
    wanted = Routing(weights={goal.fleet: WHOLE} if goal.fleet else {})
    if (view.owner, view.routing) == (whole.context.ledger, wanted):
        holding = None if exhausted else adopted(whole, goal)
        return holding or Finish(outcome=Outcome.LIVE, live=goal.fleet)
    if exhausted:
        return _leave(whole)
    moved = view.routing.weights != wanted.weights
    if moved and goal.fleet and (unready := _ready(whole, goal, goal.fleet)):
        return unready
    return Route(
        fleet=goal.fleet or FleetName(""), routing=wanted, expected=view.version
    )


def _ready(whole: Whole, goal: AdoptGoal, fleet: FleetName) -> Decision | None:
    probes = whole.world.health(fleet, fresh=FRESH)
    if is_whole(probes, 1):
        return None
    until = whole.attempt.begun_at + goal.ready_timeout
    if whole.world.now >= until:
        return _leave(whole)
    facts = (HealthFact(fleet=fleet),)
    return Wait(
        on=f"{fleet} to be ready", facts=facts, pause=whole.context.poll, until=until
    )


def _leave(whole: Whole) -> Finish:
    live = whole.state.live.name if whole.state.live else None
    reason = whole.attempt.trouble or whole.world.stop
    return Finish(outcome=Outcome.ROLLED_BACK, live=live, reason=reason)
