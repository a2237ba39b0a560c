"""Layers that Chef would make, by a stand-in that insists on Chef's documented contract."""

import json
from pathlib import Path

import pytest

from immutable.errors import BuildFailed, InvalidInput, MissingFiles, Unavailable
from immutable.images.recipe import Recipe
from immutable_libvirt.building.provisioning.chef import nested

BASE = Recipe.base("debian:12")
STAND_IN = BASE.files(Path(__file__).with_name("chef-client"), "/usr/bin/chef-client")


def written(folder: Path, *resources: str) -> Path:
    """Write a repository with the cookbook ``shop``; return it."""
    recipes = folder / "cookbooks" / "shop" / "recipes"
    recipes.mkdir(parents=True)
    (recipes / "default.rb").write_text("".join(f"{line}\n" for line in resources))
    return folder


@pytest.mark.vm
def test_a_run_list_makes_a_layer_and_the_same_one_twice(
    workshop, tmp_path: Path
) -> None:
    """Resources and attributes arrive; nodes, cache and lock stay out of the layer."""
    resources = ("file /etc/shop green", "attributes /etc/attributes.json")
    one = written(tmp_path / "one", *resources)
    other = written(tmp_path / "elsewhere" / "other", *resources)
    given = {"shop.port": "8080", "owner": "shop"}
    recipe = STAND_IN.chef(one, "recipe[shop]", attributes=given)
    with workshop.built(recipe) as (first, layer):
        files = {str(p.relative_to(layer)) for p in layer.rglob("*") if p.is_file()}
        assert files == {"etc/shop", "etc/attributes.json"}
        found = json.loads((layer / "etc/attributes.json").read_text())
        assert found == {"shop": {"port": "8080"}, "owner": "shop"}
    again = STAND_IN.chef(other, "recipe[shop]", attributes=given)
    with workshop.built(again) as (second, _):
        assert workshop.lines  # it was made, not found
        tools = {t.name: t.version for t in workshop.images.record(second.id).tools}
        assert tools["chef"].startswith("18.4.12")
        assert second.digest == first.digest
    assert not (one / "nodes").exists()


@pytest.mark.vm
def test_a_failing_run_fails_the_layer(workshop, tmp_path: Path) -> None:
    """The error has what was said last."""
    recipe = STAND_IN.chef(written(tmp_path, "fail no such package"), "recipe[shop]")
    with pytest.raises(BuildFailed, match=r"(?s)status 1.*FATAL: no such package"):
        workshop.build(recipe)


@pytest.mark.vm
def test_a_deadline_kills_the_run(workshop, tmp_path: Path) -> None:
    """What takes too long has failed."""
    repository = written(tmp_path, "wait")
    with pytest.raises(BuildFailed, match="did not end within"):
        workshop.build(STAND_IN.chef(repository, "recipe[shop]", deadline="1s"))


@pytest.mark.vm
def test_an_image_without_chef_is_told_what_to_install(
    workshop, tmp_path: Path
) -> None:
    """There is no package to name, so the hint says where there is one."""
    with pytest.raises(Unavailable, match="chef-client") as caught:
        workshop.build(BASE.chef(written(tmp_path), "recipe[shop]"))
    assert "https://chef.io" in str(caught.value)


@pytest.mark.vm
def test_a_repository_without_cookbooks_is_said(workshop, tmp_path: Path) -> None:
    """The directory that was meant is another one."""
    with pytest.raises(MissingFiles, match="cookbooks"):
        workshop.build(STAND_IN.chef(tmp_path, "recipe[shop]"))


def test_dots_lead_deeper() -> None:
    """Chef's attributes are a tree, and given as names with dots."""
    assert nested({"a.b.c": "1", "a.d": "2", "e": "3"}) == {
        "a": {"b": {"c": "1"}, "d": "2"},
        "e": "3",
    }


@pytest.mark.parametrize("other", ["a.b", "a.b.c"])
def test_a_value_is_no_group(other: str) -> None:
    """What could only be one of both is refused, whichever was given first."""
    with pytest.raises(InvalidInput, match=other):
        nested({other: "1", "a": "2"})
