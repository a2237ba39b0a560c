"""What two unbooted roots have otherwise, and how that is told."""

import os
import shutil
from pathlib import Path

import pytest
from roots import as_nobody, debian, put, stanza, wheel

from immutable.errors import InvalidInput, PermissionDenied
from immutable.images.diffing import (
    Facts,
    ImageDiff,
    PackageChange,
    PathChange,
    diff_roots,
)
from immutable.images.packages import STATUS

INFO = "var/lib/dpkg/info"
FILE = Facts(kind="file", mode=0o644, uid=0, gid=0, size_bytes=1)


@pytest.fixture
def pair(tmp_path: Path) -> tuple[Path, Path]:
    """Return two roots, empty and alike."""
    made = tmp_path / "a", tmp_path / "b"
    for root in made:
        root.mkdir()
    return made


def whats(diff: ImageDiff) -> dict[str, tuple[str, ...]]:
    """Return in which ways each path differs."""
    return {change.path: change.what for change in diff.paths}


def test_equal_roots_are_identical(pair: tuple[Path, Path]) -> None:
    """Made at other times, in other places, in another order."""
    a, b = pair
    put(a, "srv/one", "x")
    put(a, "srv/two", "y")
    put(b, "srv/two", "y")
    put(b, "srv/one", "x")
    os.utime(b / "srv/one", (0, 0))
    diff = diff_roots(a, b)
    assert diff.is_identical
    assert diff == ImageDiff(size_before_bytes=2, size_after_bytes=2)
    assert str(diff) == "identical (2 B)"


def test_each_way_to_differ(pair: tuple[Path, Path]) -> None:
    """Every one of them is named, and nothing else is."""
    a, b = pair
    for root in pair:
        for name in ("same", "content", "size", "mode", "kind", "both"):
            put(root, name, "x")
        (root / "link").symlink_to("same")
        (root / "directory").mkdir(mode=0o755)
    put(b, "content", "y")
    put(b, "size", "xyz")
    (b / "mode").chmod(0o755)
    (b / "kind").unlink()
    (b / "kind").mkdir()
    put(b, "both", "y", mode=0o600)
    (b / "link").unlink()
    (b / "link").symlink_to(".//same")
    (b / "directory").chmod(0o700)
    put(a, "gone")
    put(b, "new")
    assert whats(diff_roots(a, b)) == {
        "/content": ("content",),
        "/size": ("content",),
        "/mode": ("mode",),
        "/kind": ("kind", "mode"),
        "/both": ("content", "mode"),
        "/link": ("target",),
        "/directory": ("mode",),
        "/gone": ("removed",),
        "/new": ("added",),
    }


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can give a file away")
def test_owner_and_devices(pair: tuple[Path, Path]) -> None:
    """Who owns a file, and which device a node is."""
    a, b = pair
    for root, minor in ((a, 3), (b, 5)):
        put(root, "owned")
        os.mknod(root / "device", 0o20644, os.makedev(1, minor))
        os.mknod(root / "same", 0o20644, os.makedev(1, 3))
    os.chown(b / "owned", 1, 2)
    diff = diff_roots(a, b)
    assert whats(diff) == {"/device": ("target",), "/owned": ("owner",)}
    targets = [facts.target for facts in (diff.files[0].before, diff.files[0].after)]
    assert targets == ["c 1:3", "c 1:5"]


def test_extended_attributes(pair: tuple[Path, Path]) -> None:
    """A capability gives rights, and is in no mode."""
    a, b = pair
    for root in pair:
        put(root, "x")
    try:
        os.setxattr(b / "x", "user.note", b"1")
    except OSError as exc:
        pytest.skip(f"this file system keeps no attributes: {exc}")
    assert whats(diff_roots(a, b)) == {"/x": ("attributes",)}


def test_what_a_directory_held_is_listed(pair: tuple[Path, Path]) -> None:
    """A tree that is gone, and one that a file has taken the place of."""
    a, b = pair
    put(a, "one/two/three")
    put(a, "place/inside")
    put(b, "place")
    assert whats(diff_roots(a, b)) == {
        "/one": ("removed",),
        "/one/two": ("removed",),
        "/one/two/three": ("removed",),
        "/place": ("kind", "mode"),
        "/place/inside": ("removed",),
    }


