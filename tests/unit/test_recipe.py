"""Recipes are values: what changes their digest, and what they refuse."""

import os
import tempfile
from collections.abc import Callable
from pathlib import Path, PurePosixPath
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from immutable.errors import InvalidInput, MissingFiles
from immutable.images.layers import Daemon, Files
from immutable.images.lock import Entry, Lock, Pin
from immutable.images.recipe import Recipe
from immutable.model import Digest

NAMES = st.text("abcdefgh", min_size=1, max_size=6)
COMMANDS = st.text(min_size=1, max_size=12).filter(
    lambda text: text.strip() and "\0" not in text
)
CONTENTS = st.dictionaries(NAMES, st.binary(max_size=20), max_size=4)
BASE = Recipe.base("debian:12")
LOOSE: Any = BASE
PIN = Pin(
    name="c", version="1", file="c.deb", sha256="short", size_bytes=1, origin="debian"
)


def write(root: Path, contents: dict[str, bytes]) -> Path:
    """Return a directory made with these files."""
    root.mkdir()
    for name, content in contents.items():
        (root / name).write_bytes(content)
        (root / name).chmod(0o644)
    return root


def digest_of(contents: dict[str, bytes]) -> str:
    """Return the digest of a recipe with these files."""
    with tempfile.TemporaryDirectory() as directory:
        return BASE.files(write(Path(directory) / "t", contents), "/srv").digest


@given(first=CONTENTS, second=CONTENTS)
def test_digest_is_equal_exactly_when_contents_are(
    first: dict[str, bytes], second: dict[str, bytes]
) -> None:
    """Two trees have one digest if and only if names and contents agree."""
    assert (digest_of(first) == digest_of(second)) == (first == second)


@given(parts=st.lists(COMMANDS, min_size=2, max_size=4))
def test_layers_are_delimited(parts: list[str]) -> None:
    """Commands joined into one layer are another recipe than separate ones."""
    apart = BASE
    for part in parts:
        apart = apart.run(part)
    assert apart.digest != BASE.run("".join(parts)).digest


@given(first=COMMANDS, second=COMMANDS)
def test_order_of_layers_matters(first: str, second: str) -> None:
    """The same layers in another order are another recipe, unless they are equal."""
    forth, back = BASE.run(first).run(second), BASE.run(second).run(first)
    assert (forth.digest == back.digest) == (first == second)


@given(first=st.lists(NAMES, min_size=1, max_size=3), second=NAMES)
def test_arguments_of_a_service_are_delimited(first: list[str], second: str) -> None:
    """Moving a boundary between arguments gives another digest."""
    apart = BASE.service("web", "/bin/web", *first, second)
    joined = BASE.service("web", "/bin/web", *first[:-1], first[-1] + second)
    assert apart.digest != joined.digest


def test_digests_cover_what_is_below() -> None:
    """A change in a lower layer changes the digest of every layer above it."""
    one, other = BASE.run("a").run("z").digests(), BASE.run("b").run("z").digests()
    assert one[0] == other[0]
    assert one[1] != other[1]
    assert one[2] != other[2]


def test_order_of_packages_does_not_matter() -> None:
    """One layer's packages are a set."""
    assert BASE.packages("a", "b").digest == BASE.packages("b", "a").digest


def test_times_do_not_matter(tmp_path: Path) -> None:
    """Touching a file leaves the digest as it was."""
    recipe = BASE.files(write(tmp_path / "t", {"a": b"1"}), "/srv")
    before = recipe.digest
    os.utime(tmp_path / "t" / "a", (1, 1))
    assert recipe.digest == before


def test_modes_matter(tmp_path: Path) -> None:
    """Making a file executable changes the digest."""
    recipe = BASE.files(write(tmp_path / "t", {"a": b"1"}), "/srv")
    before = recipe.digest
    (tmp_path / "t" / "a").chmod(0o755)
    assert recipe.digest != before


def test_target_and_empty_directories_matter(tmp_path: Path) -> None:
    """Where files go, and directories without files, are part of the digest."""
    source = write(tmp_path / "t", {"a": b"1"})
    before = BASE.files(source, "/srv").digest
    assert BASE.files(source, "/opt").digest != before
    (source / "empty").mkdir()
    assert BASE.files(source, "/srv").digest != before


