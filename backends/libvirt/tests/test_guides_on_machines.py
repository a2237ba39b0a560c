"""The guides about making images run here for real: page by page, in order."""

import re
from pathlib import Path

import pytest

HOWTO = Path(__file__).parents[3] / "docs" / "howto"
PAGES = (
    "add-users-services-and-units",
    "provision-with-ansible",
    "provision-with-python",
)


@pytest.mark.vm
@pytest.mark.matrix
@pytest.mark.parametrize("name", PAGES)
def test_the_examples_of_a_page_build_real_images(
    vm_url: str, name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A page's examples are one program; only the pool is the tests' own."""
    monkeypatch.chdir(tmp_path)
    text = (HOWTO / f"{name}.md").read_text().replace("libvirt:///system", vm_url)
    examples = re.findall(r"```python\n(.*?)```", text, re.DOTALL)
    assert examples
    names: dict[str, object] = {}
    for example in examples:
        exec(compile(example, name, "exec"), names)  # noqa: S102 - our own pages
