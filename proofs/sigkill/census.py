"""What is there, seen from outside and past the library, beside what the ledger says."""

import socket
from collections import Counter
from collections.abc import Iterator, Mapping
from pathlib import Path

import attrs

from immutable.host import ThisHost
from immutable.ledger.journal import Journal
from immutable.ledger.state import FleetStatus, State
from proofs.sigkill.site import SERVICE, Site, Traces

_KEPT = {FleetStatus.LIVE, FleetStatus.STANDBY}
_PATIENCE_S = 10.0
_WHOLE = 100


@attrs.frozen(kw_only=True)
class Census:
    """What was found that should not be so."""

    problems: tuple[str, ...]
    """Contradictions between ledger, switch and fleets: never right."""
    strays: frozenset[str]
    """Instances of no fleet of the ledger, or beyond their fleet's size and without
    traffic: right for a while, when a request of a dead deployer took effect late."""


@attrs.frozen(kw_only=True)
class SwitchFound:
    """What HAProxy itself and its files say."""

    entries: Mapping[str, str]
    stored: Mapping[str, str]
    servers: tuple[Mapping[str, str], ...]
    configured: frozenset[str]


def journal_of(site: Site) -> Journal:
    """Return the service's journal, loaded."""
    journal = Journal(site.store, SERVICE, ThisHost())
    journal.load()
    return journal


def take_census(site: Site) -> Census:
    """Compare everything with the ledger. Nothing is changed."""
    journal = journal_of(site)
    state, traces = journal.state, site.ground.traces()
    found = look_at_switch(site)
    strays = _strays(state, traces, {str(s["srv_name"]) for s in found.servers})
    settled = {place: names - strays for place, names in traces.items()}
    problems = (
        *_in_ledger(state),
        *_in_traces(state, settled),
        *_in_switch(state, found, journal.identity()),
    )
    return Census(problems=problems, strays=strays)


def _strays(state: State, traces: Traces, members: set[str]) -> frozenset[str]:
    sizes: dict[str, int] = {entry.name: entry.size for entry in state.fleets}
    named = frozenset[str]().union(*traces.values())
    counts = Counter(fleet_of(name) for name in named)
    beyond = {fleet for fleet, size in sizes.items() if counts[fleet] > size}
    return frozenset(
        name
        for name in named
        if fleet_of(name) not in sizes
        or (fleet_of(name) in beyond and name not in members)
    )


def fleet_of(instance: str) -> str:
    """Return the fleet that an instance's name tells."""
    return instance.rpartition("-")[0]


def look_at_switch(site: Site) -> SwitchFound:
    """Ask HAProxy on its own socket, and read its files; one never set up says nothing."""
    home = site.switch_directory
    if not (home / "settings.json").exists():
        return SwitchFound(entries={}, stored={}, servers=(), configured=frozenset())
    listed = _ask(home / "haproxy.sock", "show servers state").partition("# ")[2]
    header, *rows = [line.split() for line in listed.splitlines() if line]
    shown = _ask(home / "haproxy.sock", "show map routing.map").splitlines()
    lines = (line.partition(" ")[2] for line in shown if line)
    words = [line.split() for line in (home / "haproxy.cfg").read_text().splitlines()]
    return SwitchFound(
        entries=_entries(lines),
        stored=_entries((home / "routing.map").read_text().splitlines()),
        servers=tuple(dict(zip(header, row, strict=False)) for row in rows),
        configured=frozenset(word[1] for word in words if word[:1] == ["server"]),
    )


def _in_ledger(state: State) -> Iterator[str]:
    if state.attempt is not None:
        yield "the ledger has an attempt that is not ended"
    for entry in state.fleets:
        if entry.status not in _KEPT:
            yield f"the ledger still has {entry.name}, which is {entry.status}"


def _in_traces(state: State, traces: Traces) -> Iterator[str]:
    for entry in state.fleets:
        for place, names in traces.items():
            own = {name for name in names if fleet_of(name) == entry.name}
            if len(own) != entry.size:
                yield f"{entry.name} has {entry.size} instances, {len(own)} {place}"


def _in_switch(state: State, found: SwitchFound, ledger: str | None) -> Iterator[str]:
    entries = found.entries
    slots = {
        fleet: slot.removeprefix("fleet.")
        for slot, fleet in entries.items()
        if slot.startswith("fleet.")
    }
    known: dict[str, int] = {entry.name: entry.size for entry in state.fleets}
    if set(slots) != set(known):
        yield f"slots for {sorted(slots)}, the ledger has {sorted(known)}"
    if entries != found.stored:
        yield "the map on disk is not the map that is served"
    if entries and entries.get("owner") != ledger:
        yield f"the switch obeys {entries.get('owner')}, not {ledger}"
    if "preview" in entries:
        yield f"{entries['preview']} is still previewed"
    live = slots.get(state.live.name) if state.live else None
    if {entries.get(str(share)) for share in range(_WHOLE)} != {live}:
        yield f"production is not wholly on {live}"
    yield from _in_slots(found, slots, known)


def _in_slots(
    found: SwitchFound, slots: Mapping[str, str], known: Mapping[str, int]
) -> Iterator[str]:
    names = [server["srv_name"] for server in found.servers]
    if set(names) != found.configured:
        yield f"servers {sorted(names)}, configured {sorted(found.configured)}"
    for server in found.servers:
        if slots.get(fleet_of(server["srv_name"])) != server["be_name"]:
            yield f"{server['srv_name']} is in slot {server['be_name']}"
        if server["srv_admin_state"] != "0":
            yield f"{server['srv_name']} is half made or leaving"
    for fleet, size in known.items():
        members = sum(fleet_of(name) == fleet for name in names)
        if members != size:
            yield f"{fleet} has {size} instances, {members} at the switch"


def _entries(lines: Iterator[str] | list[str]) -> Mapping[str, str]:
    split = (line.partition(" ") for line in lines)
    return {key: value for key, _, value in split}


def _ask(path: Path, command: str) -> str:
    with socket.socket(socket.AF_UNIX) as link:
        link.settimeout(_PATIENCE_S)
        link.connect(str(path))
        link.sendall(f"{command}\n".encode())
        with link.makefile("rb") as answer:
            return answer.read().decode()
