"""Layers that CFEngine makes, by Debian's own CFEngine."""

import time
from pathlib import Path

import pytest

from immutable.errors import BuildFailed, MissingFiles, Unavailable
from immutable.images.recipe import Recipe

pytestmark = pytest.mark.vm

SITE = """
body common control { inputs => { "lib.cf" }; bundlesequence => { "main" }; }
bundle agent main
{
  files:
    "/etc/motd" create => "true", edit_line => line("a shop");
    web::
      "/srv/web/." create => "true";
  commands:
    "/bin/echo error: said by a command";
}
"""
LIBRARY = 'bundle edit_line line(text) { insert_lines: "$(text)"; }'
ENDLESS = "86398"


def bundle(promises: str) -> str:
    """Return a policy of one bundle."""
    control = 'body common control { bundlesequence => { "main" }; }'
    return f"{control}\nbundle agent main {{ {promises} }}\n"


def written(folder: Path, site: str) -> Path:
    """Write a policy with a library beside it; return the policy."""
    folder.mkdir(parents=True, exist_ok=True)
    # Others may write to both here: CFEngine refuses such files, and gets a copy.
    for name, text in {"site.cf": site, "lib.cf": LIBRARY}.items():
        (folder / name).write_text(text)
        (folder / name).chmod(0o666)
    return folder / "site.cf"


def ends(argument: str) -> bool:
    """Return whether no process has this argument; the kernel may take a moment."""
    deadline = time.monotonic() + 10
    while is_running(argument):
        if time.monotonic() > deadline:
            return False
        time.sleep(0.01)
    return True


def is_running(argument: str) -> bool:
    """Return whether any process has this argument."""
    lines = []
    for path in Path("/proc").glob("[0-9]*/cmdline"):
        try:
            lines.append(path.read_bytes())
        except OSError:
            continue
    return any(argument.encode() in line.split(b"\0") for line in lines)


def test_a_policy_makes_a_layer_and_the_same_one_twice(
    workshop, with_agents: Recipe, tmp_path: Path
) -> None:
    """What it promises is in the layer; keys, state and copies are not."""
    one, other = tmp_path / "one", tmp_path / "elsewhere" / "other"
    recipe = with_agents.cfengine(written(one, SITE), classes=["web"])
    with workshop.built(recipe) as (first, layer):
        files = {str(p.relative_to(layer)) for p in layer.rglob("*") if p.is_file()}
        assert files == {"etc/motd"}
        assert "a shop" in (layer / "etc/motd").read_text()
        assert (layer / "srv/web").is_dir()
    again = with_agents.cfengine(written(other, SITE), classes=["web"])
    with workshop.built(again) as (second, _):
        assert workshop.lines  # it was made, not found
        tools = {t.name: t.version for t in workshop.images.record(second.id).tools}
        assert tools["cfengine"].startswith("3.")
        assert second.digest == first.digest


@pytest.mark.parametrize(
    ("policy", "said"),
    [
        (bundle('commands: "/bin/false";'), "did not keep all promises.*returned 1"),
        (bundle('files: "/proc/no/x" create => "true";'), "promises.*No such file"),
        (bundle("nonsense"), "status 1.*syntax error"),
    ],
    ids=["command", "file", "syntax"],
)
def test_a_promise_that_is_not_kept_fails_the_layer(
    workshop, with_agents: Recipe, tmp_path: Path, policy: str, said: str
) -> None:
    """Although the agent itself ends with status 0, as if all were well."""
    with pytest.raises(BuildFailed, match=f"(?s){said}"):
        workshop.build(with_agents.cfengine(written(tmp_path, policy)))


def test_a_deadline_kills_the_agent_and_what_it_started(
    workshop, with_agents: Recipe, tmp_path: Path
) -> None:
    """Nothing of it runs on."""
    policy = written(tmp_path, bundle(f'commands: "/bin/sleep {ENDLESS}";'))
    with pytest.raises(BuildFailed, match="did not end within"):
        workshop.build(with_agents.cfengine(policy, deadline="2s"))
    assert any(ENDLESS in line for line in workshop.lines)
    assert ends(ENDLESS)


def test_a_build_that_is_cancelled_leaves_nothing_running(
    workshop, with_agents: Recipe, tmp_path: Path
) -> None:
    """Who reads the output may raise: the layer ends there."""

    class Cancelled(Exception):
        """What the reader raises."""

    def read(line: str) -> None:
        if ENDLESS in line:
            raise Cancelled

    policy = written(tmp_path, bundle(f'commands: "/bin/sleep {ENDLESS}";'))
    with pytest.raises(Cancelled):
        workshop.images.build(with_agents.cfengine(policy), on_output=read)
    assert ends(ENDLESS)


def test_an_image_without_cfengine_is_told_what_to_install(
    workshop, tmp_path: Path
) -> None:
    """The hint is the line that the recipe lacks."""
    recipe = Recipe.base("debian:12").cfengine(written(tmp_path, SITE))
    with pytest.raises(Unavailable) as caught:
        workshop.build(recipe)
    assert '.packages("cfengine3")' in str(caught.value)


def test_a_policy_that_is_not_there_is_said(
    workshop, with_agents: Recipe, tmp_path: Path
) -> None:
    """A name that was misspelt is no failure of CFEngine's."""
    policy = written(tmp_path, SITE)
    with pytest.raises(MissingFiles, match=r"sight\.cf"):
        workshop.build(with_agents.cfengine(policy.with_name("sight.cf")))
