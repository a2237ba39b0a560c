"""The check: pytest runs the tests, and every test that did not pass is a finding."""

import importlib.util
import os
import time
from collections.abc import Iterator
from datetime import timedelta
from importlib import metadata
from pathlib import Path

import attrs

from immutable.durations import duration, spell
from immutable.errors import InvalidInput, MissingFiles
from immutable.images.content import inventory
from immutable.images.proof.checking import (
    Finding,
    Judgement,
    judged,
    undecided,
    worst,
)
from immutable.images.proof.places import Place, Target, place_of
from immutable.images.proof.testinfra.channel import Reported
from immutable.images.proof.testinfra.pytests import Pytest
from immutable.judging import VerdictStatus
from immutable.model import Digest, digest_of

_NEEDED = ("pytest", "testinfra")
_DISTRIBUTIONS = ("pytest", "pytest-testinfra")
_STATUSES = {
    "passed": VerdictStatus.PASSED,
    "failed": VerdictStatus.FAILED,
    "skipped": VerdictStatus.UNDECIDED,
    "undecided": VerdictStatus.UNDECIDED,
}
_IGNORED = ("__pycache__", "*.pyc")


@attrs.frozen(kw_only=True)
class HostTests:
    """A file or directory of tests, with the image as their ``host``."""

    path: Path
    place: Place
    timeout: timedelta = attrs.field(converter=duration)

    @property
    def name(self) -> str:
        """Return the name under which it is recorded."""
        return f"host_tests({self.path.name})"

    @property
    def needs(self) -> tuple[Place, ...]:
        """Return where the tests' commands are to be run."""
        return (self.place,)

    @property
    def digest(self) -> Digest:
        """Return a digest of the tests as they are now, and of where they are judged.

        Raises:
            MissingFiles: they are gone.
        """
        entries = inventory(self.path, exclude=_IGNORED)
        rows = [[e.name, e.kind, e.content] for e in entries]
        return digest_of("testinfra", self.path.name, self.place, rows)

    def judge(self, target: Target) -> Judgement:
        """Run the tests; one that failed fails it, one that was left out undecides it."""
        if missing := [name for name in _NEEDED if not _is_there(name)]:
            said = (
                f'{", ".join(missing)} missing: install "immutable-deploy[testinfra]"'
            )
            return undecided(self.name, said)
        if place_of(target) is not self.place or target.run is None:
            return undecided(self.name, f"no command can be run there: {self.place}")
        deadline = time.monotonic() + self.timeout.total_seconds()
        with Pytest(self.path, target.run) as pytest:
            try:
                reports = list(pytest.reports(deadline))
            except TimeoutError:
                return undecided(self.name, f"not done within {spell(self.timeout)}")
            except (ValueError, TypeError, KeyError):
                return undecided(self.name, "a test got in the way of what is reported")
            return self._judged(reports, pytest)

    def _judged(self, reports: list[Reported], pytest: Pytest) -> Judgement:
        if pytest.broke_down or not reports:
            return undecided(self.name, f"no tests were run: {pytest.said()}")
        status = worst(_STATUSES[report.outcome] for report in reports)
        passed = sum(report.outcome == "passed" for report in reports)
        return judged(
            self.name,
            status,
            f"{passed} of {len(reports)} passed",
            *_findings(reports),
            tools=tuple((name, metadata.version(name)) for name in _DISTRIBUTIONS),
        )


def _findings(reports: list[Reported]) -> Iterator[Finding]:
    for report in reports:
        if report.outcome != "passed":
            yield Finding(rule=report.outcome, path=report.test, detail=report.detail)


def _is_there(module: str) -> bool:
    return importlib.util.find_spec(module) is not None


def host_tests(
    path: str | os.PathLike[str],
    *,
    booted: bool = False,
    timeout: timedelta | str = "10m",
) -> HostTests:
    """Return a check that runs tests written for pytest-testinfra.

    The tests are run on this machine, by pytest, in a process of its own without other
    plugins and without settings of the working directory. Each command that they ask of
    ``host`` is run in the image. A test that is skipped or expected to fail leaves the
    check undecided.

    Args:
        path: a test file, or a directory of tests with its ``conftest.py``.
        booted: ask the booted instance rather than the unbooted root.
        timeout: for all the tests together.

    Raises:
        MissingFiles: there is no such file or directory.
        InvalidInput: the timeout is no duration.
    """
    place = Path(path).absolute()
    if not place.exists():
        raise MissingFiles(f"{path} is not there", hint="give tests for testinfra")
    if not place.is_dir() and place.suffix != ".py":
        raise InvalidInput(f"{path} is no Python file", hint="give tests for testinfra")
    where = Place.BOOTED if booted else Place.ROOT
    return HostTests(path=place, place=where, timeout=timeout)