def test_packages(pair: tuple[Path, Path]) -> None:
    """Added, removed and of another version, from Debian and for Python."""
    a, b = pair
    debian(a, stanza("bash", "5.1"), stanza("vim", "9"), stanza("perl", "5"))
    debian(b, stanza("bash", "5.2"), stanza("git", "2"), stanza("perl", "5"))
    wheel(a, "flask", "3.0")
    wheel(b, "flask", "3.0")
    wheel(b, "flask", "3.1", "srv/other")
    assert [(c.name, c.before, c.after) for c in diff_roots(a, b).packages] == [
        ("bash", ("5.1",), ("5.2",)),
        ("git", (), ("2",)),
        ("vim", ("9",), ()),
        ("flask", ("3.0",), ("3.0", "3.1")),
    ]


def test_place_of_a_python_package_is_not_its_version(
    pair: tuple[Path, Path],
) -> None:
    """Under another Python the same packages are the same."""
    a, b = pair
    wheel(a, "flask", "3.0", "usr/lib/python3.11")
    wheel(b, "flask", "3.0", "usr/lib/python3.13")
    assert diff_roots(a, b).packages == ()


def test_each_path_is_in_one_list(pair: tuple[Path, Path]) -> None:
    """What is started at boot, what configures, and all else."""
    a, b = pair
    for root in pair:
        for directory in ("etc/systemd/system", "usr/lib/systemd/system"):
            (root / directory).mkdir(parents=True)
        (root / "usr/lib/immutable/services").mkdir(parents=True)
    put(b, "etc/systemd/system/a.service")
    put(b, "usr/lib/systemd/system/b.timer")
    put(b, "usr/lib/immutable/services/shop", mode=0o755)
    put(b, "etc/shop.conf")
    put(b, "etcetera")
    diff = diff_roots(a, b)
    assert [change.path for change in diff.services] == [
        "/etc/systemd/system/a.service",
        "/usr/lib/immutable/services/shop",
        "/usr/lib/systemd/system/b.timer",
    ]
    assert [change.path for change in diff.configuration] == ["/etc/shop.conf"]
    assert [change.path for change in diff.files] == ["/etcetera"]


def test_size_counts_a_file_once(pair: tuple[Path, Path]) -> None:
    """Several names of one file are no more bytes; links and directories are none."""
    a, b = pair
    put(a, "one", "x" * 100)
    (a / "two").hardlink_to(a / "one")
    (a / "three").symlink_to("one")
    diff = diff_roots(a, b)
    assert (diff.size_before_bytes, diff.size_after_bytes) == (100, 0)


# -- what is not read


def test_links_are_not_followed(pair: tuple[Path, Path], tmp_path: Path) -> None:
    """What lies outside is neither read nor counted, not even through a directory."""
    put(tmp_path, "outside/secret", "x" * 1000)
    a, b = pair
    (a / "out").symlink_to(tmp_path / "outside")
    (b / "out").mkdir(mode=0o755)
    diff = diff_roots(a, b)
    assert diff.size_before_bytes == 0
    assert whats(diff) == {"/out": ("kind", "mode")}


def test_root_may_be_reached_by_a_link(pair: tuple[Path, Path], tmp_path: Path) -> None:
    """It is the links inside that are not followed."""
    a, b = pair
    put(b, "x")
    (tmp_path / "link").symlink_to(b)
    assert whats(diff_roots(a, tmp_path / "link")) == {"/x": ("added",)}


def test_pipes_are_not_opened(pair: tuple[Path, Path]) -> None:
    """Whoever opened one would wait for ever."""
    for root in pair:
        os.mkfifo(root / "pipe")
    assert diff_roots(*pair).is_identical


def test_contents_are_read_only_where_needed(pair: tuple[Path, Path]) -> None:
    """One file under two roots, and files of other sizes: a terabyte is not read."""
    a, b = pair
    os.truncate(put(a, "one"), 1 << 40)
    (b / "one").hardlink_to(a / "one")
    os.truncate(put(a, "two"), 1 << 40)
    os.truncate(put(b, "two"), (1 << 40) + 1)
    assert whats(diff_roots(a, b)) == {"/two": ("content",)}


def test_large_contents_are_compared_to_the_end(pair: tuple[Path, Path]) -> None:
    """The last byte of several blocks counts."""
    for root, last in zip(pair, "xy", strict=True):
        put(root, "big", "x" * (3 << 20) + last)
    assert whats(diff_roots(*pair)) == {"/big": ("content",)}


