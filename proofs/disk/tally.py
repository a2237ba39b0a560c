"""What a proof has done so far, and what it found."""

import time
from collections import Counter
from collections.abc import Sequence

import attrs

from proofs.disk.faults import KILLS, Fault, Operation

_TOLD = 20


@attrs.define(kw_only=True)
class Tally:
    """Counts of what was tried, and every violation."""

    deadline: float = attrs.field(factory=lambda: time.monotonic() + 3600)
    operations: Counter[str] = attrs.field(factory=Counter)
    """How many of each kind one run without faults needs."""
    faults: Counter[Fault] = attrs.field(factory=Counter)
    recoveries: int = 0
    """Runs that went on after a killed one, and were killed themselves."""
    states: int = 0
    """Different states of a disk after a power cut."""
    left_out: int = 0
    """Strikes after which SQLite goes on although it must not: no power cut there."""
    violations: list[str] = attrs.field(factory=list)
    short: list[str] = attrs.field(factory=list)
    """What was asked for and not done."""

    @property
    def kills(self) -> int:
        """How many processes were killed."""
        return sum(self.faults[fault] for fault in KILLS) + self.recoveries

    def in_time(self, what: str) -> bool:
        """Return whether there is time for more; note what is missing when not."""
        if time.monotonic() < self.deadline:
            return True
        if what not in self.short:
            self.short.append(what)
        return False

    def require_kills(self, operations: Sequence[Operation], killed: set[int]) -> None:
        """Note every operation at which no process was killed."""
        for operation in operations:
            if operation.changes and operation.number not in killed:
                self.short.append(
                    f"never killed at operation {operation.number}, "
                    f"{operation.kind.name} {operation.name}"
                )

    def text(self) -> str:
        """Return the counts and the first violations, a line each."""
        kinds = ", ".join(f"{n} {kind}" for kind, n in self.operations.most_common())
        faults = ", ".join(f"{n} {f.name}" for f, n in self.faults.most_common())
        lines = (
            f"operations seen   {self.operations.total()} ({kinds})",
            f"faults injected   {self.faults.total()} ({faults})",
            f"kills             {self.kills}, {self.recoveries} of them in recovery",
            f"crash states      {self.states}",
            f"left out          {self.left_out} strikes that SQLite hides",
            f"violations        {len(self.violations)}",
            *(f"  {each}" for each in self.violations[:_TOLD]),
            *(f"not done: {each}" for each in self.short[:_TOLD]),
        )
        return "\n".join(lines)
