"""The guide's backend is built from the template as the page says, and passes the kit."""

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
PAGE = ROOT / "docs" / "howto" / "write-a-backend.md"
BLOCKS = re.findall(r"```python\n# (\S+\.py)\n(.*?)```", PAGE.read_text(), re.DOTALL)
CHANGES = re.search(r"```python\n# in (\S+)\n(.*?)```", PAGE.read_text(), re.DOTALL)
# a wheel as pip would install it, without an index and without touching this environment
INSTALL = """
import sys, zipfile
from hatchling.build import build_wheel
zipfile.ZipFile(f"{sys.argv[1]}/{build_wheel(sys.argv[1])}").extractall(sys.argv[1])
"""


class Distribution:
    """A distribution that was written from the template, in a place of its own."""

    def __init__(self, place: Path, cache: Path) -> None:
        self.source, self.site = place / "source", place / "site"
        self.home, self._cache = place / "home", cache
        template = str(ROOT / "templates" / "backend")
        made = ("copier", "copy", "--quiet", "--defaults", "--data", "name=tiny")
        self.python("-m", *made, template, str(self.source), cwd=place)

    def python(self, *arguments: str, cwd: Path | None = None) -> str:
        """Run Python with what was installed, and return what it said."""
        status, said = self.try_python(*arguments, cwd=cwd)
        assert status == 0, said
        return said

    def try_python(self, *arguments: str, cwd: Path | None = None) -> tuple[int, str]:
        """Run Python with what was installed; return its status and what it said."""
        self.home.mkdir(exist_ok=True)
        own = {"HOME": str(self.home), "PYTHONPATH": str(self.site)}
        done = subprocess.run(
            [sys.executable, *arguments],
            cwd=cwd or self.source,
            env=os.environ | own,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            check=False,
        )
        return done.returncode, done.stdout

    def install(self) -> None:
        """Build the wheel and unpack it where Python looks first."""
        self.python("-c", INSTALL, str(self.site))

    def check_types(self) -> str:
        """Return what mypy says, configured as the template does."""
        return self.python("-m", "mypy", "--strict", f"--cache-dir={self._cache}")

    def run_tests(self, *options: str) -> tuple[int, str]:
        """Run its own tests."""
        return self.try_python("-m", "pytest", "-q", "-p", "no:cacheprovider", *options)


@pytest.fixture(scope="module")
def cache(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return where mypy keeps what it knows of this library, which takes it longest."""
    return tmp_path_factory.mktemp("mypy")


@pytest.fixture
def tiny(tmp_path: Path, cache: Path) -> Distribution:
    """Return what the template makes, installed."""
    made = Distribution(tmp_path, cache)
    made.install()
    return made


@pytest.mark.haproxy
def test_the_template_says_what_is_missing(tiny: Distribution) -> None:
    """It is typed and opens; its cases are red, by clause, and name what to write."""
    assert "Success" in tiny.check_types()
    status, said = tiny.run_tests("--tb=line", "-rpf")
    assert status == 1
    assert "PASSED tests/test_config.py" in said
    assert "FAILED tests/test_config.py" not in said
    missing = re.findall(r"([\w.]+) has yet to be written", said)
    assert missing[0] == "Machines.list"
    assert {"Images.find", "Images.delete", "Logs.read"} <= set(missing)
    clauses = set(re.findall(r"contract: (\w+\.?\w*)", said))
    assert {"Images.find", "Fleets.launch", "Machines.create", "Logs.read"} <= clauses


@pytest.mark.haproxy
def test_the_guide_leads_to_a_backend_that_passes(tiny: Distribution) -> None:
    """Its code written over the template's is well typed, and green in every part."""
    for name, code in BLOCKS:
        assert (tiny.source / name).exists()
        (tiny.source / name).write_text(code)
    assert CHANGES is not None
    path = tiny.source / CHANGES[1]
    for line in CHANGES[2].splitlines():
        field = line.partition("=")[0]
        text, count = re.subn(rf"(?m)^( +){field}=.*$", rf"\1{line}", path.read_text())
        assert count == 1
        path.write_text(text)
    tiny.install()
    assert "Success" in tiny.check_types()
    status, said = tiny.run_tests()
    assert status == 0, said
    assert "crashing" in said
    assert not list((tiny.home / ".tiny/test/instances").glob("[!.]*"))


def test_the_pages_figures_are_right() -> None:
    """Lines are counted as the page says."""
    written = [code for name, code in BLOCKS if name.startswith("immutable_tiny/")]
    assert len(written) == 5
    lines = sum(len(code.splitlines()) for code in written)
    assert f"| {lines}, and " in PAGE.read_text()
