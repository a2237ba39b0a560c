"""A slice of proofs/aws, and proof that it would notice."""

import random
import tempfile
from pathlib import Path

import pytest

from proofs.aws.faulting import strike
from proofs.aws.killing import Aims, kill, twice
from proofs.aws.planted import Bug
from proofs.aws.tally import Tally
from proofs.aws.verbs import Verb

pytestmark = pytest.mark.timeout(900)
SEEDS = 1 << 32
KILLS, CELLS = 6, 6
SECONDS = 25


@pytest.fixture
def directory():
    """Return a directory for ledgers."""
    with tempfile.TemporaryDirectory(prefix="immutable-aws-") as name:
        yield Path(name)


def _quiet(_text):
    return None


def test_a_killed_deployer_leaves_one_whole_release_and_nothing_else(directory, ran):
    """Kill deployers at calls of a deployment, in an order that differs each time."""
    verbs = (Verb.DEPLOY, Verb.FIRST)
    seed = random.randrange(SEEDS)
    aims = Aims(count=KILLS, seed=seed, seconds=SECONDS, verbs=verbs)
    tally = kill(directory, aims, _quiet)
    ran(f"proofs aws: {tally.total} kills of {tally.known} points, seed {seed}")
    assert not list(tally.violations())


def test_calls_that_fail_leave_one_whole_release_and_nothing_else(directory, ran):
    """Let calls of a deployment fail at the wire, others each time."""
    seed = random.randrange(SEEDS)
    aims = Aims(count=CELLS, seed=seed, seconds=SECONDS, verbs=(Verb.DEPLOY,))
    tally = strike(directory, aims, _quiet)
    ran(f"proofs aws: {tally.total} faults of {tally.known} cells, seed {seed}")
    assert not list(tally.violations())


def test_what_was_missed_is_tried_once_more():
    """A deployer does not come to each point in each run."""
    missed, tried = [], []
    for point in twice(["one", "two", "three"], missed):
        tried.append(point)
        if point == "two":
            missed.append(point)
    assert (tried, missed) == (["one", "two", "three", "two"], ["two"])


def test_a_run_goes_on_until_something_was_tried():
    """However late it is."""
    tally = Tally(seed=1)
    assert not tally.is_over(deadline=0)
    tally.tried["deploy"] += 1
    assert tally.is_over(deadline=0)


def test_a_forgotten_template_is_noticed(directory):
    """Have deployers leave the launch templates of fleets that they retire."""
    verbs = (Verb.REJECT,)
    aims = Aims(count=0, verbs=verbs, bug=Bug.FORGETS_TEMPLATES)
    found = kill(directory, aims, _quiet).problems
    assert any(problem.startswith("reject: templates") for problem in found)


def test_a_forgotten_half_of_a_fleet_is_noticed(directory):
    """Kill a deployer between a template and its group; who recovers forgets that half."""
    point = "after ec2.CreateLaunchTemplate"
    aims = Aims(only=point, verbs=(Verb.DEPLOY,), bug=Bug.FORGETS_HALVES)
    tally = kill(directory, aims, _quiet)
    assert tally.total == 1
    assert any("templates" in problem for problem in tally.problems)
