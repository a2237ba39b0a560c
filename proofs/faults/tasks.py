"""One scenario's matrix to strike, in a form that another process can be told of."""

import time

import attrs

from immutable.testing.registers import Kind
from proofs.faults.cells import Cell
from proofs.faults.scenarios import named
from proofs.faults.trying import Tally, every, strike_all


@attrs.frozen(kw_only=True)
class Task:
    """One scenario's matrix, by names, so that another process can be told of it."""

    scenario: str
    kind: Kind
    seed: int
    brief: bool
    until: float
    groups: bool = False

    def run(self) -> Tally:
        """Strike the matrix."""
        return strike_all(
            named(self.scenario),
            self.kind,
            seed=self.seed,
            groups=self.groups,
            chosen=is_basic if self.brief else every,
            is_over=lambda: time.monotonic() > self.until,
        )


def is_basic(cell: Cell) -> bool:
    """Return whether a cell strikes a call where it is made first."""
    return not cell.skip
