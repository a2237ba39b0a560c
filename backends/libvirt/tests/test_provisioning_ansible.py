"""Layers that Ansible makes, by ansible-core itself."""

import sys
import time
from pathlib import Path

import pytest

from immutable.errors import BuildFailed, MissingFiles, Unavailable
from immutable.images.recipe import Recipe
from immutable_libvirt.images import LibvirtImages

SITE = """
- hosts: all
  become: true
  gather_subset: [min]
  roles: [shop]
  tasks:
    - ansible.builtin.template: {src: motd.j2, dest: /etc/motd, mode: "0600"}
    - ansible.builtin.shell: {cmd: test "$(id -un)" = www-data}
      become_user: www-data
      changed_when: false
- hosts: localhost
  connection: local
  gather_facts: false
  tasks:
    - ansible.builtin.shell: |
        hostname >/etc/where
        grep -c '' /proc/net/dev >>/etc/where
        rm /etc/issue
        mkdir /root/.ansible
        cp /etc/passwd /etc/passwd-
      delegate_to: 127.0.0.1
"""
ROLE = (
    '- ansible.builtin.copy: {src: page.html, dest: "/srv/{{ page }}", owner: www-data}'
)
TEMPLATE = "{{ greeting }} on {{ ansible_facts.distribution }}\n"
VARIABLES = {"greeting": "hello", "page": "shop.html"}
ENDLESS = "86397"


def play(*tasks: str) -> str:
    """Return a playbook of tasks."""
    lines = "".join(f"    - {task}\n" for task in tasks)
    return f"- hosts: all\n  gather_facts: false\n  tasks:\n{lines}"


def written(folder: Path, site: str) -> Path:
    """Write a playbook with a role, a template and a file beside it; return it."""
    files = {
        "site.yml": site,
        "roles/shop/tasks/main.yml": ROLE,
        "templates/motd.j2": TEMPLATE,
        "roles/shop/files/page.html": "<p>",
    }
    for name, text in files.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text(text)
    return folder / "site.yml"


def is_running(argument: str) -> bool:
    """Return whether any process has this argument."""
    found = list[bytes]()
    for path in Path("/proc").glob("[0-9]*/cmdline"):
        try:
            found += path.read_bytes().split(b"\0")
        except (FileNotFoundError, ProcessLookupError):
            continue  # it has ended
    return argument.encode() in found


def wait_until_it_ended(argument: str) -> None:
    """Wait for processes that were killed; the test's own time limit is the last word."""
    while is_running(argument):
        time.sleep(0.01)


@pytest.mark.vm
def test_a_playbook_makes_a_layer(
    workshop, with_agents: Recipe, tmp_path: Path
) -> None:
    """Roles, templates and files are used; no trace of Ansible, or of this machine."""
    recipe = with_agents.ansible(written(tmp_path, SITE), variables=VARIABLES)
    with workshop.built(recipe) as (image, layer):
        assert any("TASK [shop : " in line for line in workshop.lines)
        assert (layer / "etc/motd").read_text() == "hello on Debian\n"
        assert (layer / "etc/motd").stat().st_mode & 0o777 == 0o600
        assert (layer / "srv/shop.html").stat().st_uid == 33
        # Two lines of headings and the loopback card: the image's name, and no network.
        assert (layer / "etc/where").read_text() == "image\n3\n"
        assert (layer / "etc/issue").is_char_device()  # a whiteout
        assert not (layer / "root/.ansible").exists()
        names = {str(p.relative_to(layer)) for p in layer.rglob("*") if p.is_file()}
        tools = {tool.name for tool in workshop.images.record(image.id).tools}
    assert names == {"etc/motd", "etc/where", "srv/shop.html"}
    assert "ansible-core" in tools


@pytest.mark.vm
@pytest.mark.matrix
def test_a_playbook_makes_the_same_layer_elsewhere(
    workshop, with_agents: Recipe, tmp_path: Path
) -> None:
    """From another directory, at another time: the same bytes, made and not found."""
    digests = set()
    for place in (tmp_path / "one", tmp_path / "elsewhere" / "other"):
        recipe = with_agents.ansible(written(place, SITE), variables=VARIABLES)
        with workshop.built(recipe) as (image, _):
            assert workshop.lines
            digests.add(image.digest)
    assert len(digests) == 1


@pytest.mark.vm
def test_a_failing_task_shows_what_it_said(
    workshop, with_agents: Recipe, tmp_path: Path
) -> None:
    """The error ends with the task's own output."""
    site = play("ansible.builtin.command: {cmd: sh -c 'echo the reason; exit 4'}")
    with pytest.raises(
        BuildFailed, match=r"ansible-playbook site\.yml failed"
    ) as caught:
        workshop.build(with_agents.ansible(written(tmp_path, site)))
    assert "the reason" in str(caught.value)


@pytest.mark.vm
def test_a_deadline_kills_all_that_a_playbook_started(
    workshop, with_agents: Recipe, tmp_path: Path
) -> None:
    """What takes too long has failed, and nothing of it goes on."""
    site = play(f"ansible.builtin.command: {{cmd: sleep {ENDLESS}}}")
    recipe = with_agents.ansible(written(tmp_path, site), deadline="4s")
    with pytest.raises(BuildFailed, match="did not end within"):
        workshop.build(recipe)
    wait_until_it_ended(ENDLESS)


@pytest.mark.vm
@pytest.mark.matrix
def test_whoever_stops_listening_stops_the_playbook(
    workshop, with_agents: Recipe, tmp_path: Path
) -> None:
    """An error in ``on_output`` ends the build and all that it started."""

    def stop(line: str) -> None:
        if "TASK" in line:
            while not is_running(f"{ENDLESS}1"):
                time.sleep(0.01)
            raise KeyboardInterrupt

    site = play(f"ansible.builtin.command: {{cmd: sleep {ENDLESS}1}}")
    with pytest.raises(KeyboardInterrupt):
        workshop.images.build(
            with_agents.ansible(written(tmp_path, site)), on_output=stop
        )
    wait_until_it_ended(f"{ENDLESS}1")


@pytest.mark.vm
def test_an_image_without_python_is_told_what_to_install(
    workshop, tmp_path: Path
) -> None:
    """The hint is the line that the recipe lacks."""
    recipe = Recipe.base("debian:12").ansible(written(tmp_path, SITE))
    with pytest.raises(Unavailable, match="the image has no python3") as caught:
        workshop.build(recipe)
    assert '.packages("python3")' in caught.value.hint


@pytest.mark.vm
def test_a_playbook_that_is_not_there_is_refused(
    workshop, with_agents: Recipe, tmp_path: Path
) -> None:
    """By its path, although its directory is there."""
    with pytest.raises(MissingFiles, match=r"other\.yml"):
        workshop.build(
            with_agents.ansible(written(tmp_path, SITE).with_name("other.yml"))
        )


@pytest.mark.vm
def test_without_ansible_it_says_what_to_install(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The command can be pasted, and nothing was built before."""
    recipe = Recipe.base("debian:12").ansible(written(tmp_path, SITE))
    images = LibvirtImages(pool=tmp_path / "pool")
    monkeypatch.setattr(sys, "path", [])
    with pytest.raises(Unavailable, match="ansible-core and ansible-runner") as caught:
        images.build(recipe, on_output=print)
    assert caught.value.hint == 'run: pip install "immutable-deploy-libvirt[ansible]"'
    assert not (tmp_path / "pool/layers").exists()
