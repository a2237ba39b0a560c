"""What became of the histories: judged, counted, and shown where they are bad."""

import time
from collections.abc import Callable
from typing import TypeAlias

import attrs

from immutable.testing.linearizability import (
    Answer,
    Call,
    Conflicted,
    Explained,
    Register,
    Slots,
    Unexplained,
)
from proofs.linearize.map_model import Map, Recorded, Step

HAPROXY = "haproxy"
Verdict: TypeAlias = (
    Explained[Step, Answer]
    | Unexplained[Step, Answer, Register]
    | Unexplained[Step, Answer, Slots]
    | Unexplained[Step, Answer, Map]
)


@attrs.frozen(kw_only=True)
class Run:
    """One history, how it is judged, and what was killed while it was made."""

    recorded: Recorded
    judge: Callable[[], Verdict]
    kills: int


@attrs.define
class Tally:
    """What one kind of switch was asked for and what came of it."""

    kind: str
    asked: int = 0
    ran: int = 0
    operations: int = 0
    unknown: int = 0
    conflicts: int = 0
    kills: int = 0
    violations: list[str] = attrs.field(factory=list)
    seconds: float = 0.0
    judging_s: float = 0.0

    def add(self, other: "Tally") -> None:
        """Count what another one counted."""
        self.ran += other.ran
        self.operations += other.operations
        self.unknown += other.unknown
        self.conflicts += other.conflicts
        self.kills += other.kills
        self.violations += other.violations
        self.judging_s += other.judging_s

    def count(self, seed: int, run: Run) -> None:
        """Judge one history and count it."""
        began = time.process_time()
        verdict = run.judge()
        self.judging_s += time.process_time() - began
        calls = [one for one in run.recorded if isinstance(one.call, Call)]
        self.ran += 1
        self.operations += len(calls)
        self.unknown += sum(one.answer is None for one in calls)
        self.conflicts += sum(one.answer == Conflicted() for one in calls)
        self.kills += run.kills
        if isinstance(verdict, Unexplained):
            again = f"--count 1 --seed {seed} --switch {self.kind} --haproxy 0"
            if self.kind == HAPROXY:
                again = f"--count 0 --seed {seed} --haproxy 1"
            self.violations.append(
                f"{self.kind}, seed {seed}: {verdict}\n"
                f"again: python -m proofs.linearize {again}"
            )

    @property
    def is_good(self) -> bool:
        """Return whether all ran, and went as this kind of switch promises."""
        if self.kind == "blind":
            return self.ran == self.asked and bool(self.violations or not self.asked)
        return self.ran == self.asked and not self.violations

    def row(self) -> str:
        """Return it as a line of the table."""
        rate = self.ran / self.seconds if self.seconds else 0.0
        each_ms = 1000 * self.judging_s / self.ran if self.ran else 0.0
        return (
            f"{self.kind:15} {self.asked:7} {self.ran:7} {self.operations:10} "
            f"{self.unknown:8} {self.conflicts:9} {self.kills:6} {len(self.violations):10} "
            f"{rate:11.1f} {each_ms:10.2f}"
        )


HEAD = (
    f"{'switch':15} {'asked':>7} {'ran':>7} {'operations':>10} {'unknown':>8} "
    f"{'conflicts':>9} {'kills':>6} {'violations':>10} {'histories/s':>11} {'judging ms':>10}"
)
