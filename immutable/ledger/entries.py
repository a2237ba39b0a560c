"""Changing single entries of a state."""

from datetime import datetime

from immutable.ledger.evolving import evolved
from immutable.ledger.state import Attempt, FleetStatus, State
from immutable.model import FleetName, Release

RELEASES_KEPT = 50
"""So many releases that were live stay in the state; older ones are in history."""


def remember(state: State, release: Release) -> State:
    """Return the state with a release that was live, among the latest of them."""
    others = tuple(r for r in state.releases if r.number != release.number)
    known = sorted((*others, release), key=lambda r: r.number)
    return evolved(state, releases=tuple(known[-RELEASES_KEPT:]))


def with_attempt(state: State, attempt: Attempt) -> State:
    """Return the state with an attempt as it is now."""
    return evolved(state, attempt=attempt)


def without(state: State, fleet: FleetName) -> State:
    """Return the state without a fleet."""
    return evolved(state, fleets=tuple(f for f in state.fleets if f.name != fleet))


def mark(state: State, status: FleetStatus, *names: FleetName) -> State:
    """Return the state with fleets of another status."""
    return evolve_fleets(state, names, status=status, retire_at=None)


def evolve_fleets(
    state: State,
    names: tuple[FleetName, ...],
    **changes: FleetStatus | datetime | int | None,
) -> State:
    """Return the state with some fields of some fleets changed."""
    fleets = tuple(
        evolved(entry, **changes) if entry.name in names else entry  # type: ignore[arg-type]  # fields by name
        for entry in state.fleets
    )
    return evolved(state, fleets=fleets)
