"""The pool: what is in it is whole, and builders do not get into each other's way."""

import multiprocessing
import os
import shutil
import signal
import subprocess
import tempfile
from contextlib import suppress
from multiprocessing.synchronize import Event
from pathlib import Path

import pytest

from immutable.errors import NotEnough, PermissionDenied
from immutable.model import Digest
from immutable_libvirt.durable import read
from immutable_libvirt.pool import Pool

_NOBODY = 65534
FORK = multiprocessing.get_context("fork")


@pytest.fixture
def pool(tmp_path: Path) -> Pool:
    """Return an empty pool with its directories."""
    pool = Pool(tmp_path / "pool")
    pool.prepare()
    return pool


def test_notes_are_read_back(pool: Pool) -> None:
    """What was noted is there, and replaced by a later note."""
    path = pool.build(Digest("a"))
    assert read(path) is None
    pool.note(path, {"content": "1"})
    pool.note(path, {"content": "2"})
    assert read(path) == {"content": "2"}


def test_what_has_a_name_is_on_disk(
    pool: Pool, disk_calls: list[tuple[str, Path]]
) -> None:
    """Contents are brought to disk before they get their name, and then the name."""
    note = pool.build(Digest("a"))
    pool.note(note, {})
    with pool.workspace() as work:
        (work / "made").mkdir()
        pool.publish(work / "made", pool.kernel("b"))
    assert disk_calls[0][1].parent.parent == pool.root / "work"
    assert disk_calls[1:] == [
        ("rename", note),
        ("sync", note.parent),
        ("sync", work / "made"),
        ("rename", pool.kernel("b")),
        ("sync", pool.kernel("b").parent),
    ]
    assert note.stat().st_mode & 0o777 == 0o600


def test_what_cannot_be_named_is_an_error(pool: Pool, tmp_path: Path) -> None:
    """Only a directory that is there already stands for the one that was made."""
    (tmp_path / "made").mkdir()
    pool.kernel("a").touch()
    with pytest.raises(NotADirectoryError):
        pool.publish(tmp_path / "made", pool.kernel("a"))


def test_a_damaged_note_is_none(pool: Pool) -> None:
    """Half a note leads to building again, not to an error."""
    pool.build(Digest("a")).write_text('{"content": ')
    assert read(pool.build(Digest("a"))) is None


def test_only_the_owner_can_look_into_it(pool: Pool) -> None:
    """Layers can be opened by name, nothing can be listed, trees cannot be entered."""
    modes = {path.name: path.stat().st_mode & 0o777 for path in pool.root.iterdir()}
    assert {modes["layers"], modes["kernels"]} == {0o711}
    assert {modes["trees"], modes["images"], modes["work"], modes["cache"]} == {0o700}


def test_workspaces_vanish(pool: Pool) -> None:
    """Unfinished work is gone afterwards, also after an error."""
    with suppress(ZeroDivisionError), pool.workspace() as work:
        (work / "file").touch()
        _ = 1 / 0
    assert list((pool.root / "work").iterdir()) == []


def test_an_existing_directory_is_kept(pool: Pool, tmp_path: Path) -> None:
    """The name of a directory says what is in it, so the first one stays."""
    for content in ("first", "second"):
        made = tmp_path / content
        made.mkdir()
        (made / "file").write_text(content)
        pool.publish(made, pool.kernel("a"))
    assert (pool.kernel("a") / "file").read_text() == "first"


def _work_until_killed(root: Path, ready: Event) -> None:
    with Pool(root).workspace():
        ready.set()
        signal.pause()


def test_only_abandoned_work_is_swept(pool: Pool) -> None:
    """A living builder's workspace stays, a killed one's goes with the next build."""
    ready = FORK.Event()
    builder = FORK.Process(target=_work_until_killed, args=(pool.root, ready))
    builder.start()
    try:
        assert ready.wait(30)
        pool.prepare()
        assert len(list((pool.root / "work").iterdir())) == 1
    finally:
        os.kill(builder.pid or 0, signal.SIGKILL)
        builder.join()
    pool.prepare()
    assert list((pool.root / "work").iterdir()) == []


