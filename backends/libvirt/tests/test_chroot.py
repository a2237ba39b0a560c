"""What commands in an image see of the machine that builds it."""

from pathlib import Path

import pytest

from immutable.images.recipe import Recipe


@pytest.mark.vm
def test_with_the_network_names_resolve_as_they_do_here(workshop) -> None:
    """The image's own links in /etc lead to this machine's answers, which do not stay."""
    show = "cat /etc/resolv.conf >/srv/servers; getent hosts localhost >/srv/local"
    recipe = Recipe.base("debian:12").run(show, network=True)
    with workshop.built(recipe) as (_, layer):
        assert (layer / "srv/servers").read_text() == Path(
            "/etc/resolv.conf"
        ).read_text()
        assert "localhost" in (layer / "srv/local").read_text()
        assert [path.name for path in layer.iterdir()] == ["srv"]


@pytest.mark.vm
def test_scripts_of_packages_find_what_each_instance_has_of_its_own(workshop) -> None:
    """The base leaves /etc/hosts to the instance; netbase's script wants to see one."""
    recipe = Recipe.base("debian:12").packages("netbase")
    with workshop.built(recipe) as (_, layer):
        assert (layer / "etc/services").is_file()
        assert not (layer / "etc/hosts").exists()
    recipe = Recipe.base("debian:12").run(
        "getent hosts image >/srv/own; echo x >>/etc/hosts"
    )
    with workshop.built(recipe) as (_, layer):
        assert "127.0.1.1" in (layer / "srv/own").read_text()
        assert [path.name for path in layer.iterdir()] == ["srv"]
