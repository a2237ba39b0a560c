"""What can go wrong with one operation on a file, and everything that should be tried."""

import enum
import errno
from collections.abc import Iterator

import attrs


class Kind(enum.IntEnum):
    """What a program does to files; the numbers are those of shim.c."""

    MKDIR = 1
    MKNOD = 2
    OPEN = 3
    WRITE = 4
    TRUNCATE = 5
    SYNC = 6
    UNLINK = 7
    RENAME = 8
    READ = 9


class Fault(enum.IntEnum):
    """What becomes of the operation that is struck; the numbers are those of shim.c."""

    NONE = 0
    FAIL = 1
    """It fails and does nothing."""
    FAIL_DONE = 2
    """It fails although it was done."""
    FAIL_FROM = 3
    """It and all that follow fail."""
    FULL_FROM = 4
    """It and all that follow and need space fail for want of it."""
    KILL_BEFORE = 5
    KILL_AFTER = 6
    TORN = 7
    """The first bytes are written, and the process is killed."""
    SHORT = 8
    """The first bytes are written, and the program is told how many."""
    SHORT_THEN_FULL = 9
    """As SHORT, and from then on there is no space."""
    NO_FILES_FROM = 10
    """It and all that follow and open a file fail: the process has too many open."""


KILLS = frozenset({Fault.KILL_BEFORE, Fault.KILL_AFTER, Fault.TORN})
_SECTOR_BYTES = 512


@attrs.frozen(kw_only=True)
class Operation:
    """One operation as the shim logged it."""

    number: int
    """From 1 in each run, counting also those that only read."""
    kind: Kind
    name: str
    """The path below the run's directory; empty for the directory itself."""
    handle: int = 0
    """The number of the operation that opened the file."""
    offset: int = 0
    """Where in the file; for an OPEN, 1 when it made the file."""
    data: bytes = b""
    """What was written; for a RENAME, the new name."""
    done: bool = True
    error: int = 0

    @property
    def changes(self) -> bool:
        """Whether the disk can be another afterwards: then it must be killed here."""
        if self.kind is Kind.OPEN:
            return self.offset == 1
        return self.kind is not Kind.READ


@attrs.frozen(kw_only=True)
class Strike:
    """A fault, and the number of the operation that it strikes."""

    number: int = 0
    fault: Fault = Fault.NONE
    error: int = 0
    size_bytes: int = 0
    """How much is still written where the fault is to write a part."""

    def __str__(self) -> str:
        """Return it in the form in which reports name it."""
        error = f" {errno.errorcode[self.error]}" if self.error else ""
        size = f" {self.size_bytes} bytes" if self.size_bytes else ""
        return f"{self.fault.name}{error}{size} at operation {self.number}"


def strikes_at(operation: Operation) -> Iterator[Strike]:
    """Yield every fault that should be tried at an operation."""
    number = operation.number
    for error in _errors(operation):
        yield Strike(number=number, fault=Fault.FAIL, error=error)
    yield Strike(number=number, fault=Fault.FAIL_FROM, error=errno.EIO)
    if operation.kind is Kind.OPEN:
        yield Strike(number=number, fault=Fault.NO_FILES_FROM)
    if operation.changes:
        yield Strike(number=number, fault=Fault.KILL_BEFORE)
        yield Strike(number=number, fault=Fault.KILL_AFTER)
        if operation.kind is not Kind.SYNC:
            yield Strike(number=number, fault=Fault.FAIL_DONE, error=errno.EIO)
            yield Strike(number=number, fault=Fault.FULL_FROM)
    if operation.kind is Kind.WRITE:
        yield from _partial(number, len(operation.data))


def kills_at(operation: Operation) -> Iterator[Strike]:
    """Yield the faults at an operation that end the process."""
    return (strike for strike in strikes_at(operation) if strike.fault in KILLS)


def _errors(operation: Operation) -> tuple[int, ...]:
    match operation.kind:
        case Kind.READ:
            return (errno.EIO,)
        case Kind.OPEN:
            return (errno.EIO, errno.EMFILE, errno.ENOSPC)
        case _:
            # Where space is given out late, it is a sync that finds none.
            return (errno.EIO, errno.ENOSPC)


def _partial(number: int, size: int) -> Iterator[Strike]:
    half = size // 2
    sectors = {half - half % _SECTOR_BYTES, _SECTOR_BYTES}
    for part in sorted({1, half | 1, size - 1, *sectors} & set(range(1, size))):
        yield Strike(number=number, fault=Fault.TORN, size_bytes=part)
    if half:
        yield Strike(number=number, fault=Fault.SHORT, size_bytes=half)
        yield Strike(number=number, fault=Fault.SHORT_THEN_FULL, size_bytes=half)