def test_missing_root_is_refused(pair: tuple[Path, Path], tmp_path: Path) -> None:
    """It would be told as an image without files."""
    with pytest.raises(InvalidInput, match="no directory"):
        diff_roots(pair[0], tmp_path / "gone")


@pytest.mark.parametrize("path", ["closed", "file"])
def test_what_may_not_be_read_is_told(path: str) -> None:
    """Nothing that could not be looked at is called equal."""
    with as_nobody() as own:
        for name in "ab":
            put(own / name, "closed/x", "x")
            put(own / name, "file", "x")
            (own / name / path).chmod(0)
        with pytest.raises(PermissionDenied, match="cannot be read"):
            diff_roots(own / "a", own / "b")
        for name in "ab":
            (own / name / path).chmod(0o700)


# -- whose a file is


def test_files_say_their_package(pair: tuple[Path, Path]) -> None:
    """By dpkg's lists, under the name that a merged /usr gives them; and by RECORD."""
    a, b = pair
    for root, content in zip(pair, "xy", strict=True):
        debian(root, stanza("bash", "5"), stanza("libc6", "2"))
        (root / "bin").symlink_to("usr/bin")
        put(root, f"{INFO}/bash.list", "/.\n/bin\n/bin/bash\n/etc/bash.bashrc\n")
        put(root, f"{INFO}/libc6:amd64.list", "/usr/lib/libc.so.6\n")
        put(root, f"{INFO}/bash.md5sums", "x  /usr/bin/other\n")
        put(root, "usr/bin/bash", content)
        put(root, "usr/bin/other", content)
        put(root, "usr/lib/libc.so.6", content)
        put(root, "etc/bash.bashrc", content)
        made = wheel(root, "flask", "3.0", "srv/lib")
        record = '../bin/flask,sha256=x,1\nflask/a.py,,\n"a,b.py",,\n'
        put(root, f"{made.relative_to(root)}/RECORD", record)
        for name in ("bin/flask", "lib/flask/a.py", "lib/a,b.py"):
            put(root, f"srv/{name}", content)
    diff = diff_roots(a, b)
    assert {change.path: change.package for change in diff.paths} == {
        "/etc/bash.bashrc": "bash",
        "/srv/bin/flask": "flask",
        "/srv/lib/a,b.py": "flask",
        "/srv/lib/flask/a.py": "flask",
        "/usr/bin/bash": "bash",
        "/usr/bin/other": "",
        "/usr/lib/libc.so.6": "libc6",
    }


def test_damaged_record_is_passed_over(pair: tuple[Path, Path]) -> None:
    """It says less of whose a file is, and nothing of what differs."""
    for root, content in zip(pair, "xy", strict=True):
        made = wheel(root, "flask", "3.0", "srv")
        put(root, f"{made.relative_to(root)}/RECORD", "one.py,,\n" + "x" * 200_000)
        put(root, "srv/one.py", content)
    (change,) = diff_roots(*pair).paths
    assert change.package == "flask"


def test_links_in_a_circle_are_nobodys(pair: tuple[Path, Path]) -> None:
    """At the top, and in place of dpkg's lists: they are compared, and lead nowhere."""
    a, b = pair
    for root in pair:
        (root / "bin").symlink_to("bin")
        (root / "var").symlink_to("/bin")
    put(b, "x")
    assert whats(diff_roots(a, b)) == {"/x": ("added",)}


# -- how it is told


def test_text_tells_everything_that_is_little(pair: tuple[Path, Path]) -> None:
    """Packages first, then services, configuration and files; no file of a package."""
    a, b = pair
    for root, version in zip(pair, ("5.1", "5.2"), strict=True):
        debian(root, stanza("bash", version))
        put(root, f"{INFO}/bash.list", "/usr/bin/bash\n")
        put(root, "usr/bin/bash", version)
        (root / "usr/lib/immutable/services").mkdir(parents=True)
    put(b, "usr/lib/immutable/services/shop", "x", mode=0o755)
    put(b, "etc/shop.conf", "x" * 1500)
    put(b, "srv", "x")
    put(a, "old", "x")
    text = str(diff_roots(a, b))
    assert text.splitlines()[1:] == [
        "packages",
        "  ~ bash 5.1 → 5.2 (deb, amd64)",
        "services",
        "  + /usr/lib/immutable/services/shop (+1 B)",
        "configuration",
        "  + /etc/shop.conf (+1.5 kB)",
        "files",
        f"  ~ /{STATUS} (content)",
        "  - /old (-1 B)",
        "  + /srv (+1 B)",
        "1 file of the packages above",
    ]
    assert text.splitlines()[0].startswith(
        "1 package, 1 service file, 1 configuration file, 4 other files; "
    )
    assert text.splitlines()[0].endswith("(+1.5 kB)")


