"""One case to explore, in a form that another process can be told of."""

import time

import attrs

from immutable.testing.registers import Kind
from proofs.kills.exploring import Extent, Tally, explore
from proofs.kills.lives import Case
from proofs.kills.scenarios import named


@attrs.frozen(kw_only=True)
class Task:
    """One case, by names, so that another process can be told of it."""

    scenario: str
    kind: Kind
    seed: int
    extent: Extent
    until: float
    groups: bool = False

    def run(self) -> Tally:
        """Explore the case."""
        case = Case(
            scenario=named(self.scenario),
            kind=self.kind,
            seed=self.seed,
            groups=self.groups,
        )
        return explore(case, self.extent, is_over=lambda: time.monotonic() > self.until)
