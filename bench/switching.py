"""What moving traffic costs: the one command, the files, the whole durable write."""

import os
import tempfile
import time
from pathlib import Path
from typing import TYPE_CHECKING

import attrs

from bench.figures import CannotMeasure, Figure, compared
from bench.fleets import OWNER, Fleet, attach, local_fleets, open_switch_in
from bench.runtime import MAP, Runtime
from bench.sampling import take_turns
from bench.settings import Settings

if TYPE_CHECKING:
    from immutable_haproxy import HAProxySwitch, WriteTimings


def measure(settings: Settings) -> tuple[Figure, ...]:
    """Return the parts of a write beside the bare commands and the bare file."""
    with (
        tempfile.TemporaryDirectory(prefix="immutable-bench-") as name,
        local_fleets(Path(name), (1, 2)) as fleets,
        open_switch_in(Path(name) / "switch", "bench") as switch,
    ):
        for fleet in fleets:
            attach(switch, fleet)
        ours = Ours(switch, fleets)
        floor = Floor(Path(name) / "switch", Path(name) / "floor.map")
        acts = (ours.write, floor.change, floor.replace)
        ours.write()
        take_turns(2, *acts)
        ours.parts.clear()
        floor.commits_s.clear()
        samples = take_turns(settings.turns(50), *acts)
    return _figures(ours, floor, *samples)


def _figures(
    ours: "Ours",
    floor: "Floor",
    writes: list[float],
    changes: list[float],
    files: list[float],
) -> tuple[Figure, ...]:
    flips = [part.flip_s for part in ours.parts]
    durable = [part.durable_s for part in ours.parts]
    commands = [part.total_s - part.durable_s for part in ours.parts]
    both = [one + other for one, other in zip(changes, files, strict=True)]
    socket_, file = "the same commands, bare socket", "bare write, fsync, rename, fsync"
    return (
        compared(
            "switch.commit", "ms", flips, floor.commits_s, beside="bare commit map"
        ),
        compared("switch.commands", "ms", commands, changes, beside=socket_),
        compared("switch.durable_file", "ms", durable, files, beside=file),
        compared(
            "switch.write", "ms", writes, both, beside="bare socket and bare file"
        ),
    )


@attrs.define
class Ours:
    """The switch's own write, moving all traffic between two fleets."""

    switch: "HAProxySwitch"
    fleets: tuple[Fleet, ...]
    parts: "list[WriteTimings]" = attrs.field(factory=list)

    def write(self) -> float:
        """Write the other routing; reading the version first does not count."""
        fleet = self.fleets[len(self.parts) % 2]
        expected = self.switch.read().version
        began = time.perf_counter()
        self.switch.write(fleet.routing, owner=OWNER, expected=expected)
        took = time.perf_counter() - began
        if self.switch.last_write is None:
            raise CannotMeasure("the switch does not say where its time went")
        self.parts.append(self.switch.last_write)
        return took


@attrs.define
class Floor:
    """The same change of the map with nothing around it."""

    directory: Path
    file: Path
    commits_s: list[float] = attrs.field(factory=list)

    def change(self) -> float:
        """Replace the map's entries by themselves, over a connection of its own."""
        entries = (self.directory / MAP).read_text(encoding="utf-8")
        began = time.perf_counter()
        with Runtime(self.directory / "haproxy.sock") as runtime:
            number = runtime.prepare_map(entries)
            committing = time.perf_counter()
            runtime.commit_map(number)
            ended = time.perf_counter()
        self.commits_s.append(ended - committing)
        return ended - began

    def replace(self) -> float:
        """Replace a file of the same size, durably."""
        data = (self.directory / MAP).read_bytes()
        draft = self.file.with_suffix(".new")
        began = time.perf_counter()
        _write_synced(draft, data)
        draft.rename(self.file)
        _sync(self.file.parent)
        return time.perf_counter() - began


def _write_synced(path: Path, data: bytes) -> None:
    number = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
    try:
        os.write(number, data)
        os.fsync(number)
    finally:
        os.close(number)


def _sync(directory: Path) -> None:
    number = os.open(directory, os.O_RDONLY)
    try:
        os.fsync(number)
    finally:
        os.close(number)
