"""Fleets that their provider heals and scales by itself: held back while they are judged.

A fleet is launched frozen. What serves is frozen when the new side has passed its tests, so
that the size which is read next stays true and nothing is scaled in that is idle in the
bake; it stays so as the standby, which is to be whole when it is needed. The new side is let
go at the very end, by the rules of the one that it takes over from: to intend that is to
commit. Whoever turns back lets go of what this deployment has frozen, and of nothing else.
"""

from datetime import datetime, timedelta

import attrs

from immutable.deploying.facts import FleetFact
from immutable.deploying.steps import Decision, Finish, Freeze, Thaw, Wait
from immutable.deploying.view import FRESH, Scene, Whole
from immutable.ledger.goals import AdoptGoal, DeployGoal
from immutable.ledger.state import FleetEntry, FleetStatus
from immutable.model import FleetName, FleetView, Outcome

_BREATH = timedelta(milliseconds=50)


def freeze_what_serves(scene: Scene, goal: DeployGoal) -> Decision | None:
    """Keep the incumbent as it is from here on: its size is read next, and must stay true."""
    entry = scene.state.fleet(goal.incumbent) if goal.incumbent else None
    if entry is None or not scene.context.backend.scales_itself:
        return None
    view = scene.world.fleet(entry.name, fresh=FRESH)
    old = attrs.evolve(scene, entry=entry)
    if view is None:
        return _seen_since(old, scene.attempt.begun_at)
    if view.frozen is None:
        return None
    if not view.frozen:
        return Freeze(fleet=entry.name)
    return _seen_since(old, entry.thawed_at)


def hold_still(scene: Scene, _goal: DeployGoal) -> Decision | None:
    """Freeze the new side where a call that came late, or twice, has let it go."""
    if scene.is_thawed and scene.fleet not in scene.attempt.thawing:
        return Freeze(fleet=scene.fleet)
    return None


def _seen_since(scene: Scene, since: datetime | None) -> Decision | None:
    """Wait for a reading that cannot be from before: the fleet was let go, or not there."""
    fact = FleetFact(fleet=scene.fleet)
    if since is None:
        return None
    until = since + scene.context.backend.staleness
    if scene.world.read_at(fact) >= until:
        return None
    pause = max(until - scene.now, _BREATH)
    return Wait(
        on=f"{scene.fleet} to be shown", facts=(fact,), pause=pause, until=until + pause
    )


def be_committed(scene: Scene, goal: DeployGoal) -> Decision | None:
    """End what was found good: whom the provider scales again is not judged any more."""
    if scene.fleet in scene.attempt.thawed:
        return Finish(outcome=Outcome.LIVE, live=scene.fleet)
    # once that is asked for it may have taken effect
    return thaw_the_new(scene, goal) if scene.fleet in scene.attempt.thawing else None


def thaw_the_new(scene: Scene, goal: DeployGoal) -> Decision | None:
    """Let the new side go, by the rules of the one that it takes over from."""
    if not scene.context.backend.scales_itself or scene.fleet in scene.attempt.thawed:
        return None
    return Thaw(fleet=scene.fleet, like=goal.incumbent)


def undone(scene: Scene, goal: DeployGoal) -> Decision | None:
    """Let go of what this deployment has frozen, and freeze what it has let go."""
    if goal.incumbent is not None and goal.incumbent in scene.attempt.froze:
        return Thaw(fleet=goal.incumbent)
    if goal.reused and scene.fleet in scene.attempt.thawing:
        return Freeze(fleet=scene.fleet)
    return None


def adopted(whole: Whole, goal: AdoptGoal) -> Decision | None:
    """Freeze what served by the ledger, and let go of what serves from here on."""
    if not whole.context.backend.scales_itself:
        return None
    live = whole.state.live.name if whole.state.live else None
    before = live if live != goal.fleet else None
    if before is not None and _is_frozen(whole, before) is False:
        return Freeze(fleet=before)
    if goal.fleet is None or not _is_frozen(whole, goal.fleet):
        return None
    return Thaw(fleet=goal.fleet, like=before)


def _is_frozen(whole: Whole, fleet: FleetName) -> bool | None:
    view = whole.world.fleet(fleet)
    return view.frozen if view else None


def mend(scene: Scene) -> Decision | None:
    """Freeze or let go what a call that landed late has left otherwise."""
    if not is_astray(scene.entry, scene.world.fleet(scene.fleet)):
        return None
    if scene.entry.status is FleetStatus.LIVE:
        return Thaw(fleet=scene.fleet)
    return Freeze(fleet=scene.fleet)


def is_astray(entry: FleetEntry, view: FleetView | None) -> bool:
    """Return whether a fleet is not held as it is to be, and a call of ours may be why.

    What a person has frozen, whose fleet this ledger asked nothing of lately, stays so.
    """
    if view is None or view.frozen is None or entry.frozen is None:
        return False
    return view.frozen is (entry.status is FleetStatus.LIVE)
