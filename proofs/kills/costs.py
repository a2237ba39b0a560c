"""What recovery costs, beside what was left to do when the caller died."""

from datetime import timedelta

import attrs

from proofs.kills.exploring import Tally
from proofs.kills.lives import Cost, Life

FENCE = 2
"""Calls that make sure that nothing in flight moves the switch: a reading, a write."""
OBSERVATION = 3
"""Calls that look at the fleet and its health anew, as of now."""
SEARCH = 3
"""Calls that look for what nobody answers for, beside one for each known fleet."""


@attrs.frozen(kw_only=True)
class Recovery:
    """One recovery, beside the steps that were left."""

    died: str
    """The point at which the caller died."""
    cost: Cost
    left: Cost
    """What the undisturbed call still cost from there on."""

    @property
    def more_calls(self) -> int:
        """Return how many calls it made beyond those that were left."""
        return self.cost.calls - self.left.calls

    @property
    def more_effects(self) -> int:
        """Return the same for calls that change something."""
        return self.cost.effects - self.left.effects

    @property
    def more_time(self) -> timedelta:
        """Return how much longer it took."""
        return self.cost.took - self.left.took


def recoveries(tally: Tally) -> tuple[Recovery, ...]:
    """Return every recovery from a death that others knew of at once."""
    calm, *killed = tally.lives
    return tuple(_recovery(calm.costs[0], life) for life in killed)


def _recovery(whole: Cost, life: Life) -> Recovery:
    before, cost = life.costs
    left = Cost(
        calls=whole.calls - before.calls,
        effects=whole.effects - before.effects,
        took=whole.took - before.took,
    )
    return Recovery(died=life.deaths[0], cost=cost, left=left)


def spell(tally: Tally) -> str:
    """Return one line of the table."""
    found = recoveries(tally)
    whole = tally.lives[0].costs[0]
    dearest = max(found, key=lambda recovery: recovery.more_calls)
    took = max(recovery.cost.took for recovery in found).total_seconds()
    return (
        f"{tally.scenario:26} {tally.kind:16} {whole.calls:5} "
        f"{whole.took.total_seconds():6.2f} s "
        f"{max(r.cost.calls for r in found):6} {took:6.2f} s "
        f"{max(r.more_effects for r in found):+8} {dearest.more_calls:+7} "
        f"{max(r.more_time for r in found).total_seconds():+8.2f} s  {dearest.died}"
    )


HEADER = (
    f"{'scenario':26} {'switch':16} {'calls':>5} {'time':>8} "
    f"{'recov.':>6} {'longest':>8} {'effects':>8} {'calls':>7} {'time':>10}  died at\n"
    f"{'':26} {'':16} {'undisturbed':>14} {'most calls, time':>15} "
    f"{'beyond what was left to do':>27}"
)
