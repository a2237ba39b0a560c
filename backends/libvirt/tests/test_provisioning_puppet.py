"""Layers that Puppet makes, by Debian's own Puppet."""

from pathlib import Path

import pytest

from immutable.errors import BuildFailed, MissingFiles, Unavailable
from immutable.images.recipe import Recipe

pytestmark = pytest.mark.vm

SITE = """
include shop
user { 'shop': ensure => present, system => true }
notify { "machine: ${facts['memory']}${facts['system_uptime']}${facts['processors']}": }
"""
SHOP = """
class shop {
  file { '/srv/shop': ensure => directory, mode => '0750' }
  file { '/srv/shop/role': content => "${facts['role']} on ${facts['os']['name']}" }
  exec { '/bin/touch /srv/shop/made': creates => '/srv/shop/made' }
}
"""


def written(folder: Path, site: str) -> Path:
    """Write a manifest with a module beside it; return the manifest."""
    module = folder / "modules" / "shop" / "manifests"
    module.mkdir(parents=True)
    (module / "init.pp").write_text(SHOP)
    (folder / "site.pp").write_text(site)
    return folder / "site.pp"


def test_a_manifest_makes_a_layer(
    workshop, with_agents: Recipe, tmp_path: Path
) -> None:
    """Its resources are in the layer, Puppet's own files and the machine's facts not."""
    recipe = with_agents.puppet(written(tmp_path, SITE), facts={"role": "web"})
    with workshop.built(recipe) as (image, layer):
        assert "Notice: machine:" in workshop.lines
        files = {str(p.relative_to(layer)) for p in layer.rglob("*") if p.is_file()}
        assert (layer / "srv/shop/role").read_text() == "web on Debian"
        assert (layer / "srv/shop").stat().st_mode & 0o777 == 0o750
    accounts = {f"etc/{name}" for name in ("group", "gshadow", "passwd", "shadow")}
    assert files == {"srv/shop/role", "srv/shop/made"} | accounts
    tools = {t.name: t.version for t in workshop.images.record(image.id).tools}
    assert tools["puppet"].startswith("7.")


@pytest.mark.matrix
def test_a_manifest_makes_the_same_layer_elsewhere(
    workshop, with_agents: Recipe, tmp_path: Path
) -> None:
    """From another directory, at another time: the same bytes, made and not found."""
    digests = set()
    for place in (tmp_path / "one", tmp_path / "elsewhere" / "other"):
        recipe = with_agents.puppet(written(place, SITE), facts={"role": "web"})
        with workshop.built(recipe) as (image, _):
            assert workshop.lines
            digests.add(image.digest)
    assert len(digests) == 1


def test_a_failing_resource_fails_the_layer(
    workshop, with_agents: Recipe, tmp_path: Path
) -> None:
    """Puppet's own status is not zero, and the error has what Puppet said last."""
    manifest = written(tmp_path, "file { '/nowhere/at/all': ensure => file }")
    with pytest.raises(BuildFailed, match="status 4") as caught:
        workshop.build(with_agents.puppet(manifest))
    assert "No such file or directory" in str(caught.value)


@pytest.mark.matrix
def test_a_deadline_kills_puppet(workshop, with_agents: Recipe, tmp_path: Path) -> None:
    """What takes too long has failed."""
    manifest = written(tmp_path, "exec { '/bin/sleep 86399': timeout => 0 }")
    with pytest.raises(BuildFailed, match="did not end within"):
        workshop.build(with_agents.puppet(manifest, deadline="2s"))


def test_an_image_without_puppet_is_told_what_to_install(
    workshop, tmp_path: Path
) -> None:
    """The hint is the line that the recipe lacks."""
    recipe = Recipe.base("debian:12").puppet(written(tmp_path, SITE))
    with pytest.raises(Unavailable) as caught:
        workshop.build(recipe)
    assert '.packages("puppet-agent")' in str(caught.value)


def test_a_manifest_that_is_not_there_is_said(
    workshop, with_agents: Recipe, tmp_path: Path
) -> None:
    """A name that was misspelt is no failure of Puppet's."""
    manifest = written(tmp_path, SITE)
    with pytest.raises(MissingFiles, match=r"sight\.pp"):
        workshop.build(with_agents.puppet(manifest.with_name("sight.pp")))
