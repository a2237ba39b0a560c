"""What a builder left is a stranger's archive: unpacked exactly, or refused."""

import io
import os
import stat
import subprocess
import tarfile
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from immutable.errors import BuildFailed
from immutable_libvirt.building.booted.unpacking import Limits, unpack

LIMITS = Limits(size_bytes=1 << 20, entries=50)
FILE, LINK, HARD = tarfile.REGTYPE, tarfile.SYMTYPE, tarfile.LNKTYPE
OPTIONS = (
    "--create",
    "--format=posix",
    "--sort=name",
    "--numeric-owner",
    "--xattrs",
    "--xattrs-include=*",
    "--pax-option=delete=atime,delete=ctime,delete=mtime",
)
"""As the builder's own program calls tar."""


def member(
    name: str,
    kind: bytes = FILE,
    *,
    to: str = "",
    content: bytes = b"",
    device: tuple[int, int] = (0, 0),
    extended: dict[str, str] | None = None,
) -> tuple[tarfile.TarInfo, bytes]:
    """Return an entry of an archive."""
    entry = tarfile.TarInfo(name)
    entry.type, entry.linkname, entry.size = kind, to, len(content)
    entry.devmajor, entry.devminor = device
    entry.pax_headers = extended or {}
    return entry, content


def archive(*members: tuple[tarfile.TarInfo, bytes]) -> bytes:
    """Return an archive, whatever is wrong with its entries."""
    stream = io.BytesIO()
    with tarfile.open(fileobj=stream, mode="w", format=tarfile.PAX_FORMAT) as made:
        for entry, content in members:
            made.addfile(entry, io.BytesIO(content))
    return stream.getvalue()


def unpacked(data: bytes, target: Path, limits: Limits = LIMITS) -> Path:
    """Return the tree of an archive."""
    unpack(io.BytesIO(data), target, limits)
    return target


ROOT = member(".", tarfile.DIRTYPE)
DIRECTORY = member("./a", tarfile.DIRTYPE)
OUTSIDE = member("./a/link", LINK, to="/tmp")  # noqa: S108 - a link that must not be followed
LARGE = b"x" * (1 << 20)
HOSTILE = {
    "parent": archive(member("../x")),
    "parent below": archive(DIRECTORY, member("./a/../../x")),
    "absolute": archive(member("/etc/x")),
    "dot": archive(DIRECTORY, member("./a/./x")),
    "empty part": archive(DIRECTORY, member("./a//x")),
    "nothing": archive(member("./")),
    "root as a file": archive(member(".")),
    "two roots": archive(member(".", b"5"), member(".", b"5")),
    "through a link": archive(DIRECTORY, OUTSIDE, member("./a/link/x")),
    "over a link": archive(DIRECTORY, OUTSIDE, member("./a/link")),
    "directory over a link": archive(DIRECTORY, OUTSIDE, member("./a/link", b"5")),
    "twice": archive(member("./x"), member("./x")),
    "no directory": archive(member("./a/x")),
    "in a file": archive(member("./a"), member("./a/x")),
    "link to outside": archive(member("./x", HARD, to="/etc/passwd")),
    "link to parent": archive(member("./x", HARD, to="../../etc/passwd")),
    "link to a directory": archive(DIRECTORY, member("./x", HARD, to="./a")),
    "link to itself": archive(member("./x", HARD, to="./x")),
    "link to nothing": archive(member("./x", HARD, to="./y")),
    "character device": archive(member("./x", tarfile.CHRTYPE, device=(1, 3))),
    "block device": archive(member("./x", tarfile.BLKTYPE, device=(8, 0))),
    "block device 0": archive(member("./x", tarfile.BLKTYPE)),
    "unknown kind": archive(member("./x", b"Z")),
    "sparse": archive(member("./x", tarfile.GNUTYPE_SPARSE)),
    "too large": archive(member("./x", content=LARGE), member("./y", content=b"y")),
    "said to be huge": archive(member("./x", extended={"size": "9" * 15})),
    "negative": archive(member("./x", extended={"size": "-5"})),
    "user": archive(member("./x", extended={"uid": str(1 << 32)})),
    "too many": archive(*(member(f"./{n}") for n in range(60))),
    "long name": archive(member("./" + "n" * 256)),
    "long path": archive(member("./" + "n/" * 4000)),
    "nul": archive(member("./x", extended={"path": "./a\0b"})),
    "keyword": archive(member("./x", extended={"GNU.sparse.name": "y"})),
    "attribute": archive(member("./x", extended={"SCHILY.xattr.security.selinux": ""})),
    "directory with content": archive(member("./a", b"5", content=b"x" * 512)),
    "huge header": archive(member("./x", extended={"mtime": "1" * (2 << 20)})),
    "no end": archive(member("./x"))[:512],
    "cut": archive(member("./x", content=b"x" * 2000))[:1024],
    "empty": b"",
    "nothing written": bytes(10240),
    "no root": archive(DIRECTORY, member("./a/x")),
    "nonsense": b"nonsense" * 1000,
}