def test_text_puts_rights_first(pair: tuple[Path, Path]) -> None:
    """A small set-uid program matters more than a large file."""
    _, b = pair
    put(b, "large", "x" * 10**6)
    put(b, "small", "x", mode=0o4755)
    put(b, "open", mode=0o666)
    lines = str(diff_roots(*pair)).splitlines()
    assert lines[1:] == [
        "files",
        "  + /small (4755, +1 B)",
        "  + /open (0666)",
        "  + /large (+1.0 MB)",
    ]


def test_text_tells_modes(pair: tuple[Path, Path]) -> None:
    """From which to which."""
    for root, mode in zip(pair, (0o644, 0o4755), strict=True):
        put(root, "x", mode=mode)
    assert "~ /x (mode, 0644 → 4755)" in str(diff_roots(*pair))


def test_text_is_bounded() -> None:
    """However much differs, people get what they can read, and how much is left."""
    packages = tuple(
        PackageChange(kind="deb", name=f"p{n}", before=(), after=("1",))
        for n in range(1000)
    )
    paths = tuple(
        PathChange(path=f"/{n:03}" * 1000, before=None, after=FILE) for n in range(1000)
    )
    diff = ImageDiff(
        packages=packages, services=paths, configuration=paths, files=paths
    )
    lines = str(diff).splitlines()
    assert len(lines) <= 66
    assert max(map(len, lines)) < 160
    kinds = ("services", "configuration", "files")
    assert [line for line in lines if line.startswith("  …")] == [
        "  … and 980 more, all in .packages",
        *(f"  … and 988 more, all in .{kind}" for kind in kinds),
    ]
    assert (len(diff.packages), len(diff.files)) == (1000, 1000)
    assert len(repr(diff)) < 60_000


def test_text_puts_other_versions_first() -> None:
    """What came with them is by name, and may be what is left out."""
    names = [f"a{number:02}" for number in range(30)]
    came = tuple(
        PackageChange(kind="deb", name=name, before=(), after=("1",)) for name in names
    )
    moved = PackageChange(kind="deb", name="zlib", before=("1",), after=("2",))
    lines = str(ImageDiff(packages=(*came, moved))).splitlines()
    assert lines[2] == "  ~ zlib 1 → 2 (deb)"
    assert lines[3] == "  + a00 1 (deb)"


@pytest.mark.parametrize(
    ("name", "shown"),
    [
        ("\x1b[2J", r"\x1b[2J"),
        ("a\nb", r"a\nb"),
        ("\udcff", r"\xff"),
        ("\u202e", r"\u202e"),
        ("ä", "ä"),
    ],
)
def test_text_steers_no_terminal(name: str, shown: str) -> None:
    """Names in an image are chosen by whoever made it."""
    change = PathChange(path=f"/{name}", before=None, after=FILE)
    lines = str(ImageDiff(files=(change,))).splitlines()
    assert lines[2] == f"  + /{shown} (+1 B)"


def test_links_give_no_rights(pair: tuple[Path, Path]) -> None:
    """Every link has the mode 0777, and it means nothing; a directory like /tmp is fine."""
    a, b = pair
    (b / "link").symlink_to("x")
    (b / "tmp").mkdir()
    (b / "tmp").chmod(0o1777)
    assert [change.is_privileged for change in diff_roots(a, b).files] == [False, False]


def test_diff_is_the_same_backwards(pair: tuple[Path, Path]) -> None:
    """Before and after are swapped, and nothing else."""
    a, b = pair
    shutil.copytree(debian(a, stanza("bash", "5")), b, dirs_exist_ok=True)
    put(b, "new")
    put(b, STATUS, stanza("bash", "6"))
    there, back = diff_roots(a, b), diff_roots(b, a)
    assert [c.path for c in there.paths] == [c.path for c in back.paths]
    assert there.packages[0].before == back.packages[0].after
    assert there.size_before_bytes == back.size_after_bytes
