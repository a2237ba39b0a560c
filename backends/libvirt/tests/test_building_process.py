"""Tools are run with nothing of the caller's, and their failures say why."""

import os
import time
from datetime import timedelta
from pathlib import Path

import pytest

from immutable.errors import BuildFailed, Unavailable
from immutable_libvirt.building.process import capture, environment, require, run


def test_lines_are_passed_on() -> None:
    """Each line of both outputs arrives, without its end."""
    lines: list[str] = []
    run(["sh", "-c", "echo a; echo b >&2"], what="sh", on_output=lines.append)
    assert lines == ["a", "b"]


def test_a_failure_holds_the_last_lines() -> None:
    """The message names what failed, its status and its last fifteen lines."""
    script = "seq 100; exit 3"
    with pytest.raises(BuildFailed, match="counting failed with status 3") as caught:
        run(["sh", "-c", script], what="counting", on_output=lambda _line: None)
    assert caught.value.message.splitlines()[1:] == [f"    {n}" for n in range(86, 101)]


def test_a_message_holds_no_endless_line() -> None:
    """The listener gets all of it; the error only its beginning."""
    lines: list[str] = []
    script = "head -c 100000 /dev/zero | tr '\\0' x; exit 3"
    with pytest.raises(BuildFailed) as caught:
        run(["sh", "-c", script], what="sh", on_output=lines.append)
    assert len(lines[0]) == 100_000
    assert len(caught.value.message) < 1000


def test_what_ends_without_a_word_is_told_so() -> None:
    """A message points to no lines that are not there; a deadline can be longer."""
    with pytest.raises(BuildFailed, match="status 3; it printed nothing") as caught:
        run(["sh", "-c", "exit 3"], what="sh", on_output=lambda _line: None)
    assert "lines" not in caught.value.hint
    with pytest.raises(BuildFailed, match="did not end within 1ms") as caught:
        run(
            ["sleep", "60"],
            what="sleeping",
            on_output=lambda _line: None,
            deadline=timedelta(milliseconds=1),
        )
    assert "deadline=" in caught.value.hint


def test_a_program_that_is_interrupted_is_killed(tmp_path: Path) -> None:
    """When the listener raises, the program and its children end."""

    def stop(_line: str) -> None:
        raise KeyboardInterrupt

    script = f"sleep 60 & echo $! >{tmp_path}/pid; echo started; wait"
    with pytest.raises(KeyboardInterrupt):
        run(["sh", "-c", script], what="sleeping", on_output=stop)
    child = Path(f"/proc/{(tmp_path / 'pid').read_text().strip()}/stat")
    while child.exists() and child.read_text().rsplit(")", 1)[1].split()[0] != "Z":
        time.sleep(0.01)  # the kernel carries a kill out in its own time


def test_the_callers_environment_is_left_out(monkeypatch: pytest.MonkeyPatch) -> None:
    """Secrets do not reach what is built; proxies reach what downloads."""
    monkeypatch.setenv("SECRET", "x")
    monkeypatch.setenv("https_proxy", "http://proxy.example")
    said = capture(["env"], variables={})
    assert "SECRET" not in said
    assert "https_proxy=http://proxy.example" in said
    assert "SECRET" in os.environ
    assert "SECRET" not in environment()


def test_missing_programs_come_with_their_command(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """What is not installed is named with the command that installs it."""
    monkeypatch.setattr("immutable_libvirt.building.process._PATH", "/nowhere")
    with pytest.raises(Unavailable, match="apt-get install erofs-utils mmdebstrap"):
        require("mmdebstrap", "mkfs.erofs")
