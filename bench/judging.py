"""Whether each answer came from a release that production was routed to then."""

import bisect
from collections.abc import Iterable, Sequence

import attrs

from bench.load import Answer

_OK = 200


@attrs.frozen(kw_only=True)
class Flip:
    """One move of production: asked for, acknowledged (ns, monotonic), and to where."""

    began_ns: int
    acknowledged_ns: int
    release: int

    def moved(self, by_ns: int) -> "Flip":
        """Return the same flip at another time."""
        return Flip(
            began_ns=self.began_ns + by_ns,
            acknowledged_ns=self.acknowledged_ns + by_ns,
            release=self.release,
        )


@attrs.frozen(kw_only=True)
class Judged:
    """What was wrong with a client's answers, and how long they took, ascending."""

    failed: int = 0
    stale: int = 0
    """Sent after a flip was acknowledged, answered by the release that it replaced."""
    wrong: int = 0
    """Answered by any other release that was not routed while it was in flight."""
    latencies_s: tuple[float, ...] = ()

    @property
    def total(self) -> int:
        """Return how many requests there were."""
        return self.failed + len(self.latencies_s)


def judge(answers: Iterable[Answer], flips: Sequence[Flip]) -> Judged:
    """Judge every answer by the log of flips, whose first is the routing at the start.

    A request may be answered by the release of the last flip that was acknowledged
    before it was sent, or by that of a later one that had begun before its answer came.
    """
    acknowledged = [flip.acknowledged_ns for flip in flips]
    counts, latencies = {"stale": 0, "wrong": 0}, []
    failed = 0
    for began, sent, received, release, status in answers:
        if status != _OK:
            failed += 1
            continue
        latencies.append((received - began) / 1e9)
        last = bisect.bisect_right(acknowledged, sent) - 1
        if release != flips[last].release and (
            fault := _fault(flips, last, received, release)
        ):
            counts[fault] += 1
    return Judged(failed=failed, latencies_s=tuple(sorted(latencies)), **counts)


def percentile(ascending: Sequence[float], percent: float) -> float:
    """Return the smallest sample that so many percent of all do not exceed."""
    rank = -(-len(ascending) * percent // 100)
    return ascending[max(int(rank), 1) - 1]


def _fault(flips: Sequence[Flip], last: int, received: int, release: int) -> str:
    later = (flip for flip in flips[last + 1 :] if flip.began_ns <= received)
    if any(flip.release == release for flip in later):
        return ""
    was_replaced = last > 0 and flips[last - 1].release == release
    return "stale" if was_replaced else "wrong"
