"""Placing files upon other layers, as overlayfs would show them."""

import os
import stat
import subprocess
from pathlib import Path, PurePosixPath

import pytest
from hypothesis import given
from hypothesis import strategies as st

from immutable.errors import BuildFailed
from immutable.images.layers import Daemon, Files
from immutable_libvirt.building import erofs
from immutable_libvirt.building.staging import Staging, service_script
from immutable_libvirt.building.tree import clean, find

WORDS = st.text(
    st.characters(blacklist_characters="\0", blacklist_categories=["Cs"]), max_size=20
)


@pytest.fixture
def base(tmp_path: Path) -> Path:
    """Return a lowest layer with the links and modes of a Debian."""
    base = tmp_path / "base"
    (base / "usr" / "bin").mkdir(parents=True)
    (base / "bin").symlink_to("usr/bin")
    (base / "abs").symlink_to("/usr/bin")
    (base / "loop").symlink_to("loop")
    for name, mode in (("tmp", 0o1777), ("root", 0o700), ("srv", 0o755)):
        (base / name).mkdir()
        (base / name).chmod(mode)
    return base


@pytest.fixture
def staging(tmp_path: Path, base: Path) -> Staging:
    """Return an empty layer upon the base."""
    (tmp_path / "new").mkdir()
    return Staging(root=tmp_path / "new", below=(base,))


def source(tmp_path: Path, *names: str) -> Path:
    """Return a directory with files that hold their own names."""
    root = tmp_path / "source"
    for name in names:
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_text(name)
        (root / name).chmod(0o640)
    return root


def files(path: Path, target: str) -> Files:
    """Return a layer that places a path."""
    return Files(source=path, target=PurePosixPath(target))


@pytest.mark.parametrize("target", ["/bin/app", "/abs/app", "/usr/bin/app"])
def test_links_below_are_followed(
    staging: Staging, tmp_path: Path, target: str
) -> None:
    """A file in /bin goes to /usr/bin: a real /bin would hide all programs."""
    staging.place(files(source(tmp_path, "app") / "app", target))
    assert (staging.root / "usr/bin/app").read_text() == "app"
    assert not (staging.root / "bin").exists()
    assert not (staging.root / "abs").exists()


def test_circular_links_are_refused(staging: Staging, tmp_path: Path) -> None:
    """A link to itself ends in an error, not in a loop."""
    with pytest.raises(BuildFailed, match="too many links"):
        staging.place(files(source(tmp_path, "app"), "/loop"))


def test_directories_below_keep_their_modes(staging: Staging, tmp_path: Path) -> None:
    """Copying into /tmp and /root leaves them as open and as closed as they were."""
    staging.place(files(source(tmp_path, "tmp/a", "root/b", "new/c"), "/"))
    modes = {p.name: stat.S_IMODE(p.stat().st_mode) for p in staging.root.iterdir()}
    assert modes == {"tmp": 0o1777, "root": 0o700, "new": 0o755}
    assert stat.S_IMODE((staging.root / "new/c").stat().st_mode) == 0o640


@pytest.mark.skipif(os.geteuid() != 0, reason="only root gives files away")
def test_directories_below_keep_their_owners(staging: Staging, tmp_path: Path) -> None:
    """Who could write to one still can, though something was copied into it."""
    os.chown(staging.below[0] / "srv", 33, 34)
    staging.place(files(source(tmp_path, "srv/a"), "/"))
    made = (staging.root / "srv").stat()
    assert (made.st_uid, made.st_gid) == (33, 34)
    assert (staging.root / "srv/a").stat().st_uid == 0


def test_a_directory_is_never_hidden_by_a_file(
    staging: Staging, tmp_path: Path
) -> None:
    """A file whose target is a directory of a lower layer is refused."""
    with pytest.raises(BuildFailed, match="/srv"):
        staging.place(files(source(tmp_path, "app") / "app", "/srv"))


def test_a_file_is_never_hidden_by_a_directory(
    staging: Staging, tmp_path: Path
) -> None:
    """What is to go below a file of a lower layer, or of this one, is refused."""
    below = staging.below[0] / "etc"
    below.mkdir(exist_ok=True)
    (below / "passwd").write_text("root")
    root = source(tmp_path, "app")
    with pytest.raises(BuildFailed, match="/etc/passwd is to be a directory"):
        staging.place(files(root / "app", "/etc/passwd/app"))
    staging.place(files(root / "app", "/opt/app"))
    with pytest.raises(BuildFailed, match="/opt/app is to be a directory"):
        staging.place(files(root, "/opt/app"))


def test_later_layers_replace_earlier_ones(staging: Staging, tmp_path: Path) -> None:
    """The same target twice holds the later contents."""
    root = source(tmp_path, "one", "two")
    staging.place(files(root / "one", "/etc/app"))
    staging.place(files(root / "two", "/etc/app"))
    assert (staging.root / "etc/app").read_text() == "two"


def test_links_are_copied_as_links(staging: Staging, tmp_path: Path) -> None:
    """A link in a tree stays one, even where it points to nothing."""
    root = source(tmp_path, "one")
    (root / "link").symlink_to("nowhere")
    staging.place(files(root, "/srv"))
    assert (staging.root / "srv/link").readlink() == Path("nowhere")


@given(words=st.lists(WORDS, max_size=3), value=WORDS)
def test_services_get_exactly_their_arguments(words: list[str], value: str) -> None:
    """Whatever is in arguments and variables, the shell passes it on unchanged."""
    show = 'printf "%s\\0" "$X" "$@"'
    command = ("/bin/sh", "-c", show, "-", *words)
    script = service_script(Daemon(name="a", command=command, environment={"X": value}))
    said = subprocess.run(["sh"], input=script.encode(), stdout=-1, check=True).stdout
    assert said.decode().split("\0")[:-1] == [value, *words]


@pytest.mark.vm
def test_deletions_and_opaque_directories_hide(tmp_path: Path, base: Path) -> None:
    """A whiteout, and an opaque directory, hide what is below them."""
    top = tmp_path / "top"
    (top / "usr").mkdir(parents=True)
    os.setxattr(top / "usr", "trusted.overlay.opaque", b"y")
    os.mknod(top / "bin", stat.S_IFCHR, 0)
    assert find((top, base), PurePosixPath("/bin")) is None
    assert find((top, base), PurePosixPath("/usr/bin")) is None
    assert find((top, base), PurePosixPath("/srv")) == base / "srv"


@pytest.mark.vm
def test_layers_do_not_name_the_host(tmp_path: Path) -> None:
    """Of overlayfs's own notes only opacity is kept."""
    (tmp_path / "a").mkdir()
    for name in ("opaque", "origin", "impure"):
        os.setxattr(tmp_path / "a", f"trusted.overlay.{name}", b"y")
    clean(tmp_path, ())
    assert os.listxattr(tmp_path / "a") == ["trusted.overlay.opaque"]


@pytest.mark.vm
def test_equal_trees_give_equal_layers(tmp_path: Path) -> None:
    """Times and places on the host's disk leave no trace in a layer."""
    digests = set()
    for number in range(2):
        tree = tmp_path / str(number)
        tree.mkdir()
        for name in ("a", "b") if number else ("b", "a"):
            (tree / name).write_text(name)
            os.utime(tree / name, (number, number))
        image = tmp_path / f"{number}.erofs"
        erofs.make(tree, image, on_output=lambda _line: None)
        digests.add(erofs.content_digest(image))
    assert len(digests) == 1
