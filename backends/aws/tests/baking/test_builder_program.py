"""What a builder runs, by itself: it is heard whatever happens, and others' work is over."""

import importlib.util
import json
import re
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from importlib import resources
from pathlib import Path
from types import ModuleType

import pytest

_SIGNED_BYTES = 4 << 20
"""What the depot's POST policy lets be sent at once."""


@pytest.fixture
def program(monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    """Return the program as a module, in a hurry."""
    path = resources.files("immutable_aws").joinpath("builder_files/bake.py")
    spec = importlib.util.spec_from_file_location("told", str(path))
    assert spec is not None
    assert spec.loader is not None
    found = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(found)
    monkeypatch.setattr(found, "PAUSE_S", 0.001)
    return found


class Heard(ThreadingHTTPServer):
    """What arrives by form, as S3 keeps it; so many are refused first."""

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), _Form)
        self.refused = 0
        self.kept: dict[str, bytes] = {}

    @property
    def lines(self) -> list[str]:
        """Return the lines of what has arrived, in its order."""
        batches = [json.loads(body) for _, body in sorted(self.kept.items())]
        return [line for batch in batches for line in batch["lines"]]


class _Form(BaseHTTPRequestHandler):
    server: Heard

    def do_POST(self) -> None:
        """Keep a form's file by its key, or refuse it."""
        form = self.rfile.read(int(self.headers["Content-Length"]))
        mark = self.headers["Content-Type"].rpartition("=")[2].encode()
        parts = [p.partition(b"\r\n\r\n") for p in form.split(b"--" + mark)[1:-1]]
        told = {
            name.group(1): body.removesuffix(b"\r\n")
            for head, _, body in parts
            if (name := re.search(rb'name="(\w+)"', head))
        }
        if self.server.refused:
            self.server.refused -= 1
            self.send_response(503)
        else:
            self.server.kept[told[b"key"].decode()] = told[b"file"]
            self.send_response(204)
        self.send_header("Content-Length", "0")
        self.end_headers()

    def log_message(self, *_: object) -> None:
        """Say nothing."""


@pytest.fixture
def heard(program: ModuleType) -> Iterator[Heard]:
    """Return who hears the program."""
    with Heard() as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        url = f"http://127.0.0.1:{server.server_port}/"
        settings = {"post": {"url": url, "fields": {"policy": "x"}}, "said": "said/"}
        program.SETTINGS.update(settings)
        yield server
        server.shutdown()
        thread.join()


def test_what_is_not_heard_is_said_again(program: ModuleType, heard: Heard) -> None:
    """However often it was refused: no number is left out, and nothing comes twice."""
    heard.refused = 3 * program.TRIES
    reporter = program.Reporter()
    reporter.report(event="begun", work=0)
    reporter.line("made")
    reporter.report(event="captured")
    reporter.close()
    assert sorted(heard.kept) == [f"said/{n:08}" for n in range(len(heard.kept))]
    assert heard.lines == ["made"]
    last = json.loads(max(heard.kept.items())[1])
    assert json.loads(last["reports"][0])["event"] == "captured"


def test_what_is_never_heard_keeps_no_machine_on(
    program: ModuleType, heard: Heard, monkeypatch: pytest.MonkeyPatch
) -> None:
    """At the end it is given up after a while, such as when the signatures are over."""
    heard.refused = 1 << 30
    monkeypatch.setattr(program, "LAST_S", 0.05)
    reporter = program.Reporter()
    reporter.report(event="captured")
    reporter.line("after it")
    reporter.close()
    assert heard.kept == {}


def test_no_more_is_sent_at_once_than_is_signed_for(
    program: ModuleType, heard: Heard, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Batches are cut by what their lines come to, six bytes for many a character."""
    monkeypatch.setattr(program, "PAUSE_S", 1.0)
    lines = [f"{number:04}" + "é" * 3990 for number in range(400)]
    reporter = program.Reporter()
    for line in lines:
        reporter.line(line)
    reporter.close()
    assert heard.lines == lines
    assert max(map(len, heard.kept.values())) < _SIGNED_BYTES


@pytest.fixture
def system(
    program: ModuleType, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Path:
    """Return a directory with a systemd, and the lock of a package manager."""
    (tmp_path / "systemd").mkdir()
    stub = tmp_path / "systemctl"
    stub.write_text(f'#!/bin/sh\necho "$*" >>{tmp_path}/called\n')
    stub.chmod(0o755)
    (tmp_path / "lock").touch()
    monkeypatch.setenv("PATH", str(tmp_path), prepend=":")
    monkeypatch.setattr(program, "SYSTEMD", tmp_path / "systemd")
    monkeypatch.setattr(program, "LOCKS", (tmp_path / "lock", tmp_path / "none"))
    return tmp_path


_HOLD = """\
import fcntl, sys
with open(sys.argv[1], "r+b") as file:
    fcntl.lockf(file, fcntl.LOCK_EX)
    print("held", flush=True)
    sys.stdin.read()
"""


def test_the_systems_own_updates_are_stopped(program: ModuleType, system: Path) -> None:
    """First what begins them; they are not disabled, and no file of theirs is changed."""
    before = (system / "lock").stat()
    program.quieten()
    called = (system / "called").read_text().splitlines()
    assert called[0] == "stop apt-daily.timer apt-daily-upgrade.timer"
    assert called[1:] == [
        "stop unattended-upgrades.service",
        "stop apt-daily.service apt-daily-upgrade.service",
    ]
    assert (system / "lock").stat().st_mtime_ns == before.st_mtime_ns
    assert not (system / "none").exists()


def test_updates_that_are_under_way_are_waited_for(
    program: ModuleType, system: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Who installs holds a lock: until it is free, but not for ever."""
    argv = [sys.executable, "-c", _HOLD, str(system / "lock")]
    with subprocess.Popen(
        argv, stdin=subprocess.PIPE, stdout=subprocess.PIPE
    ) as holder:
        assert holder.stdout
        assert holder.stdin
        holder.stdout.readline()
        monkeypatch.setattr(program, "QUIET_S", 0.05)
        with pytest.raises(TimeoutError, match="own updates do not end"):
            program.settle()
        threading.Timer(0.3, holder.stdin.close).start()
        monkeypatch.setattr(program, "QUIET_S", 60.0)
        began = time.monotonic()
        program.quieten()
        assert 0.2 < time.monotonic() - began < 30
        program.settle()


def test_what_has_no_systemd_has_nothing_to_stop(
    program: ModuleType, system: Path
) -> None:
    """Nothing is called, and nobody is waited for."""
    (system / "systemd").rmdir()
    program.quieten()
    assert not (system / "called").exists()
