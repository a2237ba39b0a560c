"""Layers of Python, Ansible and systemd are made again, on each base, from nothing."""

import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from immutable.images.recipe import Recipe
from immutable_libvirt.images import LibvirtImages

PLAYBOOK = """
- hosts: all
  tasks:
    - ansible.builtin.template: {src: motd.j2, dest: /etc/motd}
    - ansible.builtin.lineinfile: {path: /etc/profile, line: "export SHOP={{ shop }}"}
"""
UNIT = "[Service]\nExecStart=/opt/venv/bin/python -m click\n[Install]\nWantedBy=basic.target\n"


def written(folder: Path) -> Path:
    """Write what the recipe is made of, and return its directory."""
    (folder / "ansible/templates").mkdir(parents=True)
    (folder / "ansible/site.yml").write_text(PLAYBOOK)
    (folder / "ansible/templates/motd.j2").write_text(
        "{{ ansible_facts.distribution_release }}, Python {{ ansible_facts.python_version }}\n"
    )
    (folder / "requirements.txt").write_text("charset-normalizer>=3\nclick>=8\n")
    (folder / "shop.service").write_text(UNIT)
    return folder


@pytest.mark.vm
@pytest.mark.matrix
@pytest.mark.timeout(1800)
@pytest.mark.parametrize(
    ("base", "version", "release"),
    [("debian:12", "3.11", "bookworm"), ("debian:13", "3.13", "trixie")],
)
def test_provisioned_layers_are_rebuilt(
    tmp_path: Path,
    unreachable: Callable[[], None],
    monkeypatch: pytest.MonkeyPatch,
    base: str,
    version: str,
    release: str,
) -> None:
    """Without pool, sources, mirror and index: the same bytes, made by known tools."""
    source = written(tmp_path / "source")
    images = LibvirtImages(pool=tmp_path / "pool")
    old = (
        Recipe.base("debian:12")
        .packages("systemd")
        .python("3.11", requirements=source / "requirements.txt")
        .ansible(source / "ansible/site.yml", variables={"shop": "open"})
        .unit(source / "shop.service")
    )
    image = images.build(old.with_(python=version), on_output=print)
    record = images.record(image.id)
    assert record is not None
    assert record.origin == base
    assert {tool.name for tool in record.tools} >= {"ansible-core", "pip", "systemd"}
    with images.root(image.id) as root:
        assert (
            (root / "etc/motd").read_text().startswith(f"{release}, Python {version}")
        )
    shutil.rmtree(images.pool)
    shutil.rmtree(source)
    unreachable()
    monkeypatch.setenv("PIP_NO_INDEX", "1")
    monkeypatch.setenv("PIP_FIND_LINKS", "")
    rebuilt = images.rebuild(image.id, on_output=print)
    assert rebuilt.differences == ()
    assert rebuilt.is_identical
