"""The tutorials run, page by page: in memory here, and on real images in their session."""

import re
from pathlib import Path

import pytest

import immutable
from immutable.testing import forget

ROOT = Path(__file__).parents[2]
# the one on AWS has an emulated AWS, in test_aws.py
PAGES = sorted(
    {*(ROOT / "docs" / "tutorial").glob("*.md")}
    - {ROOT / "docs/tutorial/deploy-to-aws.md"}
)


@pytest.fixture(autouse=True)
def fresh_world():
    """Let every tutorial begin in a world in which nothing exists."""
    forget()
    yield
    forget()


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.stem)
def test_a_tutorial_runs_in_memory(page, tmp_path, monkeypatch):
    """As it says of itself: with the other address the same program runs anywhere."""
    monkeypatch.chdir(tmp_path)
    assert run(page, "memory://")["again"].is_identical


@pytest.mark.vm
@pytest.mark.matrix
@pytest.mark.timeout(1500)
@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.stem)
def test_a_tutorial_runs_on_real_images(page, tmp_path, monkeypatch, capsys):
    """Two bases, two versions of Python, and the first image again, bit for bit."""
    monkeypatch.chdir(tmp_path)
    address = f"libvirt:///system?pool={tmp_path}/pool"
    names = run(page, address)
    found = immutable.diff(names["second"], names["newer"], backend=address)
    assert {"python3.11", "python3.13"} <= {change.name for change in found.packages}
    said = capsys.readouterr().out
    assert f"{names['second'].id} is {names['second'].id}" in said
    assert f"{names['first'].id}: identical" in said


def run(page, address):
    """Run a page as one program with another address, and return its names."""
    examples = re.findall(r"```python\n(.*?)```", page.read_text(), re.DOTALL)
    text = "\n".join(examples)
    assert 'BACKEND = "libvirt:///system"' in text
    names = {}
    exec(  # noqa: S102 - our own pages
        compile(text.replace("libvirt:///system", address), str(page), "exec"), names
    )
    return names
