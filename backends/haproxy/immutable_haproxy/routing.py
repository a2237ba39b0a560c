"""The one map that says everything, as a value and as lines of text.

=====================  ===============================================================
``0`` … ``99``         the slot for one per cent of production; absent: answer 503
``preview``            the slot of the previewed fleet
``owner``              the ledger that the switch obeys
``fleet.<slot>``       the fleet that has the slot
``path.<slot>``        the HTTP path that is probed there; absent: a bare connection
``port.<slot>``        the port that is probed there
``freed``              slots that were given back, the latest last: they rest longest
=====================  ===============================================================

HAProxy itself reads the numbers, ``preview`` and ``path.…``; the rest is ours, kept in
the same map because a map is replaced in one step.
"""

import re
from collections.abc import Iterable, Iterator, Mapping
from typing import Literal

import attrs

from immutable.errors import InvalidInput, NotEnough
from immutable.model import WHOLE, FleetName, HealthCheck, LedgerId, Routing
from immutable_haproxy.errors import moved
from immutable_haproxy.names import from_word, to_word
from immutable_haproxy.options import as_port

Family = Literal["http", "tcp"]
"""How a slot probes: with an HTTP request, or with a bare connection."""
FAMILIES: tuple[Family, ...] = ("http", "tcp")
_PATH = re.compile(r"/[!-~]*")
_MAX_PATH_CHARS = 1000


@attrs.frozen(kw_only=True)
class Place:
    """A slot that a fleet has, and what is probed there."""

    slot: str
    fleet: FleetName
    health: HealthCheck


def _sorted(places: Iterable[Place]) -> tuple[Place, ...]:
    return tuple(sorted(places, key=lambda place: place.slot))


@attrs.frozen(kw_only=True)
class Table:
    """Everything the map says."""

    owner: LedgerId | None = None
    places: tuple[Place, ...] = attrs.field(default=(), converter=_sorted)
    routing: Routing = attrs.field(factory=Routing)
    freed: tuple[str, ...] = ()

    def place_of(self, fleet: FleetName) -> Place | None:
        """Return the fleet's place, or None when it has none."""
        return next((place for place in self.places if place.fleet == fleet), None)

    def slot_of(self, fleet: FleetName) -> str:
        """Return the fleet's slot.

        Raises:
            Conflict: it has none.
        """
        place = self.place_of(fleet)
        if place is None:
            raise moved("switch.write", fleet, f"fleet {fleet} is not attached")
        return place.slot

    def check(self, routing: Routing) -> None:
        """Check that every fleet in a routing has a slot.

        Raises:
            Conflict: one has none.
        """
        previewed = (routing.preview,) if routing.preview else ()
        for fleet in (*dict(routing.weights), *previewed):
            self.slot_of(fleet)


def family_of(health: HealthCheck) -> Family:
    """Return which kind of slot a health check needs.

    Raises:
        InvalidInput: the path or port cannot be probed.
    """
    as_port(health.port)
    if health.path is None:
        return "tcp"
    if not _PATH.fullmatch(health.path) or len(health.path) > _MAX_PATH_CHARS:
        raise InvalidInput(
            f"health path {health.path!r:.80} cannot be requested",
            hint="begin with / and percent-encode what is not printable ASCII",
        )
    return "http"


def slots_of(family: Family, count: int) -> tuple[str, ...]:
    """Return the names of the slots that are declared for a family."""
    return tuple(f"{family}-{number}" for number in range(1, count + 1))


def with_place(
    table: Table, fleet: FleetName, health: HealthCheck, *, slots: int
) -> Table:
    """Return the table with a slot given to the fleet: the one that has rested longest.

    Raises:
        NotEnough: every slot of the family is taken.
    """
    taken = {place.slot for place in table.places}
    free = [slot for slot in slots_of(family_of(health), slots) if slot not in taken]
    if not free:
        raise NotEnough(
            f"all {slots} slots of the switch are taken", hint="detach a fleet first"
        )
    rested = {slot: age for age, slot in enumerate(table.freed)}
    slot = min(free, key=lambda slot: rested.get(slot, -1))
    place = Place(slot=slot, fleet=fleet, health=health)
    freed = tuple(other for other in table.freed if other != slot)
    return attrs.evolve(table, places=(*table.places, place), freed=freed)


