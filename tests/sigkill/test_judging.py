"""How answers are judged, deaths chosen, and a process killed at exactly one point."""

import random
import signal
import subprocess
import sys
from pathlib import Path

import pytest

# At the end: the package itself is tested as it is installed, not as it lies here.
sys.path.append(str(Path(__file__).parents[2]))

from proofs.sigkill.kills import Kill, choose
from proofs.sigkill.points import Point, Watch, snapshot_points
from proofs.sigkill.tally import Tally
from proofs.sigkill.traffic import Judge
from proofs.sigkill.verbs import Verb

POINTS = [
    Point(verb=Verb.DEPLOY, turn=n, stage="begin", call="c", again=1, side="before")
    for n in range(20)
]
TOOK_S = {Verb.DEPLOY: 2.0, Verb.REJECT: 1.0}
DYING = """
from proofs.sigkill.points import Watch
watch = Watch("deploy")
watch.meet("switch.write", "before")
watch.meet("switch.write", "after")
armed = Watch("deploy", point=watch.met[1])
armed.meet("switch.write", "before")
print("alive", flush=True)
armed.meet("switch.write", "after")
print("still alive", flush=True)
"""


def judged(*lines: str) -> Judge:
    """Return a judge who has heard: old until 10, both until 20, new afterwards."""
    judge = Judge()
    judge.allow(0, ["old"], "before")
    judge.allow(10, ["old", "new"], "the kill")
    judge.allow(20, ["new"], "the rest")
    for line in lines:
        judge.hear(line)
    return judge


@pytest.mark.parametrize(
    ("line", "failed", "strange"),
    [
        ("1 2 200 old -", 0, 0),
        ("1 2 200 new -", 0, 1),
        ("8 12 200 new -", 0, 0),
        ("12 13 200 old -", 0, 0),
        ("12 13 200 other -", 0, 1),
        ("19 22 200 old -", 0, 0),
        ("21 22 200 old -", 0, 1),
        ("21 22 200 new -", 0, 0),
        ("21 22 503 - -", 1, 0),
        ("21 22 0 - ConnectionResetError", 1, 0),
    ],
)
def test_answers_are_judged_by_when_they_were_open(line, failed, strange):
    """A request may be answered by whoever was allowed at any time while it was open."""
    judge = judged(line)
    assert (judge.sent, judge.failed, judge.strange) == (1, failed, strange)
    assert len(judge.examples) == failed + strange


def test_every_point_is_chosen_when_there_is_room():
    """All points, once each; the rest are random instants within the verb's time."""
    kills = choose(POINTS, TOOK_S, 50, random.Random(1))
    assert sorted(k.point for k in kills if k.point) == POINTS
    others = [k for k in kills if k.point is None]
    assert len(others) == 30
    assert all(0 <= k.after_s <= TOOK_S[k.verb] for k in others)
    assert kills == choose(POINTS, TOOK_S, 50, random.Random(1))


def test_a_few_kills_are_a_sample_with_random_instants():
    """Where there are more points than kills, some instants are random all the same."""
    kills = choose(POINTS, TOOK_S, 16, random.Random(1))
    aimed = [k.point for k in kills if k.point]
    assert len(aimed) == len(set(aimed)) == 14
    assert len(kills) == 16


def test_a_point_that_was_never_killed_fails_the_run():
    """So does a run that made fewer kills than it was asked for."""
    tally = Tally(backend="processes", asked=20, known=frozenset(POINTS))
    tally.killed_at = set(POINTS[1:])
    tally.judge.sent = 1
    assert list(tally.violations()) == [
        "19 kills of 20 that were asked for",
        f"1 points were never killed, such as {POINTS[0]}",
    ]
    tally.killed_at.add(POINTS[0])
    assert list(tally.violations()) == []


def test_a_failed_request_fails_the_run():
    """One is enough; a run without a single request fails, too."""
    tally = Tally(backend="processes", asked=0, judge=judged("1 2 503 - -"))
    assert next(tally.violations()) == "1 requests, 1 failed, 0 strange"
    assert next(Tally(backend="processes", asked=0).violations())


def test_a_late_kill_comes_sooner_next_time():
    """A random instant moves; a point stays what it is."""
    assert Kill(verb=Verb.DEPLOY, after_s=2.0).sooner().after_s == 1.0
    aimed = Kill(verb=Verb.DEPLOY, point=POINTS[0])
    assert aimed.sooner() == aimed


def test_a_process_dies_at_the_armed_point_and_not_before():
    """By SIGKILL, at exactly that call and side."""
    root = str(Path(__file__).parents[2])
    done = subprocess.run(
        [sys.executable, "-c", f"import sys; sys.path.append({root!r})\n{DYING}"],
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == -signal.SIGKILL, done.stderr
    assert done.stdout == "alive\n"


def test_points_of_equal_runs_are_equal():
    """Each call is told from its equals by a number, each verb by its name."""
    one, two = Watch("deploy"), Watch("deploy")
    for watch in (one, two):
        for side in ("before", "after"):
            watch.meet("machines.create", side)
            watch.meet("machines.create", side)
    assert one.met == two.met
    assert len(set(one.met)) == 4
    assert not set(one.met) & set(snapshot_points("deploy"))
