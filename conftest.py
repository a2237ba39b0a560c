"""For every test of every distribution: no test is judged by how long it took.

Tests that run a slice of something larger say how much they ran, and the totals are printed
at the end: a run that quietly did nothing would be seen.
"""

from collections.abc import Callable

import pytest
from hypothesis import settings

settings.register_profile("immutable", deadline=None, print_blob=True)
settings.load_profile("immutable")

_RAN = pytest.StashKey[list[str]]()


@pytest.fixture
def ran(request: pytest.FixtureRequest) -> Callable[[str], None]:
    """Return what notes, in one line, how much a test has run."""
    return request.config.stash.setdefault(_RAN, []).append


def pytest_terminal_summary(
    terminalreporter: pytest.TerminalReporter, config: pytest.Config
) -> None:
    """Print what was noted."""
    if lines := config.stash.get(_RAN, []):
        terminalreporter.section("how much ran")
        for line in sorted(lines):
            terminalreporter.write_line(line)