def test_links_inside_count_by_target(tmp_path: Path) -> None:
    """A link in a tree is copied as a link, so its target is what counts."""
    source = write(tmp_path / "t", {"a": b"1", "b": b"1"})
    (source / "link").symlink_to("a")
    before = BASE.files(source, "/srv").digest
    (source / "link").unlink()
    (source / "link").symlink_to("b")
    assert BASE.files(source, "/srv").digest != before


def test_a_link_as_source_counts_by_contents(tmp_path: Path) -> None:
    """What a link given as the source points to is copied, so its contents count."""
    (tmp_path / "file").write_text("1")
    (tmp_path / "link").symlink_to("file")
    recipe = BASE.files(tmp_path / "link", "/srv/file")
    before = recipe.digest
    (tmp_path / "file").write_text("2")
    assert recipe.digest != before


def test_missing_files_are_named(tmp_path: Path) -> None:
    """A source that is not there, or a link to nothing, is a typed error."""
    (tmp_path / "link").symlink_to("nowhere")
    for name in ("absent", "link"):
        with pytest.raises(MissingFiles, match=name):
            _ = BASE.files(tmp_path / name, "/srv").digest


def test_sockets_and_pipes_are_refused(tmp_path: Path) -> None:
    """A tree with something that cannot be copied is refused."""
    os.mkfifo(tmp_path / "pipe")
    with pytest.raises(InvalidInput, match="pipe"):
        _ = BASE.files(tmp_path, "/srv").digest


@pytest.mark.parametrize("target", ["srv", "../srv", "/srv/../etc", ""])
def test_targets_outside_the_image_are_refused(target: str) -> None:
    """A target is absolute and stays inside."""
    with pytest.raises(InvalidInput):
        BASE.files(".", target)


def test_leading_slashes_are_one() -> None:
    """Two slashes at the front mean the same place as one."""
    layer = BASE.files(".", "//srv/app").layers[0]
    assert isinstance(layer, Files)
    assert str(layer.target) == "/srv/app"


def test_a_clouds_image_is_a_base_by_its_id() -> None:
    """An id means the same bytes for ever: it stands in the recipe as it is."""
    recipe = Recipe.base("ami-0123456789abcdef0")
    assert recipe.origin == "ami-0123456789abcdef0"
    assert recipe.digest != Recipe.base("ami-0123456789abcdef1").digest
    with pytest.raises(InvalidInput):
        Recipe.base("ami-latest")


@pytest.mark.parametrize("origin", ["debian", "debian:", "Debian:12", "a:b:c", ""])
def test_origins_are_distribution_and_version(origin: str) -> None:
    """Anything else is refused at once."""
    with pytest.raises(InvalidInput):
        Recipe.base(origin)


@pytest.mark.parametrize("names", [(), ("",), ("-y",), ("a b",), ("a;b",)])
def test_impossible_packages_are_refused(names: tuple[str, ...]) -> None:
    """Nothing that apt could take for an option or two words gets through."""
    with pytest.raises(InvalidInput):
        BASE.packages(*names)


def test_service_is_split_like_a_shell() -> None:
    """One string becomes arguments; several are taken as they are."""
    one = BASE.service("web", "/bin/web --name 'a b'").layers[0]
    several = BASE.service("web", "/bin/web", "--name", "a b").layers[0]
    assert isinstance(one, Daemon)
    assert one == several


@pytest.mark.parametrize(
    ("name", "command"), [("Web", "/bin/x"), ("web", "x"), ("web", ""), ("", "/bin/x")]
)
def test_impossible_services_are_refused(name: str, command: str) -> None:
    """A service has a plain name and a program with an absolute path."""
    with pytest.raises(InvalidInput):
        BASE.service(name, command)


def test_variables_need_names() -> None:
    """A variable that no shell can set is refused."""
    with pytest.raises(InvalidInput, match=r"a\.b"):
        BASE.service("web", "/bin/web", environment={"a.b": "1"})


def test_an_empty_command_is_refused() -> None:
    """It would make a layer that does nothing."""
    with pytest.raises(InvalidInput):
        BASE.run("  ")


