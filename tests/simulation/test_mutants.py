import sys
from pathlib import Path

import pytest

# At the end: the package itself is tested as it is installed, not as it lies here.
sys.path.append(str(Path(__file__).parents[2]))

from proofs.mutants.hunting import hunt
from proofs.mutants.mutant import Edit
from proofs.mutants.planting import Misplaced, changed
from proofs.mutants.table import MUTANTS

NAMED = {mutant.name: mutant for mutant in MUTANTS}


@pytest.mark.parametrize(
    "name", ["intent journalled after the effect", "no bake", "tokens are drawn"]
)
def test_a_planted_bug_is_noticed_and_the_source_as_it_is_not(name, ran):
    """A broken copy is noticed; the same try on the source as it is notices nothing."""
    row = hunt(NAMED[name])
    assert row.is_caught, row.what
    ran(f"mutants: {row.text()}")


def test_an_edit_that_fits_nowhere_is_refused():
    """A table that is too old fails, rather than plant nothing."""
    with pytest.raises(Misplaced):
        changed("a = 1", Edit("a.py", "b = 1", "b = 2"))


def test_names_are_unique():
    """Each planted bug can be named."""
    assert len(NAMED) == len(MUTANTS) >= 36
