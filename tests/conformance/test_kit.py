import subprocess
import sys
from datetime import timedelta
from pathlib import Path

import pytest

from immutable.errors import InvalidInput
from immutable.testing import conformance, world
from immutable.testing.conformance.deployer import choose
from immutable.testing.conformance.listing import page
from immutable.testing.conformance.suite import case as suite
from immutable.testing.plugin import table

PAGE = Path(__file__).parents[2] / "docs" / "reference" / "conformance.md"
SUITE = """
import pytest
from immutable.testing import conformance, world


@pytest.fixture(scope="session")
def subject():
    lab = world("memory://inner")
    return conformance.Subject(
        name="inner",
        backend=lab.backend,
        good=lab.image("good"),
        leave_out=("*: the same token launches once",),
        pages=3,
        crashes=2,
    )


test_backend = conformance.backend_cases()
"""


def cased(name: str) -> conformance.Case:
    """Return a case by its name."""
    return next(case for case in suite.all() if case.name == name)


def test_the_page_is_what_the_cases_say() -> None:
    """The reference lists each case; python -m immutable.testing.conformance makes it."""
    assert PAGE.read_text() == page()


def test_the_report_tells_what_was_seen_from_what_was_not(tmp_path: Path) -> None:
    """Passed, not applicable and left out are told apart, and crash points counted."""
    (tmp_path / "test_inner.py").write_text(SUITE)
    chosen = "token or recipe or scaling or longest"
    arguments = ("-q", "-p", "no:cacheprovider", "-c", "/dev/null", "-k", chosen)
    command = [sys.executable, "-m", "pytest", *arguments, "test_inner.py"]
    done = subprocess.run(
        command, cwd=tmp_path, capture_output=True, text=True, timeout=120, check=False
    )
    said = done.stdout
    assert done.returncode == 0, said
    assert "inner" in said
    assert "fleets: the same token launches once: left out" in said
    assert "scale: 1 of 16 crash points" in said
    counts = {line.split()[0]: line.split()[1:] for line in said.splitlines() if line}
    assert counts["images"] == ["·", "·", "1", "·", "·"]
    assert counts["fleets"] == ["3", "·", "·", "1", "·"]


def test_what_is_left_out_does_not_run() -> None:
    """A case that the subject leaves out has another result than one that passed."""
    lab = world("memory://left-out")
    subject = conformance.Subject(
        backend=lab.backend, good=lab.image("good"), leave_out=("fleets: *",)
    )
    done = conformance.run(cased("fleets: the same token launches once"), subject)
    assert done.result is conformance.Result.LEFT_OUT
    assert not lab.calls


def test_a_case_leaves_nothing_behind() -> None:
    """After each case there is no server, whatever it launched."""
    lab = world("memory://tidy")
    subject = conformance.Subject(backend=lab.backend, good=lab.image("good"))
    for case in suite.all():
        if case.part is conformance.Part.FLEETS:
            conformance.run(case, subject)
            assert not lab.servers(), case.name


def test_crash_points_are_chosen_evenly() -> None:
    """First and last are among the chosen; without a limit all are."""
    assert choose(30, None).points == tuple(range(1, 31))
    assert choose(30, 3).points == (1, 15, 30)
    assert choose(30, 1).points == (1,)
    assert choose(30, 0).points == ()
    assert str(choose(30, 3)) == "3 of 30 crash points"


def test_a_table_has_a_line_for_each_part() -> None:
    """Parts come in the order of the contract, with a dot for none."""
    rows = [
        {"part": "switch", "result": "passed", "case": "switch: a", "notes": []},
        {"part": "images", "result": "failed", "case": "images: b", "notes": []},
        {"part": "switch", "result": "passed", "case": "switch: c", "notes": []},
    ]
    lines = [line.split() for line in table("cloud", rows)]
    assert lines[1] == ["images", "·", "·", "·", "·", "1"]
    assert lines[2] == ["switch", "2", "·", "·", "·", "·"]


def test_readings_wait_for_as_long_as_they_may_be_old() -> None:
    """Where readings are old, the kit waits the declared time, and no longer."""
    lab = world("memory://patient?staleness=40s")
    subject = conformance.Subject(backend=lab.backend, good=lab.image("good"))
    began = lab.now
    conformance.run(cased("fleets: launching makes all instances"), subject)
    assert timedelta(seconds=40) < lab.now - began < timedelta(minutes=10)


@pytest.mark.parametrize("url", ["http://127.0.0.1:1/good", "https://127.0.0.1:1"])
def test_what_a_target_cannot_say_is_refused(url: str) -> None:
    """A validator gets a route: a path or another scheme would be lost on the way."""
    with pytest.raises(InvalidInput, match="is no route"):
        conformance.ValidatorSubject(
            validator=lambda _target: True, good="http://127.0.0.1:1", bad=url
        )


def test_a_switch_alone_needs_no_backend() -> None:
    """Cases for which there is nothing to try are not applicable, and never pass."""
    lab = world("memory://alone")
    subject = conformance.Subject(backend=None, switch=lab.switch)
    done = conformance.run(cased("switch: a new switch is empty and nobody's"), subject)
    assert done.result is conformance.Result.PASSED
    for name in (
        "fleets: the same token launches once",
        "switch: members become ready",
    ):
        none = conformance.run(cased(name), subject)
        assert none.result is conformance.Result.NOT_APPLICABLE, name
