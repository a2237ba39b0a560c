"""Which release production is on: as the ledger says, and as HAProxy says."""

import attrs

from immutable.ledger.state import FleetEntry, State
from proofs.sigkill.census import journal_of, look_at_switch
from proofs.sigkill.site import Site

_WHOLE = 100


@attrs.frozen(kw_only=True)
class Standing:
    """The marks of releases, None where there is none."""

    live: str | None
    """By the ledger."""
    routed: str | None
    """By HAProxy."""
    warm: str | None
    """Of the release to roll back to, where its fleet is still there."""


def standing(site: Site) -> Standing:
    """Look at the ledger and at HAProxy.

    Raises:
        RuntimeError: production is on no fleet of the ledger, or on several.
    """
    state = journal_of(site).state
    return Standing(
        live=_mark(state.live), routed=_routed(site, state), warm=_mark(_warm(state))
    )


def _routed(site: Site, state: State) -> str | None:
    entries = look_at_switch(site).entries
    slots = {entries.get(str(share)) for share in range(_WHOLE)}
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
