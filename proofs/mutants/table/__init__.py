"""Every planted bug, by what it breaks."""

from proofs.mutants.catchers import Catcher, Faults, Kills, Schedules
from proofs.mutants.mutant import Mutant
from proofs.mutants.table import (
    ageing,
    bounded,
    clearing,
    deciding,
    fencing,
    holding,
    journal,
    proving,
    retiring,
    serving,
    undoing,
)

MUTANTS: tuple[Mutant, ...] = (
    *journal.MUTANTS,
    *fencing.MUTANTS,
    *proving.MUTANTS,
    *undoing.MUTANTS,
    *retiring.MUTANTS,
    *deciding.MUTANTS,
    *ageing.MUTANTS,
    *serving.MUTANTS,
    *bounded.MUTANTS,
    *clearing.MUTANTS,
    *holding.MUTANTS,
)
CONTROL: tuple[Catcher, ...] = (
    Schedules(60),
    Kills("deploy over an incumbent"),
    Faults("rollback, warm", "slot"),
    Schedules(60, groups=True),
)
"""What is tried on the source as it is: nobody must notice anything."""
