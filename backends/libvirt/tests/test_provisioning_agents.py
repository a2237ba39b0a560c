"""Layers of Puppet, CFEngine and Chef are made again, on each base, from nothing."""

import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from immutable.images.recipe import Recipe
from immutable_libvirt.images import LibvirtImages

MANIFEST = """
user { 'shop': ensure => present, system => true }
file { '/srv/shop': ensure => directory, owner => 'shop', mode => '0750' }
file { '/srv/shop/made': content => "${facts['role']} ${facts['os']['distro']['codename']}" }
"""
POLICY = """
body common control { bundlesequence => { "main" }; }
bundle agent main
{
  files:
    web::
      "/etc/motd" create => "true", edit_line => line("a shop");
}
bundle edit_line line(text) { insert_lines: "$(text)"; }
"""
STAND_IN = Path(__file__).with_name("chef-client")


def written(folder: Path) -> Path:
    """Write what the recipe is made of, and return its directory."""
    files = {
        "puppet/site.pp": MANIFEST,
        "cfengine/site.cf": POLICY,
        "chef/cookbooks/shop/recipes/default.rb": "file /etc/shop open\n",
    }
    for name, text in files.items():
        (folder / name).parent.mkdir(parents=True)
        (folder / name).write_text(text)
    return folder


@pytest.mark.vm
@pytest.mark.matrix
@pytest.mark.timeout(1800)
@pytest.mark.parametrize(
    ("base", "codename"), [("debian:12", "bookworm"), ("debian:13", "trixie")]
)
def test_layers_of_agents_are_rebuilt(
    tmp_path: Path, unreachable: Callable[[], None], base: str, codename: str
) -> None:
    """Without pool, sources and mirror: the same bytes, made by known tools."""
    source = written(tmp_path / "source")
    images = LibvirtImages(pool=tmp_path / "pool")
    recipe = (
        Recipe.base(base)
        .packages("puppet-agent", "cfengine3")
        .files(STAND_IN, "/usr/bin/chef-client")
        .puppet(source / "puppet/site.pp", facts={"role": "web"})
        .cfengine(source / "cfengine/site.cf", classes=["web"])
        .chef(source / "chef", "recipe[shop]")
    )
    image = images.build(recipe, on_output=print)
    record = images.record(image.id)
    assert record is not None
    assert {tool.name for tool in record.tools} >= {"cfengine", "chef", "puppet"}
    with images.root(image.id) as root:
        assert (root / "srv/shop/made").read_text() == f"web {codename}"
        assert "a shop" in (root / "etc/motd").read_text()
        assert (root / "etc/shop").read_text() == "open\n"
    shutil.rmtree(images.pool)
    shutil.rmtree(source)
    unreachable()
    rebuilt = images.rebuild(image.id, on_output=print)
    assert rebuilt.differences == ()
    assert rebuilt.is_identical
