import sys
from pathlib import Path
from unittest.mock import patch

import pytest

# At the end: the package itself is tested as it is installed, not as it lies here.
sys.path.append(str(Path(__file__).parents[2]))

from immutable.deploying import acting, decide
from immutable.deploying.steps import Fence, Resolve
from proofs.kills import costs
from proofs.kills.dooms import Death, Doom, distinct, dooms_of, parse
from proofs.kills.exploring import Extent, Tally, explore, landings
from proofs.kills.lives import Case, Flight
from proofs.kills.scenarios import SCENARIOS

NAMED = {scenario.name: scenario for scenario in SCENARIOS}
ONCE = Extent()
TWICE = Extent(pairs=True, only_distinct=True)


def explored(name: str, kind: str, extent: Extent) -> Tally:
    """Explore a scenario by its name."""
    return explore(Case(scenario=NAMED[name], kind=kind), extent)


def check(tally: Tally, ran) -> None:
    """Fail on what broke, and on what was left out."""
    assert not tally.failures, tally.failures[0].message
    assert tally.is_complete, f"not all of {tally.scenario} ran"
    deaths = tally.kills + tally.pairs + tally.landings
    ran(
        f"kills: {tally.scenario}, {tally.kind}: {tally.points} points, {deaths} deaths"
    )


@pytest.mark.parametrize(
    ("name", "kind"),
    [
        ("deploy over an incumbent", "compare-and-set"),
        ("rejected in the bake", "slot"),
        ("sweep an orphan", "slot"),
    ],
)
def test_a_call_that_dies_anywhere_is_finished_or_undone(name, kind, ran):
    """Killed at each of its crash points, a call ends wholly old or wholly new."""
    tally = explored(name, kind, ONCE)
    check(tally, ran)
    assert tally.killed == tally.points > 10


@pytest.mark.parametrize(("name", "kind"), [("scale up", "slot"), ("adopt", "blind")])
def test_a_recovery_that_dies_is_recovered_from(name, kind, ran):
    """Killed in the call and again in its recovery, it is still finished or undone."""
    tally = explored(name, kind, TWICE)
    check(tally, ran)
    assert tally.pairs > 20


def test_what_a_dead_caller_has_in_flight_may_land_whenever_it_likes(ran):
    """A dead caller's last call does no harm between any two steps of a recovery."""
    tally = explored("heal", "compare-and-set", Extent(landings=True))
    check(tally, ran)
    assert tally.landings > 50


def test_recovery_of_an_interrupted_deploy_is_not_dear(ran):
    """Beyond what was left, a recovery costs a fence, a look and a search: no more."""
    tally = explored("rollback, warm", "slot", ONCE)
    check(tally, ran)
    found = costs.recoveries(tally)
    assert len(found) == tally.points
    dearest = max(recovery.more_calls for recovery in found)
    known_fleets = 2
    allowed = costs.FENCE + costs.OBSERVATION + costs.SEARCH + known_fleets
    assert dearest <= allowed
    ran(f"kills: dearest recovery of a warm rollback: {dearest:+} calls")


def test_the_wrong_answer_about_a_write_in_doubt_is_found():
    """A recovery that takes every write in doubt for lost breaks a promise."""

    def lost(suspect, _world):
        return Resolve(number=suspect.number, applied=False)

    with patch.object(decide, "_resolve", lost):
        tally = explored("rollback, warm", "compare-and-set", ONCE)
    assert {f.points for f in tally.failures} >= {("after:switch.write",)}


def test_a_recovery_that_skips_its_fence_is_found():
    """A recovery that decides with a write still in flight breaks a promise."""
    act = acting._act

    def unfenced(engine, effect, ledger, token):
        if isinstance(effect, Fence):
            return engine.switch.read().version
        return act(engine, effect, ledger, token)

    with patch.object(acting, "_act", unfenced):
        tally = explored("rollback, warm", "compare-and-set", ONCE)
    deaths = {doom.death for failure in tally.failures for doom in failure.path}
    assert deaths
    assert deaths <= {Death.SOON, Death.LATE}


def test_a_run_that_ends_too_early_is_incomplete():
    """When time is over before every point was tried, the run does not count."""
    case = Case(scenario=NAMED["adopt"], kind="slot")
    asked = iter([False, False, False])
    tally = explore(case, ONCE, is_over=lambda: next(asked, True))
    assert not tally.failures
    assert not tally.is_complete


def test_a_death_can_be_written_down_and_read():
    """What is printed of a path can be given to the command again."""
    path = (Doom(37), Doom(12, Death.SOON), Doom(3, Death.TIMED, 1500))
    assert parse(",".join(map(str, path))) == path
    with pytest.raises(ValueError, match="no death"):
        parse("here")


def test_only_a_call_with_an_effect_can_be_in_flight():
    """A process whose last call was a reading leaves nothing in flight."""
    points = ("before:switch.read", "after:switch.read", "after:switch.write")
    found = dooms_of(points, (Death.KNOWN, Death.SOON))
    assert found == (Doom(1), Doom(2), Doom(3), Doom(3, Death.SOON))


def test_points_that_leave_the_same_world_are_told_apart_from_those_that_do_not():
    """Of the points between two effects only the first and the last stand for the rest."""
    points = (
        "before:a",
        "after:a",
        "before:b",
        "before-write:x",
        "after-write:x",
        "c",
        "d",
    )
    assert distinct(points) == {1, 4, 5, 7}


def test_a_landing_is_placed_between_any_two_answers():
    """The instants are within each gap, for the part that the seed draws."""
    flight = Flight(landed_us=150_000_000, instants_us=(100, 300))
    doom = Doom(1, Death.LATE)
    assert landings(flight, doom) == (50, 150, 300, 500)
