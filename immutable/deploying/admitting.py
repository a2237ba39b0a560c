"""Whether a deployment may begin, and what it is to achieve. Pure."""

import attrs

from immutable.errors import Contention, Drift, Refused, UnknownRelease
from immutable.ledger.goals import (
    AdoptGoal,
    DeployGoal,
    Goal,
    HealGoal,
    ScaleGoal,
    TidyGoal,
)
from immutable.ledger.state import FleetEntry, FleetStatus, State
from immutable.model import (
    WHOLE,
    DeploymentId,
    LedgerId,
    Release,
    ReleaseNumber,
    Routing,
    SwitchView,
)
from immutable.names import fleet_name
from immutable.service import Service
from immutable.strategies import Strategy
from immutable.validators.run import name_of


def check_free(state: State, *, leased: bool) -> None:
    """Refuse while another deployer is at work.

    Raises:
        Contention: naming what it does.
    """
    if state.attempt is None or not leased:
        return
    raise Contention(
        f"a {verb_of(state.attempt.goal)} of this service is in progress, by {state.owner}",
        hint="wait for it to end; status() shows it",
    )


def check_drift(state: State, view: SwitchView, ledger: LedgerId | None) -> None:
    """Refuse when the switch is not what the ledger says.

    Raises:
        Drift: saying how they disagree.
    """
    if problem := drift(state, view, ledger):
        raise Drift(
            problem, hint="check the ledger's path and who else uses this switch"
        )


def drift(state: State, view: SwitchView, ledger: LedgerId | None) -> str | None:
    """Return in words how switch and ledger disagree; None when they agree."""
    used = bool(view.routing.weights or view.attachments)
    if used and view.owner != ledger:
        return f"the switch obeys ledger {view.owner}, this one is {ledger}"
    expected = {state.live.name: WHOLE} if state.live else {}
    found = dict(view.routing.weights)
    if found != expected:
        return f"the switch sends traffic to {found}, the ledger says {expected}"
    return None


def check_no_tombstone(entry: FleetEntry) -> None:
    """Refuse to give traffic to a fleet whose end has been decided.

    Raises:
        Refused: it is being retired.
    """
    if entry.status is FleetStatus.RETIRING:
        raise Refused(
            f"fleet {entry.name} is being retired: it gets no traffic again",
            hint="deploy its release anew: rollback(service, to=…)",
        )


def is_live_already(state: State, release: Release) -> bool:
    """Return whether exactly this release serves now."""
    return state.live is not None and state.live.release.digest == release.digest


def rollback_target(
    state: State, releases: tuple[Release, ...], to: int | None
) -> Release:
    """Return the release to go back to: the given one, or the latest earlier one.

    Args:
        state: what the ledger says.
        releases: every release that was ever live, ascending.
        to: a release number, or None for the highest earlier one.

    Raises:
        UnknownRelease: there is none such, saying which there are.
    """
    live = state.live
    if to is not None:
        found = next((r for r in releases if r.number == to), None)
    else:
        earlier = [
            r for r in releases if live is not None and r.number < live.release.number
        ]
        found = earlier[-1] if earlier else None
    if found is not None:
        return found
    known = ", ".join(f"v{r.number}" for r in releases) or "none"
    wanted = (
        f"release {to!r} was never live"
        if to is not None
        else "no earlier release was live"
    )
    raise UnknownRelease(f"{wanted}; releases that were: {known}", hint="see history()")


@attrs.frozen(kw_only=True)
class Wish:
    """What a caller asks of a deployment beyond the service's own settings."""

    verb: str
    release: Release
    size: int | None
    strategy: Strategy


def goal_for(
    service: Service, state: State, wish: Wish, deployment: DeploymentId
) -> DeployGoal:
    """Return the goal of making a release live, on a warm fleet where there is one."""
    warm = _warm(state, wish.release.number)
    live = state.live
    weights = {live.name: WHOLE} if live else {}
    validators = (
        *service.validators,
        *((wish.strategy.judge,) if wish.strategy.judge else ()),
    )
    return DeployGoal(
        verb=wish.verb,
        release=wish.release,
        fleet=warm.name
        if warm
        else fleet_name(service.name, wish.release.number, deployment),
        reused=warm is not None,
        size=wish.size or max(service.size, live.size if live else 0),
        fixed_size=wish.size is not None,
        incumbent=live.name if live else None,
        before=Routing(weights=weights),
        stages=wish.strategy.stages,
        keep_warm=wish.strategy.keep_warm,
        validators=tuple(name_of(v) for v in validators),
        ready_timeout=service.ready_timeout,
        validate_timeout=service.validate_timeout,
        drain=service.drain,
    )


def new_instances(state: State, goal: DeployGoal) -> int:
    """Return how many instances will be created beside those that exist."""
    entry = state.fleet(goal.fleet)
    return max(goal.size - (entry.size if entry else 0), 0)


def verb_of(goal: Goal) -> str:
    """Return the word for what a deployment does."""
    match goal:
        case DeployGoal(verb=verb):
            return verb
        case ScaleGoal():
            return "scale"
        case HealGoal():
            return "heal"
        case TidyGoal(closing=closing):
            return "destroy" if closing else "retire"
        case AdoptGoal():
            return "adopt"


def _warm(state: State, number: ReleaseNumber) -> FleetEntry | None:
    standby = state.standby
    return standby if standby is not None and standby.release.number == number else None
