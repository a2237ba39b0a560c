"""Every Python example in the README runs, in order: the first anywhere, others on machines."""

import re
import shutil
from pathlib import Path

import pytest
from ports import free_port

import immutable
from immutable.registry import open_backend, open_switch
from immutable.testing import forget

ROOT = Path(__file__).parents[2]
FIRST, *EXAMPLES = re.findall(
    r"```python\n(.*?)```", (ROOT / "README.md").read_text(), re.DOTALL
)


@pytest.fixture
def place(tmp_path, monkeypatch):
    """Return a working directory with the app that the README speaks of."""
    shutil.copytree(ROOT / "demo" / "app", tmp_path / "app")
    for name, text in (("version", "v1"), ("mood", "well"), ("greeting", "shop")):
        (tmp_path / "app" / name).write_text(text)
    monkeypatch.chdir(tmp_path)
    return tmp_path


def adapted(example: str, place: Path, listen: str) -> str:
    """Return an example with its files in the test's own place, and a shorter bake."""
    own = (
        f'size=2, ledger="sqlite:///{place}/ledger.db",'
        f' switch="haproxy://?listen={listen}&directory={place}/switch",'
    )
    assert "size=2," in example or "Service(" not in example
    return example.replace("size=2,", own).replace('bake="30s"', 'bake="1s"')


def test_the_first_example_runs_anywhere(capsys):
    """Deploy twice, roll back and look, on memory:// and in under 15 lines."""
    forget()
    exec(compile(FIRST, "README.md", "exec"), {})  # noqa: S102 - our own README
    forget()
    said = capsys.readouterr().out.splitlines()
    assert said == ["deploy 1 live", "deploy 2 live", "rollback 1 live"]
    assert said[-1] in FIRST
    assert len(FIRST.splitlines()) < 15


@pytest.mark.vm
@pytest.mark.haproxy
@pytest.mark.timeout(600)
def test_the_readme_examples_run(place):
    """Build, deploy, roll back, and a failed deployment as a value."""
    assert EXAMPLES, "the README has lost its examples"
    listen = f"127.0.0.1:{free_port()}"
    names: dict[str, object] = {}
    first, *rest = (adapted(example, place, listen) for example in EXAMPLES)
    # the first example rolls back: give it something to go back to
    head, _, tail = first.partition("immutable.rollback(shop)")
    try:
        exec(compile(head, "README.md", "exec"), names)  # noqa: S102 - our own README
        assert names["done"].is_live
        (place / "app" / "version").write_text("v2")
        exec(compile(head, "README.md", "exec"), names)  # noqa: S102
        back = immutable.rollback(names["shop"])
        assert tail is not None
        assert back.release.number == 1
        for example in rest:
            exec(compile(example, "README.md", "exec"), names)  # noqa: S102
        assert immutable.logs(names["shop"], release=1)[0].journal
    finally:
        clear_away(names.get("shop"))


def clear_away(service: immutable.Service | None) -> None:
    """Leave nothing running."""
    if service is None:
        return
    immutable.destroy(service)
    backend = open_backend(service.backend)
    open_switch(service.switch, backend, service.name, port=service.port).shut_down()
