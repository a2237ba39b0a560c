"""For every test of every distribution: what is said at the end, and what runs beside what.

No test is judged by how long it took. Tests that run a slice of something larger say how
much they ran, and the totals are printed at the end: a run that quietly did nothing would
be seen.
"""

import os
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING

import pytest
from hypothesis import settings

if TYPE_CHECKING:
    from execnet import XSpec

settings.register_profile("immutable", deadline=None, print_blob=True)
settings.load_profile("immutable")

_RAN = "how much ran"
# One worker runs all of a group, test after test. Everything else is a group by its file.
_GROUPS = {
    # They build images, look at all that is in the tests' pool, and launch nothing.
    "pool": (
        "backends/libvirt/tests/test_booted.py",
        "backends/libvirt/tests/test_booted_alike.py",
        "backends/libvirt/tests/test_guest.py",
        "backends/libvirt/tests/test_images.py",
        "backends/libvirt/tests/test_locking.py",
        "backends/libvirt/tests/test_rebuilding.py",
        "backends/libvirt/tests/test_records.py",
    ),
    # They share a network, and destroy whatever they find of the tests' pool.
    "machines": (
        "backends/libvirt/tests/",
        "tests/docs/test_readme.py",
        "tests/docs/test_tutorials.py",
    ),
}
_LONGEST_FIRST = ("machines", "pool", "backends/aws/tests/test_conformance.py")
_SHARED = {"prepared": "pool", "vm_url": "machines"}
"""Who may use which fixture of what there is once."""
_CACHE = "IMMUTABLE_CACHE_DIR"
_KEPT = "/var/tmp/immutable-tests"  # noqa: S108 - root's, and kept between runs


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
    file = nodeid.partition("::")[0]
    found = (name for name, paths in _GROUPS.items() if file.startswith(paths))
    return next(found, file)


@pytest.hookimpl(trylast=True)
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Begin with the groups that take longest."""
    order = {name: place for place, name in enumerate(_LONGEST_FIRST)}
    items.sort(key=lambda item: order.get(_group(item.nodeid), len(order)))


@pytest.hookimpl(tryfirst=True)
def pytest_runtest_setup(item: pytest.Item) -> None:
    """Refuse to run beside others what is in none of their groups, and should be."""
    if not _is_placed(item, _group(item.nodeid)):
        pytest.fail("the root conftest.py has to name its file", pytrace=False)


def _is_placed(item: pytest.Item, group: str) -> bool:
    uses = {
        _SHARED[name] for name in getattr(item, "fixturenames", ()) if name in _SHARED
    }
    if uses:
        return uses == {group}
    return group in _GROUPS or not item.get_closest_marker("vm")


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_setupnodes(specs: list["XSpec"]) -> None:
    """Give each worker but the first, which keeps the usual one, a pool of its own."""
    for spec in specs[1:]:
        spec.env[_CACHE] = f"{os.environ.get(_CACHE, _KEPT)}/{spec.id}"


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_make_scheduler(config: pytest.Config, log: object) -> object:
    """With ``-n``, run groups beside each other.

    Not ``--dist loadgroup``: it adds the group to each test's name, and no test could be
    run again by the name that a report gives.
    """
    from xdist.scheduler import LoadFileScheduling

    class Groups(LoadFileScheduling):
        def _split_scope(self, nodeid: str) -> str:
            return _group(nodeid)

    # by number of tests, not by how long they take
    config.option.loadscopereorder = False
    return Groups(config, log)
