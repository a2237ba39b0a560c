"""How the three kinds of switch take a write: pure functions from state to state.

``compare-and-set``: the version is checked in the instant in which the write lands.

``slot``: each write makes the slot after the one that its version names, and only one
can make a slot. The highest slot serves, so that a late write lands below and moves
nothing. Places carry no version, but one that the highest slot names stays.

``blind``: the version is compared in the instant in which the write is sent and never
again; a late one lands whenever it lands.
"""

from typing import Literal

import attrs

from immutable.errors import Conflict
from immutable.model import (
    FleetName,
    HealthCheck,
    LedgerId,
    Member,
    Routing,
    Version,
)

Kind = Literal["compare-and-set", "slot", "blind"]
KINDS: tuple[Kind, ...] = ("compare-and-set", "slot", "blind")
SLOTS_KEPT = 3


@attrs.frozen(kw_only=True)
class Joined:
    """A member of a place, and since when it is probed."""

    member: Member
    since_us: int


@attrs.frozen(kw_only=True)
class Place:
    """A fleet's place at the switch."""

    fleet: FleetName
    health: HealthCheck
    joined: tuple[Joined, ...] = ()

    @property
    def members(self) -> tuple[Member, ...]:
        """Return the members."""
        return tuple(joined.member for joined in self.joined)


@attrs.frozen(kw_only=True)
class Register:
    """Everything that one switch holds."""

    kind: Kind
    version: int = 0
    routing: Routing = attrs.field(factory=Routing)
    owner: LedgerId | None = None
    places: tuple[Place, ...] = ()
    """In order of fleet."""
    slots: tuple[tuple[int, Routing], ...] = ()
    """Ascending; only where the kind has slots."""

    def place_of(self, fleet: FleetName) -> Place | None:
        """Return a fleet's place, or None when it has none."""
        return next((place for place in self.places if place.fleet == fleet), None)


def check(register: Register, expected: Version, *, sending: bool) -> None:
    """Compare the version where this kind does so: when sending, or when landing.

    Raises:
        Conflict: the register has moved.
    """
    compares = "blind" if sending else "compare-and-set"
    if register.kind == compares and str(register.version) != expected:
        raise Conflict(f"the version is {register.version}, not {expected}")


def attached(
    register: Register,
    fleet: FleetName,
    health: HealthCheck,
    owner: LedgerId,
    expected: Version,
) -> Register:
    """Return the register with a place for the fleet.

    Raises:
        Conflict: it has moved.
    """
    check(register, expected, sending=False)
    if register.place_of(fleet) is None:
        places = (*register.places, Place(fleet=fleet, health=health))
        places = tuple(sorted(places, key=lambda place: place.fleet))
        register = attrs.evolve(register, places=places)
    return _moved(register, owner)


def joined(
    register: Register, fleet: FleetName, members: tuple[Member, ...], now_us: int
) -> Register:
    """Return the register with exactly these members in the fleet's place.

    Raises:
        Conflict: the fleet has no place.
    """
    place = register.place_of(fleet)
    if place is None:
        raise Conflict(f"{fleet} has no place here")
    since = {known.member: known.since_us for known in place.joined}
    everyone = tuple(
        Joined(member=member, since_us=since.get(member, now_us)) for member in members
    )
    return _with_place(register, attrs.evolve(place, joined=everyone))


def written(
    register: Register, routing: Routing, owner: LedgerId, expected: Version
) -> Register:
    """Return the register with another routing.

    Raises:
        Conflict: it has moved, or the routing names a fleet without a place.
    """
    check(register, expected, sending=False)
    named = {fleet for fleet, _ in routing.weights} | {routing.preview} - {None}
    if strangers := sorted(f for f in named if f and register.place_of(f) is None):
        raise Conflict(f"{', '.join(strangers)}: no place here")
    if register.kind == "slot":
        return _slotted(register, routing, owner, int(expected) + 1)
    return _moved(attrs.evolve(register, routing=routing), owner)


def detached(
    register: Register, fleet: FleetName, owner: LedgerId, expected: Version
) -> Register:
    """Return the register without the fleet's place.

    Raises:
        Conflict: it has moved, or the fleet is in use.
    """
    check(register, expected, sending=False)
    if register.routing.mentions(fleet):
        raise Conflict(f"{fleet} is in use")
    places = tuple(place for place in register.places if place.fleet != fleet)
    # what an older slot names cannot be deleted by the provider: that slot goes first
    slots = tuple(slot for slot in register.slots if not slot[1].mentions(fleet))
    return _moved(attrs.evolve(register, places=places, slots=slots), owner)


def _slotted(
    register: Register, routing: Routing, owner: LedgerId, number: int
) -> Register:
    if any(taken == number for taken, _ in register.slots):
        raise Conflict(f"slot {number} is taken")
    slots = tuple(
        sorted((*register.slots, (number, routing)), key=lambda slot: slot[0])
    )
    if number < slots[-1][0]:
        return attrs.evolve(register, slots=slots)
    return attrs.evolve(
        register,
        version=number,
        routing=routing,
        owner=owner,
        slots=slots[-SLOTS_KEPT:],
    )


def _moved(register: Register, owner: LedgerId) -> Register:
    # the version of slots is the number of the highest: places do not move it
    step = 0 if register.kind == "slot" else 1
    return attrs.evolve(register, owner=owner, version=register.version + step)


def _with_place(register: Register, changed: Place) -> Register:
    places = tuple(
        changed if place.fleet == changed.fleet else place for place in register.places
    )
    return attrs.evolve(register, places=places)
