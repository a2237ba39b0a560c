"""Reading what the shim wrote down."""

import struct
from collections.abc import Iterator
from mmap import PROT_READ, mmap
from pathlib import Path

from proofs.disk.faults import Kind, Operation

_ENTRY = struct.Struct("<IIBBHiqI")


def read_log(log: Path, directory: Path) -> tuple[Operation, ...]:
    """Return the operations of a run below its directory, in order."""
    with log.open("rb") as file, mmap(file.fileno(), 0, prot=PROT_READ) as data:
        return tuple(_entries(data, str(directory)))


def _entries(data: mmap, directory: str) -> Iterator[Operation]:
    at = 0
    # The rest of the file is zeros.
    while int.from_bytes(data[at : at + 4]):
        number, handle, kind, done, length, error, offset, size = _ENTRY.unpack_from(
            data, at
        )
        start = at + _ENTRY.size + length
        name = data[at + _ENTRY.size : start].decode()
        at = start + size
        content = data[start:at]
        if kind == Kind.RENAME:
            content = content.decode().removeprefix(directory).strip("/").encode()
        yield Operation(
            number=number,
            kind=Kind(kind),
            name=name.removeprefix(directory).strip("/"),
            handle=handle,
            offset=offset,
            data=content,
            done=bool(done),
            error=error,
        )
