import sys
from pathlib import Path

# At the end: the package itself is tested as it is installed, not as it lies here.
sys.path.append(str(Path(__file__).parents[2]))

from immutable.deploying import admitting
from proofs.stateful.runs import Tally, explore

EXAMPLES, STEPS = 25, 30


def test_the_public_calls_do_as_a_simple_model_says(ran):
    """Whatever is called, killed, robbed or moved: each outcome is one that the model knows."""
    tally = explore(EXAMPLES, STEPS, 1)
    ran(f"stateful: {tally.ran['examples']} examples, {tally.ran['steps']} steps")
    assert not tally.shortfall(EXAMPLES, STEPS), tally.text()


def test_the_model_notices_a_call_that_does_too_much(monkeypatch):
    """A deploy of what is live already that launches it again is found."""
    monkeypatch.setattr(admitting, "is_live_already", lambda _state, _release: False)
    tally = explore(EXAMPLES, STEPS, 1, shrinking=False)
    assert "of 1 the nearest has" in tally.violations[0]
    assert tally.shortfall(EXAMPLES, STEPS) == "1 violations"


def test_fewer_steps_than_asked_are_a_failure():
    """A run that quietly did little says so."""
    tally = Tally.of([explore(1, 5, 0)])
    assert "of 1000 and 50 each" in tally.shortfall(1000, 50)