@pytest.mark.parametrize("kind", HOSTILE)
def test_hostile_archives_are_refused(tmp_path: Path, kind: str) -> None:
    """Nothing is written outside the target, whatever the archive says."""
    beside = tmp_path / "beside"
    beside.mkdir()
    with pytest.raises(BuildFailed, match="what the builder left"):
        unpacked(HOSTILE[kind], beside / "tree")
    assert [path.name for path in beside.iterdir()] == ["tree"]
    assert not Path("/tmp/x").exists()  # noqa: S108 - where the link would have led


@given(st.binary(max_size=3000))
def test_noise_is_refused(
    tmp_path_factory: pytest.TempPathFactory, noise: bytes
) -> None:
    """No bytes raise anything but the one error."""
    target = tmp_path_factory.mktemp("noise") / "tree"
    with pytest.raises(BuildFailed):
        unpacked(noise, target)


@given(st.integers(0, 4000), st.integers(0, 255))
def test_a_changed_byte_raises_nothing_else(
    tmp_path_factory: pytest.TempPathFactory, position: int, value: int
) -> None:
    """A damaged archive is unpacked or refused, and never leaves the target."""
    beside = tmp_path_factory.mktemp("changed")
    data = bytearray(
        archive(ROOT, DIRECTORY, OUTSIDE, member("./a/x", content=b"x" * 700))
    )
    data[position % len(data)] = value
    try:
        unpacked(bytes(data), beside / "tree")
    except BuildFailed as error:
        assert "what the builder left" in str(error)  # noqa: PT017 - both outcomes are right
    assert [path.name for path in beside.iterdir()] == ["tree"]


def tree_of(root: Path) -> dict[str, tuple[object, ...]]:
    """Return all that counts of a tree."""
    found: dict[str, tuple[object, ...]] = {}
    for path in (root, *sorted(root.rglob("*"))):
        status = path.lstat()
        is_file = stat.S_ISREG(status.st_mode)
        found[str(path.relative_to(root))] = (
            oct(status.st_mode),
            (status.st_uid, status.st_gid),
            status.st_nlink,
            status.st_rdev,
            path.read_bytes() if is_file else b"",
            str(path.readlink()) if path.is_symlink() else "",
            {
                name: os.getxattr(path, name, follow_symlinks=False)
                for name in os.listxattr(path, follow_symlinks=False)
            },
        )
    return found


def make_everything(root: Path) -> None:
    """Make one of each thing that a layer may hold."""
    root.mkdir()
    (root / "empty").mkdir(mode=0o700)
    (root / "open").mkdir()
    (root / "open").chmod(0o1777)
    (root / "deep").mkdir()
    (root / "deep" / ("d" * 200)).mkdir()
    (root / "deep" / ("d" * 200) / ("f" * 200)).write_text("long")
    for number, name in enumerate(
        ("-rf", " ", "a\nb", "ü=%3D", os.fsdecode(b"\xff\xfe"))
    ):
        (root / "open" / name).write_bytes(bytes([number]) * 700 * number)
    (root / "suid").write_bytes(b"#!")
    os.chown(root / "suid", 33, 70000)
    (root / "suid").chmod(0o6755)
    os.setxattr(root / "suid", "security.capability", b"\1\0\0\2" + b"\0 " + b"\0" * 14)
    os.setxattr(root / "suid", "user.odd=%3Dname", b"a\n=\0\xff")
    os.setxattr(root / "empty", "trusted.overlay.opaque", b"y")
    os.link(root / "suid", root / "hard")
    (root / "link").symlink_to("../../outside")
    (root / "large link").symlink_to("l" * 300)
    os.mkfifo(root / "pipe")
    os.mknod(root / "gone", stat.S_IFCHR, 0)


@pytest.mark.vm
def test_all_that_a_layer_may_hold_survives(tmp_path: Path) -> None:
    """Modes, owners, links, attributes, deletions and unusual names, by GNU tar."""
    make_everything(tmp_path / "before")
    data = subprocess.run(
        ["tar", *OPTIONS, "--directory", tmp_path / "before", "."],
        stdout=-1,
        check=True,
    ).stdout
    unpacked(data, tmp_path / "after")
    assert tree_of(tmp_path / "after") == tree_of(tmp_path / "before")


@pytest.mark.vm
def test_overlayfs_notes_are_left_out(tmp_path: Path) -> None:
    """Where a file came from, or could be taken from, is nothing that a layer may say."""
    notes = {f"SCHILY.xattr.trusted.overlay.{n}": "x" for n in ("origin", "redirect")}
    entry = member("./a", tarfile.DIRTYPE, extended=notes)
    made = unpacked(archive(ROOT, entry), tmp_path / "tree")
    assert os.listxattr(made / "a") == []
