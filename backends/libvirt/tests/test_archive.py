"""The archive gives back exactly what was put in, or nothing."""

import fcntl
import hashlib
import shutil
from pathlib import Path

import pytest

from immutable.errors import InvalidInput
from immutable.model import ImageId
from immutable_libvirt.archive import RECORD, Archive
from immutable_libvirt.building.recording import read_record
from immutable_libvirt.pool import Pool

IMAGE = ImageId("img-0123456789abcdef")


@pytest.fixture
def archive(tmp_path: Path) -> Archive:
    """Return an empty archive."""
    archive = Archive.of(Pool(tmp_path / "pool"))
    archive.prepare()
    return archive


@pytest.fixture
def package(tmp_path: Path) -> Path:
    """Return a file that stands for a package."""
    path = tmp_path / "hello_1_all.deb"
    path.write_bytes(b"hello")
    return path


def test_it_lies_beside_the_pool(archive: Archive, tmp_path: Path) -> None:
    """Removing the pool removes nothing of it."""
    assert archive.root == tmp_path / "pool.archive"


def test_what_is_kept_is_found_by_its_hash(archive: Archive, package: Path) -> None:
    """A package is there under its SHA-256, whatever became of the original."""
    digest = archive.add_package(package)
    package.unlink()
    assert digest == hashlib.sha256(b"hello").hexdigest()
    found = archive.package(digest)
    assert found is not None
    assert found.read_bytes() == b"hello"
    assert archive.source(digest) is None


def test_a_changed_file_counts_as_never_kept(archive: Archive, package: Path) -> None:
    """It is removed, and kept again when it is added again."""
    digest = archive.add_package(package)
    kept = archive.root / "packages" / digest
    kept.write_bytes(b"jello")
    assert archive.package(digest) is None
    assert not kept.exists()
    archive.add_package(package)
    assert archive.package(digest) == kept


def test_what_is_kept_is_on_disk(
    archive: Archive, package: Path, disk_calls: list[tuple[str, Path]]
) -> None:
    """Contents are brought to disk before they get their name, and then the name."""
    digest = archive.add_package(package)
    work, *then = disk_calls
    assert work[0] == "sync"
    assert work[1].parent == archive.root / "work"
    assert then == [
        ("rename", archive.root / "packages" / digest),
        ("sync", archive.root / "packages"),
    ]


def test_what_was_copied_gives_the_name(
    archive: Archive, package: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A file that was another one while it was copied is not kept as the first."""
    copy = shutil.copyfile

    def copied(source: Path, target: Path) -> None:
        source.write_bytes(b"jello")
        copy(source, target)
        source.write_bytes(b"hello")

    monkeypatch.setattr(shutil, "copyfile", copied)
    assert archive.package(archive.add_package(package)) is None
    assert archive.package(hashlib.sha256(b"jello").hexdigest()) is not None


def test_what_another_builder_mends_meanwhile_stays(
    archive: Archive, package: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A damaged file is looked at again when nobody else can write it any more."""
    digest = archive.add_package(package)
    kept = archive.root / "packages" / digest
    kept.write_bytes(b"jello")
    lock = fcntl.flock

    def waited(descriptor: int, how: int) -> None:
        lock(descriptor, how)
        kept.write_bytes(b"hello")

    monkeypatch.setattr(fcntl, "flock", waited)
    archive.package(digest)
    assert kept.read_bytes() == b"hello"


def test_a_damaged_record_is_named(archive: Archive) -> None:
    """Whoever has to mend it is told which file it is."""
    archive.keep(IMAGE, RECORD, b'{"schema": 1, "ima')
    with pytest.raises(InvalidInput, match="is no record") as caught:
        read_record(archive, IMAGE)
    assert str(archive.root / "records" / IMAGE / RECORD) in caught.value.message


@pytest.mark.parametrize("name", ["", "..", "../records", "a" * 63, "A" * 64])
def test_only_hashes_are_names(archive: Archive, name: str) -> None:
    """Nothing outside the store can be asked for."""
    assert archive.package(name) is None
    assert archive.source(name) is None


def test_documents_are_replaced_whole(archive: Archive) -> None:
    """The last one is what is there, and an image without one has none."""
    assert archive.kept(IMAGE, "sbom.json") is None
    archive.keep(IMAGE, "sbom.json", b"1")
    archive.keep(IMAGE, "sbom.json", b"2")
    assert archive.kept(IMAGE, "sbom.json") == b"2"
    assert archive.kept(ImageId("../records/img-0123456789abcdef"), "sbom.json") is None
    assert archive.images() == ()
    archive.keep(IMAGE, "record.json", b"{}")
    assert archive.images() == (IMAGE,)


def test_unfinished_work_is_swept(archive: Archive) -> None:
    """What a dead builder left is gone with the next preparation."""
    (archive.root / "work" / "abandoned").mkdir()
    (archive.root / "work" / "abandoned" / "half").write_bytes(b"h")
    (archive.root / "work" / "file").touch()
    assert len(archive.sweep()) == 2
    assert archive.sweep() == ()
    assert list((archive.root / "work").iterdir()) == []


def test_others_cannot_look_into_it(archive: Archive, package: Path) -> None:
    """Sources may be anything, so all of it is for its owner alone."""
    digest = archive.add_package(package)
    modes = {path.stat().st_mode & 0o777 for path in archive.root.iterdir()}
    assert modes == {0o700}
    assert (archive.root / "packages" / digest).stat().st_mode & 0o777 == 0o600
