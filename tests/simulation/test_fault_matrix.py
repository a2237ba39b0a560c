import sys
from pathlib import Path
from unittest.mock import patch

import pytest

# At the end: the package itself is tested as it is installed, not as it lies here.
sys.path.append(str(Path(__file__).parents[2]))

from immutable.deploying import decide
from immutable.deploying.steps import Resolve
from immutable.testing.faults import Fault
from proofs.faults.cells import CALLER, TIMES, Cell, Recorder
from proofs.faults.scenarios import SCENARIOS
from proofs.faults.striking import prepare
from proofs.faults.trying import strike_all

NAMED = {scenario.name: scenario for scenario in SCENARIOS}


def is_first(cell: Cell) -> bool:
    """Return whether a cell strikes once, where its call is made first."""
    return cell.times == 1 and not cell.skip


@pytest.mark.parametrize(
    ("name", "kind"),
    [
        ("deploy over an incumbent", "compare-and-set"),
        ("rejected in the bake", "slot"),
        ("rollback, warm", "blind"),
        ("scale up", "slot"),
        ("heal", "compare-and-set"),
        ("sweep an orphan", "slot"),
        ("recover, forward", "compare-and-set"),
    ],
)
def test_whatever_goes_wrong_with_a_call_the_promise_holds(name, kind, ran):
    """Each call struck by each fault once: a typed outcome, and at rest what it says."""
    tally = strike_all(NAMED[name], kind, chosen=is_first)
    assert not tally.broke, (tally.broke[0].cell, tally.broke[0].message)
    assert tally.is_complete, tally.missed
    assert tally.struck == tally.asked > 20
    ran(f"faults: {name}, {kind}: {tally.calls} calls, {tally.struck} cells struck")


@pytest.mark.parametrize("fault", ["error_before", "error_after", "late", "slow"])
def test_a_switch_that_never_answers_well_does_not_hold_a_deploy_up(fault, ran):
    """A fault at every write ends in bounded time, with an outcome that says so."""
    scenario = NAMED["deploy over an incumbent"]
    trial = prepare(scenario, "compare-and-set")
    found = trial.strike(Cell(call="switch.write", fault=fault, times=None))
    assert found.struck
    ran(f"faults: every write {fault}: {found.outcome}, {found.took.total_seconds()} s")


def test_a_write_that_is_taken_for_lost_is_found():
    """A deploy that takes every write in doubt for lost breaks a promise."""

    def lost(suspect, _world):
        return Resolve(number=suspect.number, applied=False)

    with patch.object(decide, "_resolve", lost):
        tally = strike_all(
            NAMED["deploy over an incumbent"],
            "compare-and-set",
            chosen=lambda cell: cell.call == "switch.write",
        )
    assert tally.broke


def test_every_fault_that_can_strike_a_call_is_in_the_matrix():
    """The matrix has first, twice and always of each, and each later place by itself."""
    recorder = Recorder()
    for _ in range(3):
        recorder.choose("switch.read", process=CALLER, possible=(Fault.STALE,))
    recorder.choose("ledger.last", process="another", possible=(Fault.SLOW,))
    often = {(cell.times, cell.skip) for cell in recorder.cells()}
    assert often == {*((times, 0) for times in TIMES), (1, 1), (1, 2)}
    assert {cell.call for cell in recorder.cells()} == {"switch.read"}


def test_a_fault_that_finds_nothing_to_strike_is_reported():
    """A cell whose call is never made counts as missed, and the run as incomplete."""
    trial = prepare(NAMED["adopt"], "compare-and-set")
    found = trial.strike(Cell(call="fleets.launch", fault=Fault.SLOW))
    assert not found.struck
