"""systemd units, enabled by Debian's own systemctl."""

from pathlib import Path

import pytest

from immutable.errors import BuildFailed, MissingFiles, Unavailable
from immutable.images.recipe import Recipe

pytestmark = pytest.mark.vm

UNIT = """
[Unit]
Description=A shop
[Service]
ExecStart=/bin/sleep infinity
[Install]
WantedBy=multi-user.target
"""


def written(folder: Path, text: str) -> Path:
    """Write a unit; return its file."""
    folder.mkdir(exist_ok=True)
    (folder / "shop.service").write_text(text)
    return folder / "shop.service"


def test_a_unit_is_placed_and_enabled(
    workshop, with_agents: Recipe, tmp_path: Path
) -> None:
    """Whatever modes its file has here, and the same bytes twice."""
    source = written(tmp_path / "one", UNIT)
    source.chmod(0o600)
    with workshop.built(with_agents.unit(source)) as (first, layer):
        place = layer / "etc/systemd/system"
        assert (place / "shop.service").read_text() == UNIT
        assert (place / "shop.service").stat().st_mode & 0o777 == 0o644
        wanted = place / "multi-user.target.wants/shop.service"
        assert str(wanted.readlink()) == "/etc/systemd/system/shop.service"
        names = {str(p.relative_to(place)) for p in place.rglob("*") if not p.is_dir()}
        assert names == {"shop.service", "multi-user.target.wants/shop.service"}
    again = written(tmp_path / "two", UNIT)
    again.chmod(0o600)
    with workshop.built(with_agents.unit(again)) as (second, _):
        assert workshop.lines  # it was made, not found
        assert second.digest == first.digest


@pytest.mark.parametrize(
    ("old", "new", "said"),
    [
        ("ExecStart=/bin/sleep", "ExecStart=/bin/slep", "/bin/slep is not executable"),
        ("[Service]", "[Servce]", "Unknown section 'Servce'"),
    ],
)
def test_what_systemd_refuses_fails_the_layer(
    workshop, with_agents: Recipe, tmp_path: Path, old: str, new: str, said: str
) -> None:
    """The error has systemd's own words."""
    source = written(tmp_path, UNIT.replace(old, new))
    with pytest.raises(BuildFailed, match=r"enabling shop\.service failed") as caught:
        workshop.build(with_agents.unit(source))
    assert said in str(caught.value)


def test_an_image_without_systemd_is_told_what_to_install(
    workshop, tmp_path: Path
) -> None:
    """The hint is the line that the recipe lacks."""
    recipe = Recipe.base("debian:12").unit(written(tmp_path, UNIT))
    with pytest.raises(Unavailable, match="no systemctl") as caught:
        workshop.build(recipe)
    assert '.packages("systemd")' in caught.value.hint


def test_a_unit_that_is_not_there_is_refused(
    workshop, with_agents: Recipe, tmp_path: Path
) -> None:
    """By its path."""
    with pytest.raises(MissingFiles, match=r"gone\.service"):
        workshop.build(with_agents.unit(tmp_path / "gone.service"))