@pytest.mark.skipif(os.geteuid() != 0, reason="only root mounts")
def test_what_is_mounted_in_abandoned_work_is_not_removed(
    pool: Pool, tmp_path: Path
) -> None:
    """A mount is taken away, and what it shows stays, however it is nested."""
    (tmp_path / "kept" / "inner").mkdir(parents=True)
    (tmp_path / "kept" / "file").touch()
    left = pool.root / "work" / "left"
    (left / "root").mkdir(parents=True)
    for place in (left / "root", left / "root" / "inner"):
        subprocess.run(["mount", "--bind", tmp_path / "kept", place], check=True)
    assert pool.sweep() == (str(left),)
    assert str(left) not in Path("/proc/mounts").read_text()
    assert (tmp_path / "kept" / "file").exists()


def test_nobody_sweeps_while_work_begins(
    pool: Pool, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Between a workspace and its lock no sweep can come, nor the other way round."""
    alone: list[bool] = []
    begin, remove = tempfile.mkdtemp, shutil.rmtree

    def begun(**options: Path) -> str:
        with pool.free("work") as free:
            alone.append(not free)
        return begin(**options)

    def removed(path: Path, **options: bool) -> None:
        with pool.free("work") as free:
            alone.append(not free)
        remove(path, **options)

    monkeypatch.setattr(tempfile, "mkdtemp", begun)
    with pool.workspace():
        pass
    (pool.root / "work" / "left").mkdir()
    monkeypatch.setattr(shutil, "rmtree", removed)
    assert len(pool.sweep()) == 1
    assert alone == [True, True]


@pytest.mark.timeout(30)
def test_a_shared_lock_lets_others_share_it(pool: Pool) -> None:
    """Builders build beside each other; only whoever deletes is alone."""
    with (
        pool.lock("a", shared=True),
        pool.lock("a", shared=True),
        pool.free("a") as alone,
    ):
        assert not alone
    with pool.free("a") as alone:
        assert alone


def _append_alone(root: Path) -> None:
    with Pool(root).lock("key"):
        path = root / "count"
        count = int(path.read_text())
        signal.sigtimedwait([], 0.01)
        path.write_text(str(count + 1))


def test_a_lock_lets_one_process_in(pool: Pool) -> None:
    """No update is lost between processes that read, wait and write."""
    (pool.root / "count").write_text("0")
    processes = [
        FORK.Process(target=_append_alone, args=(pool.root,)) for _ in range(8)
    ]
    for process in processes:
        process.start()
    for process in processes:
        process.join()
    assert (pool.root / "count").read_text() == "8"


def test_too_little_space_is_said_before(pool: Pool) -> None:
    """More than the disk has is refused with what to do."""
    pool.require_space(1)
    with pytest.raises(NotEnough, match=r"pool=/path"):
        pool.require_space(1 << 60)


def test_a_pool_that_cannot_be_written_is_refused(tmp_path: Path) -> None:
    """A path below a file is a typed error that names the pool."""
    (tmp_path / "file").touch()
    with pytest.raises(PermissionDenied, match="file/pool"):
        Pool(tmp_path / "file" / "pool").prepare()


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can become somebody else")
def test_whoever_may_not_read_it_is_told_so(pool: Pool) -> None:
    """A pool is its owner's alone: others get an error with what to do, of our kind."""
    note = pool.root / "builds" / "one.json"
    pool.note(note, {})
    os.seteuid(_NOBODY)
    try:
        with pytest.raises(PermissionDenied, match="cannot be read") as caught:
            read(note)
        with pytest.raises(PermissionDenied, match="cannot be written"):
            pool.sweep()
    finally:
        os.seteuid(0)
    assert "?pool=" in caught.value.hint


def test_a_path_below_a_file_holds_nothing(tmp_path: Path) -> None:
    """The pool's address may be wrong; preparing it says how."""
    (tmp_path / "file").touch()
    assert read(tmp_path / "file" / "one.json") is None
    with pytest.raises(PermissionDenied, match="Not a directory"):
        Pool(tmp_path / "file").prepare()
