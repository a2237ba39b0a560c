"""How many simulated schedules a second one core runs, beside a schedule without faults.

Schedules are as long as they are: the second figure counts by the hundred steps. A step is
a point at which a process may be killed or another goes on: before and after each call.
"""

import attrs

from bench.figures import Figure, Target
from bench.sampling import take_turns, timed
from bench.settings import Settings
from immutable.testing.registers import Kind
from immutable.testing.schedules import ScheduleReport, run_schedule

KINDS: tuple[Kind, ...] = ("compare-and-set", "slot", "blind")
BATCH = 50
_STEPS_OF_A_CALL = 2
_ENOUGH = Target(limit=200, at_least=True)


@attrs.define
class Batches:
    """Runs batches of seeds, never the same one twice."""

    kind: Kind
    faults: bool
    seed: int = 0
    calls: int = 0

    def run(self) -> None:
        """Run the next batch."""
        for _ in range(BATCH):
            self.calls += self._next().calls

    def _next(self) -> ScheduleReport:
        self.seed += 1
        return run_schedule(self.seed, self.kind, faults=self.faults)


def measure(settings: Settings) -> tuple[Figure, ...]:
    """Return schedules a second for each kind of switch, as they are and by the steps."""
    return tuple(figure for kind in KINDS for figure in _measure(settings, kind))


def _measure(settings: Settings, kind: Kind) -> tuple[Figure, Figure]:
    drawn, smooth = (Batches(kind=kind, faults=faults) for faults in (True, False))
    ours, theirs = take_turns(settings.turns(6), timed(drawn.run), timed(smooth.run))
    rates = sorted(BATCH / seconds for seconds in ours)
    whole = Figure(
        name=f"simulation.{kind}_per_s",
        unit="per_s",
        value=rates[len(rates) // 2],
        n=len(rates),
        low=rates[0],
        high=rates[-1],
        beside=f"without faults; {drawn.calls / drawn.seed:.0f} calls each",
        beside_value=BATCH / sorted(theirs)[len(rates) // 2],
    )
    hundreds = drawn.calls / drawn.seed * _STEPS_OF_A_CALL / 100
    return whole, _by_steps([rate * hundreds for rate in rates], kind)


def _by_steps(rates: list[float], kind: Kind) -> Figure:
    return Figure(
        name=f"simulation.{kind}_hundred_steps_per_s",
        unit="per_s",
        value=rates[len(rates) // 2],
        n=len(rates),
        low=rates[0],
        high=rates[-1],
        target=_ENOUGH,
    )
