"""pytest in a process of its own, whose tests' commands are run by somebody here."""

import os
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import suppress
from datetime import timedelta
from pathlib import Path
from types import TracebackType
from typing import Self

from immutable.images.proof.places import Ran, Runner
from immutable.images.proof.testinfra import channel
from immutable.images.proof.testinfra.channel import Finished, Reported, Trouble, Wanted

_PLUGIN = "immutable.images.proof.testinfra.plugin"
# Nothing of this process's secrets gets to the tests, nor of its settings for pytest.
_PASSED_ON = ("HOME", "LANG", "LC_ALL", "PATH", "PYTHONPATH", "TMPDIR")
_FOUND_SOMETHING = frozenset({0, 1})
_SAID_BYTES = 4000


class Pytest:
    """One run; leaving the block ends it, and whatever it started."""

    def __init__(self, path: Path, run: Runner) -> None:
        self._run = run
        self._finished = False
        self._output = tempfile.TemporaryFile()  # noqa: SIM115 - closed with the run
        ours, theirs = socket.socketpair()
        self._lines = channel.Lines(ours)
        with theirs:
            self._process = subprocess.Popen(
                _command(path),
                env=_variables(theirs),
                cwd=path if path.is_dir() else path.parent,
                pass_fds=(theirs.fileno(),),
                stdin=subprocess.DEVNULL,
                stdout=self._output,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        _kind: type[BaseException] | None,
        _error: BaseException | None,
        _trace: TracebackType | None,
    ) -> None:
        # The tests' own children are in its group; it is gone where all of them are.
        with suppress(ProcessLookupError):
            os.killpg(self._process.pid, signal.SIGKILL)
        self._process.wait()
        self._lines.connection.close()
        self._output.close()

    @property
    def broke_down(self) -> bool:
        """Return whether it ended in another way than with tests that passed or failed."""
        return not self._finished or self._process.poll() not in _FOUND_SOMETHING

    def reports(self, deadline: float) -> Iterator[Reported]:
        """Yield what became of each test, and run their commands meanwhile.

        Raises:
            TimeoutError: it is not done by the deadline (`time.monotonic`).
        """
        with suppress(channel.Closed, ConnectionError):
            while True:
                self._lines.connection.settimeout(_left(deadline))
                heard = channel.heard(self._lines)
                match heard:
                    case Reported():
                        yield heard
                    case Finished():
                        self._finished = True
                    case Wanted(command=command):
                        channel.answer(self._lines, self._ran(command, deadline))
        try:
            self._process.wait(_left(deadline))
        except subprocess.TimeoutExpired as exc:
            raise TimeoutError(str(exc)) from exc

    def said(self) -> str:
        """Return the end of what it printed."""
        size = self._output.seek(0, os.SEEK_END)
        self._output.seek(max(0, size - _SAID_BYTES))
        return self._output.read().decode(errors="replace")

    def _ran(self, command: str, deadline: float) -> Ran | Trouble:
        timeout = timedelta(seconds=_left(deadline))
        try:
            ran = self._run(("/bin/sh", "-c", command), timeout=timeout)
        except OSError as exc:
            return Trouble(reason=str(exc) or type(exc).__name__)
        if len(ran.stdout) + len(ran.stderr) > channel.OUTPUT_LIMIT_BYTES:
            return Trouble(reason="it says too much")
        return ran


def _command(path: Path) -> list[str]:
    own = path if path.is_dir() else path.parent
    command = [sys.executable, "-m", "pytest", "-q", "-p", "testinfra.plugin"]
    command += ["-p", _PLUGIN, "-p", "no:cacheprovider", "--hosts=immutable://image"]
    # What lies around the tests is not among what the check's digest covers.
    command += ["-c", os.devnull, f"--rootdir={own}", f"--confcutdir={own}"]
    command += [] if path.is_dir() else ["--noconftest"]
    return [*command, "--", str(path)]


def _variables(theirs: socket.socket) -> dict[str, str]:
    passed_on = {name: os.environ[name] for name in _PASSED_ON if name in os.environ}
    return passed_on | {
        channel.VARIABLE: str(theirs.fileno()),
        "PYTEST_DISABLE_PLUGIN_AUTOLOAD": "1",
        "PYTHONDONTWRITEBYTECODE": "1",
    }


def _left(deadline: float) -> float:
    left = deadline - time.monotonic()
    if left <= 0:
        raise TimeoutError("the time is up")
    return left
