"""How the service stands: as the ledger says, and as HAProxy says."""

import attrs

from immutable.ledger.state import FleetEntry, State
from immutable.model import FleetName
from proofs.sigkill.census import journal_of, look_at_switch
from proofs.sigkill.site import Site
from proofs.sigkill.verbs import Verb

_WHOLE = 100


@attrs.frozen(kw_only=True)
class Standing:
    """Which releases, by their marks, None where there is none; and the live fleet."""

    live: str | None
    """By the ledger."""
    routed: str | None
    """By HAProxy."""
    warm: str | None
    """The one to roll back to, where its fleet is still there."""
    fleet: FleetName | None
    size: int


def standing(site: Site) -> Standing:
    """Look at the ledger and at HAProxy.

    Raises:
        RuntimeError: production is on no fleet of the ledger, or on several.
    """
    state = journal_of(site).state
    return Standing(
        live=_mark(state.live),
        routed=_routed(site, state),
        warm=_mark(_warm(state)),
        fleet=state.live.name if state.live else None,
        size=state.live.size if state.live else 0,
    )


def needed_before(verb: Verb, now: Standing, size: int) -> Verb | None:
    """Return what to do first, so that a verb does the same as it always does.

    Args:
        verb: what is to be done.
        now: how the service stands.
        size: how many instances the live fleet has, unless it has grown.
    """
    has_grown = now.size > size
    if verb is Verb.SHRINK:
        return None if has_grown else Verb.GROW
    if has_grown:
        return Verb.SHRINK
    return Verb.DEPLOY if verb is Verb.ROLLBACK and now.warm is None else None


def _routed(site: Site, state: State) -> str | None:
    entries = look_at_switch(site).entries
    slots = {entries.get(str(share)) for share in range(_WHOLE)}
    if slots == {None}:
        return None
    fleets = {entries.get(f"fleet.{slot}") for slot in slots}
    marks = {_mark(entry) for entry in state.fleets if entry.name in fleets}
    if len(slots) != 1 or len(marks) != 1:
        raise RuntimeError(f"production is on {fleets}, of releases {marks}")
    return marks.pop()


def _warm(state: State) -> FleetEntry | None:
    live, standby = state.live, state.standby
    if live is None or standby is None:
        return None
    earlier = (r.number for r in state.releases if r.number < live.release.number)
    return standby if standby.release.number == max(earlier, default=None) else None


def _mark(entry: FleetEntry | None) -> str | None:
    return dict(entry.release.configuration)["mark"] if entry else None
