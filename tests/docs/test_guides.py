"""Every Python example in the guides runs, page by page, in order."""

import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
# the one about backends is a distribution of several files, and has a test of its own;
# those on AWS have an emulated AWS, in test_aws.py
PAGES = sorted(
    {*(ROOT / "docs" / "howto").glob("*.md")}
    - {ROOT / "docs/howto/write-a-backend.md"}
    - {*(ROOT / "docs" / "howto").glob("aws-*.md")}
)


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.stem)
def test_the_examples_of_a_page_run(page, tmp_path, monkeypatch):
    """A page's examples are one program; on a cloud in memory, where it names another."""
    monkeypatch.chdir(tmp_path)
    text = page.read_text().replace("libvirt:///system", f"memory://{page.stem}")
    examples = re.findall(r"```python\n(.*?)```", text, re.DOTALL)
    assert examples
    names: dict[str, object] = {}
    for example in examples:
        exec(compile(example, str(page), "exec"), names)  # noqa: S102 - our own pages