def without_place(table: Table, fleet: FleetName) -> Table:
    """Return the table with the fleet's slot given back; itself if it has none."""
    place = table.place_of(fleet)
    if place is None:
        return table
    rest = tuple(other for other in table.places if other != place)
    return attrs.evolve(table, places=rest, freed=(*table.freed, place.slot))


def to_entries(table: Table) -> dict[str, str]:
    """Return the table as the map's keys and values.

    Raises:
        Conflict: the routing names a fleet that is not attached.
    """
    entries = dict(_buckets(table))
    if table.routing.preview is not None:
        entries["preview"] = table.slot_of(table.routing.preview)
    if table.owner is not None:
        entries["owner"] = to_word(table.owner)
    if table.freed:
        entries["freed"] = ",".join(table.freed)
    for place in table.places:
        entries |= _place_entries(place)
    return entries


def _buckets(table: Table) -> Iterator[tuple[str, str]]:
    start = 0
    for fleet, weight in table.routing.weights:
        slot = table.slot_of(fleet)
        yield from ((str(bucket), slot) for bucket in range(start, start + weight))
        start += weight


def _place_entries(place: Place) -> dict[str, str]:
    entries = {
        f"fleet.{place.slot}": to_word(place.fleet),
        f"port.{place.slot}": str(place.health.port),
    }
    return entries | (
        {} if place.health.path is None else {f"path.{place.slot}": place.health.path}
    )


def to_text(entries: Mapping[str, str]) -> str:
    """Return entries as HAProxy reads them, one to a line."""
    return "".join(f"{key} {value}\n" for key, value in entries.items())


def from_text(text: str) -> dict[str, str]:
    """Return the entries in a map's text."""
    lines = (line.split(" ", 1) for line in text.split("\n") if line)
    return {line[0]: line[1] if len(line) > 1 else "" for line in lines}


def from_entries(entries: Mapping[str, str]) -> Table:
    """Return the table that a map's entries say.

    Raises:
        ValueError: they are not ours: somebody else wrote to the map.
    """
    places = tuple(_places(entries))
    fleets = {place.slot: place.fleet for place in places}
    owner = entries.get("owner")
    try:
        return Table(
            owner=None if owner is None else LedgerId(from_word(owner)),
            places=places,
            routing=_routing(entries, fleets),
            freed=tuple(filter(None, entries.get("freed", "").split(","))),
        )
    except (KeyError, InvalidInput) as exc:
        raise ValueError(f"the map contradicts itself: {exc}") from exc


def _routing(entries: Mapping[str, str], fleets: Mapping[str, FleetName]) -> Routing:
    shares = [entries[str(number)] for number in range(WHOLE) if str(number) in entries]
    weights = {fleets[slot]: shares.count(slot) for slot in dict.fromkeys(shares)}
    preview = fleets[entries["preview"]] if "preview" in entries else None
    return Routing(weights=weights, preview=preview)


def _places(entries: Mapping[str, str]) -> Iterator[Place]:
    for slot, word in _with_prefix(entries, "fleet."):
        port, path = entries.get(f"port.{slot}", ""), entries.get(f"path.{slot}")
        health = HealthCheck(port=int(port), path=path)
        yield Place(slot=slot, fleet=FleetName(from_word(word)), health=health)


def _with_prefix(entries: Mapping[str, str], prefix: str) -> Iterable[tuple[str, str]]:
    for key, value in entries.items():
        if key.startswith(prefix):
            yield key.removeprefix(prefix), value
