import sys
from pathlib import Path

import pytest

# At the end: the package itself is tested as it is installed, not as it lies here.
sys.path.append(str(Path(__file__).parents[2]))

from proofs.mutants.catchers import Scene
from proofs.mutants.hunting import hunt
from proofs.mutants.mutant import Edit
from proofs.mutants.planting import ROOT, Misplaced, changed
from proofs.mutants.scenes import SCENES
from proofs.mutants.table import MUTANTS

NAMED = {mutant.name: mutant for mutant in MUTANTS}


@pytest.mark.parametrize(
    "name",
    [
        "intent journalled after the effect",
        "no bake",
        "tokens are drawn",
        "clocks are believed to the second",
    ],
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


@pytest.mark.parametrize("name", NAMED)
def test_every_planted_bug_fits_the_source(name):
    """The table speaks of the source as it is, so that no bug is planted in vain."""
    for edit in NAMED[name].edits:
        source = (ROOT / edit.path).read_text()
        assert changed(source, edit) != source


@pytest.mark.parametrize("name", SCENES)
def test_every_scene_ends_well_with_the_source_as_it_is(name):
    """Whatever a scene notices is a bug."""
    SCENES[name]()


def test_every_scene_is_played():
    """A scene that no planted bug needs proves nothing."""
    catchers = [catcher for mutant in MUTANTS for catcher in mutant.catchers]
    played = {catcher.name for catcher in catchers if isinstance(catcher, Scene)}
    assert played == SCENES.keys()


def test_names_are_unique():
    """Each planted bug can be named."""
    assert len(NAMED) == len(MUTANTS) >= 130
