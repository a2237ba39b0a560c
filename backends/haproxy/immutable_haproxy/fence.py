"""Reading HAProxy in one piece, and changing its map in one step or not at all.

HAProxy numbers the states of a map. ``prepare map`` hands out the next number, entries
are added under it unseen, and ``commit map`` swaps the whole map, or refuses a number
lower than the current one. A reading's version holds the number in force, the highest
handed out, and which start of HAProxy they belong to, because numbers begin anew with
each. A write goes ahead only when all three are what its caller read.

The map's file is replaced before the commit. Whatever HAProxy ever served is therefore
on disk: its death at any instant leaves the old routing or the new one, whole. When a
writer dies between file and commit, the next reading puts the file back.
"""

import re
import time
from collections.abc import Callable

import attrs

from immutable.errors import Conflict
from immutable.model import Version
from immutable_haproxy.errors import Refusal, Silence, moved, unknown, unreachable
from immutable_haproxy.rendering import BOOT, MAP
from immutable_haproxy.routing import Table, from_entries, to_entries, to_text
from immutable_haproxy.runtime import Conversation, payloads
from immutable_haproxy.servers import Server, parse_servers
from immutable_haproxy.storage import Home, replace

NEVER_SET_UP = Version("not-running")
_COUNTS = re.compile(rf"\((?:\./)?{re.escape(MAP)}\).* curr_ver=(\d+) next_ver=(\d+)")
_VERSIONS = (f"show env {BOOT}", "show map")
_ENTRIES = f"show map {MAP}"


@attrs.frozen(kw_only=True)
class Stamp:
    """Which state of the map, of which start of HAProxy."""

    boot: str
    current: int
    handed_out: int

    @property
    def version(self) -> Version:
        """Return it as callers see it."""
        return Version(f"{self.boot}.{self.current}.{self.handed_out}")


@attrs.frozen(kw_only=True)
class Reading:
    """All that HAProxy says, at one stamp."""

    stamp: Stamp
    entries: dict[str, str]
    table: Table
    servers: tuple[Server, ...]


@attrs.frozen(kw_only=True)
class WriteTimings:
    """Where the time of the last write went, in seconds.

    ``flip_s`` is the one command that changes the routing, ``durable_s`` the
    replacement of the file with its two ``fsync``, ``total_s`` the whole call.
    """

    flip_s: float
    durable_s: float
    total_s: float


def read(talk: Conversation) -> Reading:
    """Read everything at one stamp.

    Raises:
        Unavailable: HAProxy does not answer, or what it says is not ours.
    """
    try:
        for _ in range(10):
            reading = _read_once(talk)
            if reading is not None:
                return reading
    except (Silence, ValueError) as exc:
        raise unreachable("", exc) from exc
    raise unreachable("", "its routing changes faster than it can be read")


def _read_once(talk: Conversation) -> Reading | None:
    answers = talk.ask(*_VERSIONS, _ENTRIES, "show servers state", *_VERSIONS)
    before, after = _stamp(answers[0], answers[1]), _stamp(answers[4], answers[5])
    entries = _entries(answers[2])
    if before != after:
        # A commit came between: the map and the servers may not belong together.
        return None
    return Reading(
        stamp=before,
        entries=entries,
        table=from_entries(entries),
        servers=parse_servers(answers[3]),
    )


def _stamp(boot: str, maps: str) -> Stamp:
    counts = _COUNTS.search(maps)
    if counts is None or not boot.startswith(f"{BOOT}="):
        raise ValueError(f"this HAProxy was not started by the switch: {boot:.40}")
    return Stamp(
        boot=boot.partition("=")[2],
        current=int(counts[1]),
        handed_out=int(counts[2]),
    )


def _entries(answer: str) -> dict[str, str]:
    """Return the entries of ``show map``: address, key, value."""
    lines = (line.split(" ", 2) for line in answer.split("\n") if line.startswith("0x"))
    return {line[1]: line[2] for line in lines}


@attrs.define
class Transaction:
    """One change of the map, step by step."""

    talk: Conversation
    home: Home
    operation: str

    def change(self, reading: Reading, table: Table) -> tuple[Stamp, WriteTimings]:
        """Make the map say what the table says; what it said must be the reading.

        Raises:
            Conflict: somebody else wrote since the reading; nothing was changed.
            Ambiguous: the end was not seen.
            Unavailable: HAProxy did not answer; nothing was changed.
        """
        began = time.perf_counter()
        entries = to_entries(table)
        text = to_text(entries)
        number = self._prepare(reading.stamp)
        self._fill(number, text)
        durable_s = _timed(lambda: replace(self.home.routing, text))
        flip_s = _timed(lambda: self._commit(number, reading))
        stamp = self._confirm(reading.stamp, entries)
        total_s = time.perf_counter() - began
        return stamp, WriteTimings(flip_s=flip_s, durable_s=durable_s, total_s=total_s)

    def _prepare(self, stamp: Stamp) -> int:
        try:
            (answer,) = self.talk.ask(f"prepare map {MAP}")
        except Silence as exc:
            raise unreachable(str(self.home.directory), exc) from exc
        found = re.fullmatch(r"New version created: (\d+)", answer)
        if found is None:
            raise unreachable(str(self.home.directory), answer)
        if int(found[1]) != stamp.handed_out + 1:
            raise self._conflict()
        return int(found[1])

    def _fill(self, number: int, text: str) -> None:
        blocks = payloads(text.splitlines(keepends=True))
        commands = [f"add map @{number} {MAP} <<\n{block}" for block in blocks]
        try:
            answers = self.talk.ask(*commands)
        except Silence as exc:
            raise unreachable(str(self.home.directory), exc) from exc
        complaints = "".join(answers).strip("+ ")
        if complaints:
            raise unreachable(str(self.home.directory), complaints)

    def _commit(self, number: int, reading: Reading) -> None:
        try:
            self.talk.tell(f"commit map @{number} {MAP}")
        except Silence as exc:
            raise unknown(self.operation, str(self.home.directory), exc) from exc
        except Refusal as exc:
            replace(self.home.routing, to_text(reading.entries))
            raise self._conflict() from exc

    def _confirm(self, before: Stamp, entries: dict[str, str]) -> Stamp:
        try:
            boot, maps, listed = self.talk.ask(*_VERSIONS, _ENTRIES)
            stamp = _stamp(boot, maps)
        except (Silence, ValueError) as exc:
            raise unknown(self.operation, str(self.home.directory), exc) from exc
        if stamp.boot != before.boot or _entries(listed) != entries:
            raise unknown(
                self.operation,
                str(self.home.directory),
                "somebody else changed the map",
            )
        return stamp

    def _conflict(self) -> Conflict:
        return moved(
            self.operation,
            str(self.home.directory),
            "somebody else writes to the switch",
        )


def _timed(act: Callable[[], None]) -> float:
    began = time.perf_counter()
    act()
    return time.perf_counter() - began
