"""All cells of one scenario, one by one, and what was seen."""

import time
from collections import Counter
from collections.abc import Callable, Iterable
from datetime import timedelta

import attrs

from immutable.testing.registers import Kind
from proofs.faults.cells import Cell
from proofs.faults.striking import Trial, prepare
from proofs.kills.exploring import never
from proofs.kills.scenarios import Scenario


@attrs.frozen(kw_only=True)
class Broke:
    """A cell in which something broke."""

    cell: Cell | None
    """None: it broke before anything was struck."""
    message: str


@attrs.define(kw_only=True)
class Tally:
    """How much of one scenario was tried, beside how much there is to try."""

    scenario: str
    kind: Kind
    seed: int
    calls: int = 0
    """Calls by name."""
    asked: int = 0
    cells: int = 0
    """Tried."""
    struck: int = 0
    missed: list[Cell] = attrs.field(factory=list)
    """Tried, but the fault found nothing to strike."""
    broke: list[Broke] = attrs.field(factory=list)
    outcomes: Counter[str] = attrs.field(factory=Counter)
    longest: timedelta = timedelta()
    """The longest that a call took, in virtual time."""
    slowest: Cell | None = None
    seconds: float = 0.0

    @property
    def is_complete(self) -> bool:
        """Return whether every cell was tried and every one struck."""
        return bool(self.asked) and self.cells == self.asked and not self.missed


Choice = Callable[[Cell], bool]


def every(_cell: Cell) -> bool:
    """Choose every cell."""
    return True


def strike_all(
    scenario: Scenario,
    kind: Kind,
    *,
    seed: int = 0,
    groups: bool = False,
    chosen: Choice = every,
    is_over: Callable[[], bool] = never,
) -> Tally:
    """Strike every cell of a scenario's matrix.

    Args:
        scenario: what is done.
        kind: on which kind of switch.
        seed: of the simulation.
        groups: fleets are native groups, which their provider heals by itself.
        chosen: only these cells.
        is_over: whether time is over; what is left then counts as not tried.
    """
    began = time.perf_counter()
    tally = Tally(scenario=scenario.name, kind=kind, seed=seed)
    try:
        trial = prepare(scenario, kind, seed, groups=groups)
    except Exception as exc:  # noqa: BLE001 - a finding like any other
        tally.broke.append(_broke(None, exc))
        return tally
    cells = [cell for cell in trial.cells if chosen(cell)]
    tally.asked, tally.calls = len(cells), len({cell.call for cell in cells})
    _strike(trial, cells, tally, is_over)
    tally.seconds = time.perf_counter() - began
    return tally


def _strike(
    trial: Trial, cells: Iterable[Cell], tally: Tally, is_over: Callable[[], bool]
) -> None:
    for cell in cells:
        if is_over():
            return
        tally.cells += 1
        try:
            found = trial.strike(cell)
        # a violation, a broken promise, or whatever the code under test may raise
        except Exception as exc:  # noqa: BLE001 - each is a finding, and the rest goes on
            tally.broke.append(_broke(cell, exc))
            continue
        tally.outcomes[found.outcome] += 1
        tally.struck += bool(found.struck)
        if not found.struck:
            tally.missed.append(cell)
        if found.took > tally.longest:
            tally.longest, tally.slowest = found.took, cell


def _broke(cell: Cell | None, error: Exception) -> Broke:
    return Broke(cell=cell, message=f"{type(error).__name__}: {error}")
