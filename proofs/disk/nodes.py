"""Files and directories as a power cut may leave them: a model of what syncs promise.

What was synced is there. Of the rest, each sector of each write and each entry of a
directory may be there or not, in any order; a sector may be torn; where a file grew
without its data, there may be anything. A failed sync promises nothing, and what it was
meant to write may have been forgotten by the system: a later sync that succeeds does not
write that either.
"""

from collections.abc import Callable, Mapping

import attrs

SECTOR_BYTES = 512
Choose = Callable[["Change"], bytes | None]
"""What became of a change: its data, less or other data, or None when it is lost."""


@attrs.define(eq=False, kw_only=True)
class Change:
    """A part of an operation that reaches the disk as a whole, or does not."""

    number: int
    """The place of its operation in the history."""
    offset: int = 0
    data: bytes = b""
    cut: bool = False
    """The file ends at the offset."""
    entries: "Mapping[str, Node | None]" = attrs.field(factory=dict)
    """What names in a directory stand for from now on; None for nothing."""
    grows: bool = False
    """So far, nothing of the file is there on the disk."""
    sure: bool = False
    forgotten: bool = False


@attrs.define(eq=False)
class File:
    """A file: what is surely on the disk, and what has been done to it since."""

    durable: bytearray = attrs.field(factory=bytearray)
    changes: list[Change] = attrs.field(factory=list)

    def write(self, number: int, offset: int, data: bytes) -> None:
        """Take in a write, cut where sectors end."""
        start = 0
        while start < len(data):
            at = offset + start
            part = data[start : start + SECTOR_BYTES - at % SECTOR_BYTES]
            grows = at >= len(self.durable)
            change = Change(number=number, offset=at, data=part, grows=grows)
            self.changes.append(change)
            start += len(part)

    def truncate(self, number: int, length: int) -> None:
        """Take in a new length."""
        self.changes.append(Change(number=number, offset=length, cut=True))

    def sync(self) -> None:
        """Take all that is not forgotten for sure."""
        for change in self.changes:
            change.sure = change.sure or not change.forgotten
        while self.changes and self.changes[0].sure:
            change = self.changes.pop(0)
            _apply(self.durable, change, change.data)

    def fail_sync(self) -> None:
        """Forget what has not been written yet; lengths are not forgotten."""
        for change in self.changes:
            change.forgotten = change.forgotten or not (change.sure or change.cut)

    def content(self, choose: Choose) -> bytes:
        """Return what is read after a power cut."""
        content = self.durable.copy()
        for change in self.changes:
            data = change.data if change.sure else choose(change)
            if data is not None:
                _apply(content, change, data)
        return bytes(content)


def _apply(content: bytearray, change: Change, data: bytes) -> None:
    if len(content) < change.offset:
        content.extend(bytes(change.offset - len(content)))
    if change.cut:
        del content[change.offset :]
    else:
        content[change.offset : change.offset + len(data)] = data


@attrs.define(eq=False)
class Folder:
    """A directory: the entries that are surely on the disk, and the changes since."""

    durable: "dict[str, Node]" = attrs.field(factory=dict)
    now: "dict[str, Node]" = attrs.field(factory=dict)
    changes: list[Change] = attrs.field(factory=list)

    def put(self, number: int, entries: "Mapping[str, Node | None]") -> None:
        """Let names stand for something else, all of them at once."""
        change = Change(number=number, entries=entries)
        self.changes.append(change)
        _enter(self.now, change)

    def sync(self) -> None:
        """Take all entries for sure."""
        self.durable = dict(self.now)
        self.changes.clear()

    def fail_sync(self) -> None:
        """Leave entries as unsure as they were."""

    def content(self, choose: Choose) -> "dict[str, Node]":
        """Return the entries that are there after a power cut."""
        entries = dict(self.durable)
        for change in self.changes:
            if choose(change) is not None:
                _enter(entries, change)
        return entries

    def possible(self) -> "tuple[Node, ...]":
        """Return whatever may be found under some name after a power cut."""
        entered = (node for change in self.changes for node in change.entries.values())
        return (*self.durable.values(), *(node for node in entered if node))


Node = File | Folder


def _enter(entries: dict[str, Node], change: Change) -> None:
    for name, node in change.entries.items():
        entries.pop(name, None)
        if node is not None:
            entries[name] = node
