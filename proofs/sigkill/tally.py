"""What an experiment did and found, and whether that is what was asked."""

from collections.abc import Iterator

import attrs

from proofs.sigkill.kills import Kill
from proofs.sigkill.points import Point
from proofs.sigkill.traffic import Judge

_LINES = 25
_EXAMPLES = 3


@attrs.define
class Tally:
    """Counts of one run."""

    backend: str
    asked: int
    """So many kills were to be made."""
    has_traffic: bool = True
    known: frozenset[Point] = frozenset()
    killed_at: set[Point] = attrs.field(factory=set)
    at_random: int = 0
    in_recovery: int = 0
    """Kills of those who were recovering, on top of the others."""
    missed: int = 0
    """Deployers that ended before they were killed."""
    ended_old: int = 0
    ended_new: int = 0
    late: frozenset[str] = frozenset()
    """Instances that came to be after their deployer's death, and its recovery."""
    swept: frozenset[str] = frozenset()
    """Those that stayed until somebody called `immutable.sweep`: nobody should have to."""
    leftovers: frozenset[str] = frozenset()
    problems: list[str] = attrs.field(factory=list)
    judge: Judge = attrs.field(factory=Judge)
    took_s: float = 0.0

    def count(self, kill: Kill) -> None:
        """Count a kill that was made."""
        if kill.point is None:
            self.at_random += 1
        else:
            self.killed_at.add(kill.point)

    def recovered(self, *, has_moved: bool) -> None:
        """Count a recovery by the side that it ended on."""
        self.ended_new += has_moved
        self.ended_old += not has_moved

    @property
    def kills(self) -> int:
        """Return how many deployers were killed, recoveries aside."""
        return len(self.killed_at) + self.at_random

    @property
    def never_killed(self) -> list[Point]:
        """Return the points that should have been killed and were not."""
        return sorted(self.known - self.killed_at) if self._complete else []

    @property
    def _complete(self) -> bool:
        return self.asked >= len(self.known)

    def violations(self) -> Iterator[str]:
        """Yield everything for which the run fails."""
        judge = self.judge
        if self.kills < self.asked:
            yield f"{self.kills} kills of {self.asked} that were asked for"
        if judge.failed or judge.strange or (self.has_traffic and not judge.sent):
            counts = f"{judge.failed} failed, {judge.strange} strange"
            yield f"{judge.sent} requests, {counts}"
        yield from judge.examples
        yield from (f"stayed until swept: {name}" for name in sorted(self.swept))
        yield from (f"left over: {name}" for name in sorted(self.leftovers))
        yield from self.problems
        if missed := self.never_killed:
            some = "; ".join(str(point) for point in missed[:_EXAMPLES])
            yield f"{len(missed)} points were never killed, such as {some}"

    def lines(self) -> Iterator[str]:
        """Yield the report."""
        yield f"backend        {self.backend}"
        yield f"points known   {len(self.known)}"
        yield f"points killed  {len(self.killed_at)}"
        aimed = f"{len(self.killed_at)} at points, {self.at_random} at random instants"
        yield f"kills          {self.kills} ({aimed})"
        yield f"               and {self.in_recovery} of recoveries; {self.missed} missed"
        yield f"ended old      {self.ended_old}"
        yield f"ended new      {self.ended_new}"
        yield f"requests sent  {self.judge.sent}"
        yield f"failed         {self.judge.failed}"
        yield f"strange        {self.judge.strange}"
        yield f"late arrivals  {len(self.late)}, {len(self.swept)} of them stayed until swept"
        yield f"leftovers      {len(self.leftovers)}"
        yield f"took           {self.took_s:.0f} s"
        found = list(self.violations())
        yield from (f"VIOLATION      {what}" for what in found[:_LINES])
        if len(found) > _LINES:
            yield f"VIOLATION      and {len(found) - _LINES} more"
