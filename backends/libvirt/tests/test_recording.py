"""What a record says of how reproducible an image is, and of who made it."""

from datetime import UTC, datetime
from pathlib import Path

import attrs
import pytest

from immutable.images.lock import Lock
from immutable.images.recipe import Recipe
from immutable.images.record import Tool
from immutable.model import digest_of
from immutable_libvirt.archive import Archive
from immutable_libvirt.building.disk import WholeDisk
from immutable_libvirt.building.layers import Built
from immutable_libvirt.building.making import Made
from immutable_libvirt.building.manifest import Manifest
from immutable_libvirt.building.recording import read_record, record
from immutable_libvirt.pool import Pool

pytestmark = pytest.mark.vm
MADE = Made(
    manifest=Manifest(
        kernel=digest_of("kernel"),
        layers=(digest_of("layer"),),
        trees=(digest_of("tree"),),
        command_line="",
        recipe=digest_of("recipe"),
        distribution="debian:12",
        size_bytes=1,
        built_at=datetime(2026, 1, 1, tzinfo=UTC),
    ),
    lock=Lock(),
    layers=(
        Built(
            what="a layer",
            step=digest_of("step"),
            name=digest_of("tree"),
            content=digest_of("layer"),
            size_bytes=1,
            tools=(
                Tool(name="puppet", version="7.1"),
                Tool(name="ansible", version="2"),
            ),
        ),
    ),
)


@pytest.fixture
def archive(tmp_path: Path) -> Archive:
    """Return an empty archive."""
    return Archive.of(Pool(tmp_path / "pool"))


def test_every_tool_with_a_network_is_unpinned(
    archive: Archive, tmp_path: Path
) -> None:
    """Whatever made a layer: what it fetched is in no lock."""
    policy = tmp_path / "policy"
    (policy / "cookbooks").mkdir(parents=True)
    for name in ("site.yml", "site.pp", "site.cf"):
        (policy / name).touch()
    recipe = (
        Recipe.base("debian:12")
        .run("true", network=True)
        .ansible(policy / "site.yml", network=True)
        .puppet(policy / "site.pp", network=True)
        .cfengine(policy / "site.cf", network=True)
        .chef(policy, "recipe[shop]", network=True)
        .run("true")
    )
    made = record(archive, recipe, MADE)
    said = [unpinned.layer for unpinned in made.unpinned]
    assert said == ["run", "ansible", "puppet", "cfengine", "chef"]
    assert not made.is_reproducible
    assert read_record(archive, made.image.id) == made


def test_tools_of_layers_are_named_with_the_usual_ones(archive: Archive) -> None:
    """Each with its version, those of layers in order of name."""
    made = record(archive, Recipe.base("debian:12"), MADE)
    names = [tool.name for tool in made.tools]
    assert names[-2:] == ["ansible", "puppet"]
    assert set(names) >= {"apt", "dpkg", "mmdebstrap"}
    assert made.is_reproducible


def test_a_disk_that_a_machine_wrote_is_unpinned(archive: Archive) -> None:
    """It comes out otherwise each time, whatever is known of its template."""
    disk = WholeDisk(content=digest_of("disk"), format="raw", virtual_bytes=1)
    manifest = attrs.evolve(MADE.manifest, disk=disk)
    packed = attrs.evolve(MADE, manifest=manifest)
    made = record(archive, Recipe.base("debian:12"), packed)
    [unpinned] = made.unpinned
    assert unpinned.layer == "a layer"
    assert not made.is_reproducible
