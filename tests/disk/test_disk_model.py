"""The model of power cuts: what must survive one, and what may not."""

import random

from proofs.disk.faults import Kind, Operation
from proofs.disk.power import Disk, Image
from proofs.disk.states import certain, drawn

DATA = bytes(range(256)) * 6
A, B = b"a" * 512, b"b" * 512


class History:
    """Operations on one file, in the order in which they are called."""

    def __init__(self) -> None:
        self.disk = Disk()
        self._number = 0

    def then(self, kind: Kind, name: str = "f", **fields: object) -> None:
        """Let another operation follow."""
        self._number += 1
        operation = Operation(number=self._number, kind=kind, name=name, **fields)
        self.disk.follow(operation)

    def make(self, *, synced: bool = True) -> None:
        """Make the file, and sync its name."""
        self.then(Kind.OPEN, handle=self._number + 1, offset=1)
        self.file = self._number
        if synced:
            self.sync_names()

    def sync_names(self, **fields: object) -> None:
        """Sync the directory."""
        self.then(Kind.OPEN, name="", handle=self._number + 1)
        self.then(Kind.SYNC, name="", handle=self._number, **fields)

    def write(self, data: bytes, offset: int = 0) -> None:
        """Write into the file."""
        self.then(Kind.WRITE, handle=self.file, offset=offset, data=data)

    def sync(self, **fields: object) -> None:
        """Sync the file."""
        self.then(Kind.SYNC, handle=self.file, **fields)

    def contents(self) -> set[bytes | None]:
        """Return what the file may hold, None for no file, by all means of choosing."""
        draw = random.Random(5)
        images = {*certain(self.disk), *(drawn(self.disk, draw) for _ in range(400))}
        return {_content(image) for image in images}


def _content(image: Image) -> bytes | None:
    return dict(image).get("f")


def test_synced_is_there() -> None:
    """What was written and synced, under a name that was synced, is always there."""
    history = History()
    history.make()
    history.write(DATA)
    history.sync()
    assert history.contents() == {DATA}


def test_unsynced_name_may_be_lost() -> None:
    """Syncing a file does not sync its name."""
    history = History()
    history.make(synced=False)
    history.write(DATA)
    history.sync()
    assert history.contents() == {DATA, None}


def test_unsynced_end_of_a_name_may_come_back() -> None:
    """A file that was removed is there again until its directory is synced."""
    history = History()
    history.make()
    history.write(A)
    history.sync()
    history.then(Kind.UNLINK)
    assert history.contents() == {A, None}
    history.sync_names()
    assert history.contents() == {None}


def test_unsynced_write_may_be_lost_in_parts() -> None:
    """Of a write without a sync, any sectors are there, in any order, even torn."""
    history = History()
    history.make()
    history.write(A + A)
    history.sync()
    history.write(B + B)
    found = history.contents()
    assert {A + A, A + B, B + A, B + B} <= found
    assert any(
        each and b"b" in each and each[0:1] == b"b" != each[511:512] for each in found
    )
    assert all(each and len(each) == len(A + A) for each in found)


def test_growth_may_hold_anything() -> None:
    """Where a file grew without its data there may be nothing, zeros, or garbage."""
    history = History()
    history.make()
    history.write(A + B)
    found = history.contents()
    assert {b"", A, bytes(512) + B, A + B} <= found
    assert any(each and each[:1] not in b"ab\0" for each in found)


def test_truncation_may_be_lost() -> None:
    """A file is as long as before, or as it was cut, until it is synced."""
    history = History()
    history.make()
    history.write(A + B)
    history.sync()
    history.then(Kind.TRUNCATE, handle=history.file, offset=512)
    assert history.contents() == {A + B, A}
    history.sync()
    assert history.contents() == {A}


def test_failed_sync_forgets() -> None:
    """After a sync failed, one that succeeds does not bring back what was to be synced."""
    history = History()
    history.make()
    history.write(A)
    history.sync()
    history.write(B)
    history.sync(done=False, error=5)
    history.sync()
    assert {A, B} <= history.contents()
    history.write(B)
    history.sync()
    assert history.contents() == {B}


def test_failed_sync_of_names_promises_nothing() -> None:
    """Entries of a directory are as unsure as before, until a sync succeeds."""
    history = History()
    history.make(synced=False)
    history.sync_names(done=False, error=5)
    assert None in history.contents()
    history.sync_names()
    assert None not in history.contents()


def test_failed_operation_changes_nothing() -> None:
    """What failed and was not done is not on the disk."""
    history = History()
    history.make()
    history.then(
        Kind.WRITE, handle=history.file, offset=0, data=b"", done=False, error=5
    )
    history.then(Kind.UNLINK, done=False, error=5)
    assert history.contents() == {b""}


def test_what_is_below_a_lost_directory_is_lost() -> None:
    """A file is gone with its directory, though it and its name were synced."""
    disk = Disk()
    for number, (kind, name, handle) in enumerate(
        [
            (Kind.MKDIR, "d", 0),
            (Kind.MKNOD, "d/f", 0),
            (Kind.OPEN, "d", 3),
            (Kind.SYNC, "d", 3),
        ],
        start=1,
    ):
        disk.follow(Operation(number=number, kind=kind, name=name, handle=handle))
    assert set(certain(disk)) == {(), (("d", None), ("d/f", b""))}