@pytest.mark.parametrize(
    "wrong",
    [
        lambda: LOOSE.base(Path("debian")),
        lambda: LOOSE.on("img-0123456789abcdef"),
        lambda: LOOSE.packages(["nginx", "curl"]),
        lambda: LOOSE.files("app", "/srv", exclude="*.pyc"),
        lambda: LOOSE.files(None, "/srv"),
        lambda: LOOSE.run(["ls", "-l"]),
        lambda: LOOSE.run("echo \0"),
        lambda: LOOSE.run("echo \ud800"),
        lambda: LOOSE.user(1000),
        lambda: LOOSE.user("app", uid="1000"),
        lambda: LOOSE.user("app", groups="adm"),
        lambda: LOOSE.service("web", ["/usr/bin/app", "--port=80"]),
        lambda: LOOSE.service("web", "/usr/bin/app 'a"),
        lambda: LOOSE.service("web", "/usr/bin/app", environment=["A=1"]),
        lambda: LOOSE.service("web", "/usr/bin/app", environment={"A": None}),
        lambda: LOOSE.python(3.11),
        lambda: LOOSE.python("3.11").with_(python=3.13),
        lambda: LOOSE.packages("nginx").with_(packages=["nginx"]),
        lambda: LOOSE.packages("nginx").with_(packages={"nginx": "the newest"}),
        lambda: LOOSE.ansible("site.yml", variables=["a"]),
        lambda: LOOSE.cfengine("site.cf", classes="web"),
        lambda: LOOSE.chef("repository", ["recipe[web]"]),
        lambda: LOOSE.locked(Path("recipe.lock")),
        lambda: LOOSE.locked("recipe.lock"),
    ],
)
def test_what_is_of_the_wrong_kind_is_refused_at_once(
    wrong: Callable[[], object],
) -> None:
    """With what to write instead: a text is never taken apart into letters."""
    with pytest.raises(InvalidInput) as found:
        wrong()
    assert found.value.hint


def test_equal_meanings_are_equal_recipes() -> None:
    """Paths may be texts, numbers may be numbers, and a set has no order."""
    plain = BASE.files("app", "/srv", exclude=["a", "b"])
    assert BASE.files(Path("app"), PurePosixPath("/srv"), exclude={"b", "a"}) == plain
    numbered = LOOSE.service("web", "/usr/bin/app", environment={"PORT": 80})
    assert numbered == BASE.service("web", "/usr/bin/app", environment={"PORT": "80"})


@pytest.mark.parametrize("content", [b"flask==1.0 # caf\xe9\n", None])
def test_requirements_that_are_no_text_are_refused(
    tmp_path: Path, content: bytes | None
) -> None:
    """A file in another encoding, and a directory; not with an error of Python's own."""
    place = tmp_path / "requirements.txt"
    place.mkdir() if content is None else place.write_bytes(content)
    with pytest.raises(InvalidInput, match=r"requirements\.txt is no text"):
        BASE.python("3.11", requirements=place).digests()


@pytest.mark.parametrize(
    "text",
    [
        "[]",
        "[" * 100_000,
        '{"schema": 1, "entries": {}}',
        '{"schema": 1, "entries": ["one"]}',
        '{"schema": 1, "entries": [{"layer": "a", "what": "b", "pins": {}}]}',
        Lock(entries=(Entry(layer=Digest("a"), what="b", pins=(PIN,)),)).to_json(),
    ],
)
def test_what_is_no_lock_is_refused(text: str) -> None:
    """An edited file says that it is none, and never means that nothing is locked."""
    with pytest.raises(InvalidInput, match=r"is no lock|lock cannot be understood"):
        Lock.from_json(text)


def test_a_lock_is_printed_in_few_words() -> None:
    """A line for each layer; the lock itself is whole."""
    pins = (PIN,) * 5000
    lock = Lock(entries=(Entry(layer=Digest("a"), what="base debian:12", pins=pins),))
    assert str(lock) == "lock\n  base debian:12: 5000 packages"
    assert len(repr(lock)) < 2000
    assert "<4997 more>" in repr(BASE.locked(lock))
    assert lock.to_json().count(PIN.file) == 5000


def test_another_base_alone_says_which_python_it_has() -> None:
    """The hint is what was meant, and works as it is written."""
    recipe = BASE.python("3.11")
    with pytest.raises(InvalidInput, match=r"has Python 3\.13") as caught:
        recipe.with_(base="debian:13")
    assert '.with_(base="debian:13", python="3.13")' in caught.value.hint
    assert recipe.with_(base="debian:13", python="3.13").origin == "debian:13"


def test_a_deadline_leaves_some_time() -> None:
    """With none at all, every build would fail in the end."""
    with pytest.raises(InvalidInput, match="in no time"):
        BASE.run("true", deadline="0s")
