"""For every test of every distribution: what is said at the end, and what runs beside what.

No test is judged by how long it took. Tests that run a slice of something larger say how
much they ran, and the totals are printed at the end: a run that quietly did nothing would
be seen.
"""

from collections.abc import Callable, Iterator

import pytest
from hypothesis import settings

settings.register_profile("immutable", deadline=None, print_blob=True)
settings.load_profile("immutable")

_RAN = "how much ran"
# They share what there is once: libvirtd, a network and a pool of the tests' own, which
# each test leaves empty. And emulated machines side by side boot at half the speed.
_ON_MACHINES = (
    "backends/libvirt/tests/",
    "tests/docs/test_readme.py",
    "tests/docs/test_tutorials.py",
)


@pytest.fixture
def ran(request: pytest.FixtureRequest) -> Callable[[str], None]:
    """Return what notes, in one line, how much a test has run."""
    # A property is part of the report, which also comes from a worker of xdist.
    return lambda line: request.node.user_properties.append((_RAN, line))


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """Print what was noted."""
    if lines := sorted(_noted(terminalreporter)):
        terminalreporter.section(_RAN)
        for line in lines:
            terminalreporter.write_line(line)


def _noted(reporter: pytest.TerminalReporter) -> Iterator[str]:
    for reports in reporter.stats.values():
        for report in reports:
            if getattr(report, "when", "") == "call":
                notes = report.user_properties
                yield from (str(line) for name, line in notes if name == _RAN)


def _group(nodeid: str) -> str:
    """Return what a test is run together with, one after the other: by rule, its file."""
    file = nodeid.partition("::")[0]
    return "machines" if file.startswith(_ON_MACHINES) else file


@pytest.hookimpl(trylast=True)
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Begin with the group that takes longest; refuse a machine outside of it."""
    items.sort(key=lambda item: _group(item.nodeid) != "machines")
    for item in items:
        if item.get_closest_marker("vm") and _group(item.nodeid) != "machines":
            raise pytest.UsageError(f"{item.nodeid}: conftest.py must name its file")


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_make_scheduler(config: pytest.Config, log: object) -> object:
    """With ``-n``, run files beside each other, but those on machines one by one.

    Not ``--dist loadgroup``: it adds the group to each test's name, and no test could be
    run again by the name that a report gives.
    """
    from xdist.scheduler import LoadFileScheduling

    class Groups(LoadFileScheduling):
        def _split_scope(self, nodeid: str) -> str:
            return _group(nodeid)

    config.option.loadscopereorder = (
        False  # by number of tests, not by how long they take
    )
    return Groups(config, log)
