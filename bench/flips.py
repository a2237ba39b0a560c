"""A hundred flips under full load: what clients saw, with and without them."""

import math
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

import attrs

from bench.figures import Figure, Target, alone, compared, counted
from bench.fleets import (
    OWNER,
    Fleet,
    attach,
    local_fleets,
    open_switch_in,
    production,
)
from bench.judging import Flip, Judged, judge, percentile
from bench.load import compile_client, traffic
from bench.report import say
from bench.settings import Settings
from immutable.model import Routing, Version

if TYPE_CHECKING:
    from immutable_haproxy import HAProxySwitch

CONNECTIONS = 64
FLIPS_A_ROUND = 13
_REQUESTS_PER_FLIP = {"keepalive": 4000, "fresh": 800}
_STEADY_SHARE = 2
"""Without flips, one request is enough for so many with them."""
_PERCENTS = (("p50", 50.0), ("p99", 99.0), ("p999", 99.9), ("max", 100.0))
_NONE = Target(limit=0, required=True)
_SOME = Target(limit=1, at_least=True, required=True)
_CONTROL_NS = 100_000_000


@attrs.define
class Run:
    """All rounds of one kind of traffic."""

    is_kept: bool
    is_flipped: bool
    tick: int
    """Requests from one flip to the next."""
    judged: list[Judged] = attrs.field(factory=list)
    flips_s: list[float] = attrs.field(factory=list)
    commands_s: list[float] = attrs.field(factory=list)
    control: int = 0
    """Stale answers by a log that is wrong on purpose: the judge must see them."""
    took_s: float = 0.0
    client_cpu_s: float = 0.0

    def total(self, what: str) -> int:
        """Return a count over all rounds."""
        return sum(getattr(judged, what) for judged in self.judged)

    def percentile(self, percent: float) -> float:
        """Return a percentile over all rounds' answers."""
        merged = sorted(s for judged in self.judged for s in judged.latencies_s)
        return percentile(merged, percent)


def measure(settings: Settings) -> tuple[Figure, ...]:
    """Return failed, stale and wrong answers, and latencies with and without flips."""
    runs = {
        name: tuple(
            Run(is_kept=name == "keepalive", is_flipped=flipped, tick=tick)
            for flipped, tick in ((True, each), (False, each // _STEADY_SHARE))
        )
        for name, each in _REQUESTS_PER_FLIP.items()
    }
    rounds = settings.turns(8)
    with _stage() as stage:
        for number in range(1, rounds + 1):
            say(f"  round {number} of {rounds}")
            for run in (run for pair in runs.values() for run in pair):
                stage.play(run)
    flipped = [pair[0] for pair in runs.values()]
    return (
        *_counts([run for pair in runs.values() for run in pair], flipped),
        *(figure for name, pair in runs.items() for figure in _latencies(name, *pair)),
    )


@attrs.define
class Stage:
    """Two fleets that take turns in production, and the log of their flips.

    A third fleet is attached and previewed; production must never show it.
    """

    switch: "HAProxySwitch"
    program: Path
    fleets: tuple[Fleet, ...]
    version: Version
    served: Flip

    @property
    def command_s(self) -> float:
        """Return how long the last flip's one command took."""
        parts = self.switch.last_write
        return parts.flip_s if parts else math.nan

    def play(self, run: Run) -> None:
        """Run a client through one round, flipping between its ticks."""
        flips = [self.served]
        began = time.monotonic()
        with traffic(
            self.program,
            production(self.switch),
            connections=CONNECTIONS,
            is_kept=run.is_kept,
            tick=run.tick,
        ) as client:
            for _ in range(FLIPS_A_ROUND):
                client.wait_for_tick()
                if run.is_flipped:
                    flips.append(self.flip())
                    run.commands_s.append(self.command_s)
            client.wait_for_tick()
            seen = client.end()
        run.took_s += time.monotonic() - began
        run.client_cpu_s += seen.client_cpu_s
        run.flips_s += [(f.acknowledged_ns - f.began_ns) / 1e9 for f in flips[1:]]
        answers = tuple(seen.answers())
        run.judged.append(judge(answers, flips))
        run.control += judge(
            answers, [flip.moved(-_CONTROL_NS) for flip in flips]
        ).stale

    def flip(self) -> Flip:
        """Move production to the other fleet by the switch's own durable write."""
        first, second, third = self.fleets
        fleet = second if self.served.release == first.release else first
        routing = Routing(weights={fleet.name: 100}, preview=third.name)
        began = time.monotonic_ns()
        self.version = self.switch.write(routing, owner=OWNER, expected=self.version)
        self.served = Flip(
            began_ns=began, acknowledged_ns=time.monotonic_ns(), release=fleet.release
        )
        return self.served


@contextmanager
def _stage() -> Iterator[Stage]:
    with (
        tempfile.TemporaryDirectory(prefix="immutable-bench-") as name,
        local_fleets(Path(name), (1, 2, 3)) as fleets,
        open_switch_in(Path(name) / "switch", "bench") as switch,
    ):
        program = compile_client(Path(name))
        for fleet in fleets:
            attach(switch, fleet)
        nowhere = Flip(began_ns=0, acknowledged_ns=0, release=0)
        version = switch.read().version
        stage = Stage(switch, program, fleets, version, nowhere)
        stage.flip()
        yield stage


def _counts(runs: list[Run], flipped: list[Run]) -> Iterator[Figure]:
    requests = sum(run.total("total") for run in runs)
    yield counted(
        "flips.requests", requests, target=Target(limit=500_000, at_least=True)
    )
    yield counted(
        "flips.requests_under_flips", sum(run.total("total") for run in flipped)
    )
    done = [seconds for run in flipped for seconds in run.flips_s]
    commands = [seconds for run in flipped for seconds in run.commands_s]
    yield counted("flips.flips", len(done), target=Target(limit=100, at_least=True))
    for what in ("failed", "stale", "wrong"):
        found = sum(run.total(what) for run in runs)
        yield counted(f"flips.{what}", found, n=requests, target=_NONE)
    control = sum(run.control for run in flipped)
    figure = counted("flips.control_stale", control, target=_SOME)
    yield attrs.evolve(figure, beside="by a log that is 0.1 s early on purpose")
    yield alone("flips.command_under_load", "ms", commands)
    yield alone("flips.write_under_load", "ms", done)
    yield alone("flips.write_under_load_max", "ms", [max(done)])


def _latencies(name: str, flipped: Run, steady: Run) -> Iterator[Figure]:
    beside = "without flips, in turns"
    for label, percent in _PERCENTS:
        ours, theirs = flipped.percentile(percent), steady.percentile(percent)
        figure = compared(
            f"flips.{name}_{label}", "ms", [ours], [theirs], beside=beside
        )
        yield attrs.evolve(figure, n=flipped.total("total"))
    rate, other = (run.total("total") / run.took_s for run in (flipped, steady))
    yield Figure(
        name=f"flips.{name}_requests_per_s",
        unit="per_s",
        value=rate,
        beside=beside,
        beside_value=other,
        ratio=rate / other,
    )
    share = 100 * (flipped.client_cpu_s + steady.client_cpu_s)
    yield Figure(
        name=f"flips.{name}_client_cpu_percent",
        unit="percent",
        value=share / (flipped.took_s + steady.took_s),
        beside="of one processor; the client is no bottleneck below 100",
    )
