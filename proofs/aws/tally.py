"""What an experiment did and found."""

import time
from collections import Counter
from collections.abc import Iterator

import attrs

_LINES = 25


@attrs.define(kw_only=True)
class Tally:
    """Counts of one run."""

    seed: int
    known: int = 0
    """Points or cells that there are."""
    tried: Counter[str] = attrs.field(factory=Counter)
    """By verb: deployers that were killed, or whose calls failed."""
    missed: int = 0
    """Points that no deployer came to, or cells in which no call failed."""
    outcomes: Counter[str] = attrs.field(factory=Counter)
    """How they ended, recoveries included."""
    requests: int = 0
    lost: int = 0
    strange: int = 0
    """Answers of a release that was neither the old one nor the new one."""
    problems: list[str] = attrs.field(factory=list)
    took_s: float = 0.0

    @property
    def total(self) -> int:
        """Return how many were tried."""
        return sum(self.tried.values())

    def is_over(self, deadline: float) -> bool:
        """Return whether to begin nothing more: it is late, and something was tried."""
        return self.total > 0 and time.monotonic() > deadline

    def violations(self) -> Iterator[str]:
        """Yield everything for which the run fails."""
        if not self.total:
            yield "nothing was tried"
        if self.lost or self.strange:
            yield f"{self.requests} requests, {self.lost} lost, {self.strange} strange"
        yield from self.problems

    def lines(self, what: str) -> Iterator[str]:
        """Yield the report."""
        verbs = ", ".join(f"{verb} {count}" for verb, count in self.tried.items())
        ends = ", ".join(f"{end} {count}" for end, count in self.outcomes.items())
        yield f"{what:14} {self.total} of {self.known} known ({verbs}); seed {self.seed}"
        yield f"missed         {self.missed}"
        yield f"ended          {ends}"
        yield f"requests       {self.requests}, {self.lost} lost, {self.strange} strange"
        yield f"took           {self.took_s:.0f} s"
        found = list(self.violations())
        yield from (f"VIOLATION      {each}" for each in found[:_LINES])
        if len(found) > _LINES:
            yield f"VIOLATION      and {len(found) - _LINES} more"
