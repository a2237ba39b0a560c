"""Images: made once, whole or not at all, and never from outside of what was named."""

import os
import signal
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from process_tools import backend_in, recipe_of

from immutable.errors import (
    BuildFailed,
    InvalidInput,
    MissingFiles,
    PermissionDenied,
    Unsupported,
)
from immutable.images.recipe import Recipe
from immutable.model import ImageId
from immutable.urls import Url
from immutable_process import ProcessBackend, open_backend

BASE = Recipe.base("host:local")
DIES = """
import os, signal, sys
from pathlib import Path
from process_tools import backend_in, recipe_of
place = Path(sys.argv[1])
recipe = recipe_of("good", place).files(place / "good", "/second")
def die(line):
    if "/second" in line:
        os.kill(os.getpid(), signal.SIGKILL)
backend_in(place).images.build(recipe, on_output=die)
"""


@pytest.fixture
def backend(place: Path) -> ProcessBackend:
    """Return a backend in a place of its own."""
    return backend_in(place)


def silent(_line: str) -> None:
    """Take no notice of a build's output."""


def test_the_same_recipe_is_built_once(backend: ProcessBackend, place: Path) -> None:
    """By builders at once too; another file, or another mode, is another image."""
    recipe, said = recipe_of("good", place), list[str]()
    with ThreadPoolExecutor(4) as pool:
        jobs = [
            pool.submit(backend.images.build, recipe, on_output=said.append)
            for _ in range(4)
        ]
    made = {job.result().id: job.result() for job in jobs}
    assert len(said) == 1
    (image,) = made.values()
    assert backend.images.find(image.id) == image
    assert image.recipe == recipe.digest
    (place / "good" / "mark").chmod(0o600)
    other = backend.images.build(recipe, on_output=silent)
    assert (other.id != image.id, other.digest != image.digest) == (True, True)


def test_another_command_is_another_image(backend: ProcessBackend, place: Path) -> None:
    """The digest covers all that an instance starts from."""
    files = BASE.files(recipe_of("good", place).layers[0].source, "/srv")
    one = backend.images.build(files.service("a", "/bin/true"), on_output=silent)
    two = backend.images.build(files.service("a", "/bin/false"), on_output=silent)
    assert one.digest != two.digest


def test_a_killed_build_leaves_no_image(backend: ProcessBackend, place: Path) -> None:
    """Killed halfway nothing is found; the next build clears up and is whole."""
    python = [sys.executable, "-c", DIES, str(place)]
    paths = os.pathsep.join(path for path in sys.path if path)
    done = subprocess.run(python, env={"PYTHONPATH": paths}, check=False)
    assert done.returncode == -signal.SIGKILL
    (draft,) = backend.images.directory.glob(".img-*")
    assert (draft / "root/srv/app/mark").exists()
    assert backend.images.find(ImageId(draft.name.removeprefix("."))) is None
    recipe = recipe_of("good", place).files(place / "good", "/second")
    image = backend.images.build(recipe, on_output=silent)
    assert f".{image.id}" == draft.name
    assert not draft.exists()
    home = backend.images.directory / image.id
    assert (home / "root/second/mark").read_text() == "good"


def test_files_that_change_meanwhile_are_not_published(
    backend: ProcessBackend, place: Path
) -> None:
    """What was copied would not be what the recipe says."""
    recipe = recipe_of("good", place)
    with pytest.raises(BuildFailed, match="changed"):
        backend.images.build(
            recipe, on_output=lambda _: (place / "good/mark").unlink() or None
        )
    assert not list(backend.images.directory.glob("img-*"))


def test_no_link_leads_out_of_an_image(backend: ProcessBackend, place: Path) -> None:
    """One that would is refused; through one that stays inside, only copies are written."""
    outside, tree, more = place / "outside", place / "tree", place / "more"
    for path in (outside, tree / "inside", more / "in"):
        path.mkdir(parents=True)
    (more / "in" / "secret").write_text("written")
    (tree / "in").symlink_to(outside)
    recipe = BASE.files(tree, "/").files(more, "/").service("a", "/bin/true")
    with pytest.raises(InvalidInput, match="out of the tree"):
        backend.images.build(recipe, on_output=silent)
    (tree / "in").unlink()
    (tree / "in").symlink_to("inside")
    image = backend.images.build(recipe, on_output=silent)
    root = backend.images.directory / image.id / "root"
    assert (root / "in/secret").read_text() == "written"
    assert not list(outside.iterdir())
    assert not list((tree / "inside").iterdir())


def test_layers_in_each_others_way_fail(backend: ProcessBackend, place: Path) -> None:
    """A file cannot take the place of a directory, nor the other way round."""
    source = recipe_of("good", place).layers[0].source
    for first, second in ((source, source / "mark"), (source / "mark", source)):
        recipe = BASE.files(first, "/srv").files(second, "/srv")
        with pytest.raises(BuildFailed, match="/srv"):
            backend.images.build(recipe.service("a", "/bin/true"), on_output=silent)


def test_what_is_inside_of_layers_is_compared_too(
    backend: ProcessBackend, place: Path
) -> None:
    """A file does not slip into a directory of its name, nor is a lost link passed over."""
    tree, flat, lost = place / "tree", place / "flat", place / "lost"
    for path in (tree / "x", flat, lost):
        path.mkdir(parents=True)
    (tree / "x/y").write_text("in a directory")
    (flat / "x").write_text("a file")
    (lost / "link").symlink_to("nowhere")
    for layers in ((tree, flat), (flat, tree), (lost,)):
        recipe = BASE.service("a", "/bin/true")
        for layer in layers:
            recipe = recipe.files(layer, "/srv")
        with pytest.raises(BuildFailed, match=r"/srv/x|/lost/link"):
            backend.images.build(recipe, on_output=silent)


@pytest.mark.parametrize(
    "recipe",
    [
        BASE,
        BASE.service("a", "/bin/a").service("b", "/bin/b"),
        BASE.packages("python3").service("a", "/bin/a"),
        BASE.run("date").service("a", "/bin/a"),
        Recipe.base("debian:12").service("a", "/bin/a"),
    ],
    ids=["nothing to start", "two to start", "packages", "commands", "another system"],
)
def test_what_a_process_cannot_have_is_refused(
    backend: ProcessBackend, recipe: Recipe
) -> None:
    """Before anything is made; the message says what can be had."""
    with pytest.raises(Unsupported, match="files and one service") as refused:
        backend.images.build(recipe, on_output=silent)
    assert recipe.origin in str(refused.value)
    assert not backend.images.directory.exists()


def test_missing_files_are_named(backend: ProcessBackend) -> None:
    """As everywhere."""
    recipe = BASE.files("/nowhere", "/srv").service("a", "/bin/a")
    with pytest.raises(MissingFiles, match="/nowhere"):
        backend.images.build(recipe, on_output=silent)


def test_a_directory_of_somebody_else_is_refused(place: Path) -> None:
    """With what to do about it."""
    (place / "file").touch()
    for directory in ("/sys/immutable", f"{place}/file/p"):
        images = open_backend(Url.parse(f"process://?dir={directory}")).images
        with pytest.raises(PermissionDenied, match=r"\?dir="):
            images.build(recipe_of("good", place), on_output=silent)


def test_a_deleted_image_is_gone(backend: ProcessBackend, place: Path) -> None:
    """And can be built again; deleting repeats safely."""
    image = backend.images.build(recipe_of("good", place), on_output=silent)
    backend.images.delete(image.id)
    backend.images.delete(image.id)
    assert backend.images.find(image.id) is None
    assert backend.images.build(recipe_of("good", place), on_output=silent) == image
