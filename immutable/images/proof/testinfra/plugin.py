"""What pytest loads: the image as a host of testinfra, and what became of each test."""

import functools
import os
import socket

import pytest
from testinfra import backend
from testinfra.backend.base import BaseBackend, CommandResult

from immutable.images.proof.testinfra import channel
from immutable.images.proof.testinfra.channel import Outcome, Reported

SCHEME = "immutable"
_DETAIL_LIMIT = 4000
_OUTCOMES: dict[str, Outcome] = {
    "passed": "passed",
    "failed": "failed",
    "skipped": "skipped",
}
_troubles: list[str] = []
"""Why commands of the test that is running could not be run."""

backend.BACKENDS[SCHEME] = f"{__name__}.ImageBackend"


class ImageBackend(BaseBackend):  # type: ignore[misc]  # testinfra has no types
    """Runs each command wherever the check does."""

    NAME = SCHEME

    def run(self, command: str, *args: str, **_options: object) -> CommandResult:
        """Run a shell command in the image."""
        line = self.get_command(command, *args)
        found = channel.ask(_lines(), line)
        if isinstance(found, channel.Trouble):
            _troubles.append(found.reason)
            pytest.fail(f"a command could not be run: {found.reason}", pytrace=False)
        return self.result(found.status, line.encode(), found.stdout, found.stderr)


@functools.cache
def _lines() -> channel.Lines:
    return channel.Lines(socket.socket(fileno=int(os.environ[channel.VARIABLE])))


def pytest_runtest_logreport(report: pytest.TestReport) -> None:
    """Tell what became of a test; of its setup and teardown only what went wrong."""
    if report.when != "call" and report.passed:
        return
    outcome = _OUTCOMES[report.outcome]
    if _troubles or hasattr(report, "wasxfail"):
        outcome = "undecided"
    _troubles.clear()
    _tell(report.nodeid, outcome, report)


def pytest_collectreport(report: pytest.CollectReport) -> None:
    """Tell of tests that could not even be collected, or are left out by the whole file."""
    if not report.passed:
        _tell(report.nodeid or "collection", _OUTCOMES[report.outcome], report)


def pytest_sessionfinish() -> None:
    """Tell that no test ended this process before its time."""
    channel.finish(_lines())


def _tell(
    test: str, outcome: Outcome, report: pytest.TestReport | pytest.CollectReport
) -> None:
    detail = "" if outcome == "passed" else _why(report)
    channel.report(
        _lines(), Reported(test=test, outcome=outcome, detail=detail[:_DETAIL_LIMIT])
    )


def _why(report: pytest.TestReport | pytest.CollectReport) -> str:
    if isinstance(report.longrepr, tuple):
        return report.longrepr[2]
    crash = getattr(report.longrepr, "reprcrash", None)
    return str(getattr(crash, "message", "")) or report.longreprtext
