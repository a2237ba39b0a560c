"""Every example in a docstring of the package runs, and shows what it says."""

import doctest
import importlib
from pathlib import Path

import pytest

import immutable
from immutable.testing import forget

ROOT = Path(immutable.__file__).parent


def examples(path):
    """Return the examples of a file, one test for each docstring that has any."""
    if ">>> " not in path.read_text():
        return []
    name = ".".join(path.relative_to(ROOT.parent).with_suffix("").parts)
    module = importlib.import_module(name.removesuffix(".__init__"))
    return [test for test in doctest.DocTestFinder().find(module) if test.examples]


TESTS = [test for path in sorted(ROOT.rglob("*.py")) for test in examples(path)]


@pytest.fixture(autouse=True)
def fresh_world():
    """Let every docstring begin in a world in which nothing exists."""
    forget()
    yield
    forget()


@pytest.mark.parametrize("test", TESTS, ids=lambda test: test.name)
def test_the_examples_of_a_docstring_run(test):
    """A docstring's examples are one program."""
    said = []
    doctest.DocTestRunner(verbose=False).run(test, out=said.append)
    assert not said, "".join(said)


def test_the_main_calls_have_examples():
    """Those who type help(immutable.deploy) are shown how."""
    shown = {test.name.removeprefix("immutable.api.") for test in TESTS}
    assert {"deploy", "plan", "rollback", "history"} <= shown
