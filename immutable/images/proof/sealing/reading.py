"""What is wrong with a file's content, read once, in blocks, in bounded memory."""

import bz2
import gzip
import io
import lzma
import re
import zlib
from collections.abc import Callable, Iterator
from pathlib import PurePosixPath
from typing import BinaryIO

import attrs

from immutable.images.proof.entropy import (
    assignments,
    is_secret,
    is_secret_name,
    passwords_in_addresses,
)
from immutable.images.proof.sealing.shipped import Shipped
from immutable.images.proof.sealing.walking import Seen
from immutable.images.proof.tokens import LONGEST_BYTES, tokens_in
from immutable.images.unbooted import opened

BLOCK_BYTES = 1 << 20
CONFIGURATION_LIMIT_BYTES = 64 << 10
UNPACKED_LIMIT_BYTES = 256 << 20
"""Of a compressed file more than this is not looked at, and that is said."""
_SUFFIXES = frozenset(
    {
        *("", ".cfg", ".cnf", ".conf", ".config", ".credentials", ".env", ".ini"),
        *(".json", ".key", ".local", ".properties", ".secret", ".service", ".sh"),
        *(".tfvars", ".toml", ".token", ".txt", ".yaml", ".yml"),
    }
)
# Programs, libraries and documentation are not configuration, whatever they are called.
_ELSEWHERE = re.compile(
    r"^/(?:usr/(?!local/|lib/immutable/)|lib(?:32|64|x32)?/|s?bin/|boot/"
    r"|var/lib/(?:dpkg|apt)/)"
)
_XZ_MEMORY_BYTES = 128 << 20
_LISTS_OF_USERS = frozenset({"passwd", "passwd-"})
_ARCHIVES = (b"PK\x03\x04", b"\x28\xb5\x2f\xfd", b"7z\xbc\xaf", b"!<arch>\ndebian")

_BROKEN = (EOFError, zlib.error, lzma.LZMAError, gzip.BadGzipFile)


class NotRead(Exception):
    """A file was not read to its end, and why."""


@attrs.define
class Tally:
    """What has been looked at, to be told."""

    files: int = 0
    size_bytes: int = 0
    shipped: int = 0
    archives: int = 0


def wrong_by_content(
    seen: Seen, shipped: Shipped, tally: Tally
) -> Iterator[tuple[str, str]]:
    """Yield the rules that refuse a regular file for what it says, each with what to say.

    A file as its package brought it is counted, and not searched.

    Raises:
        NotRead, OSError: it could not be looked at, or not to its end.
    """
    with opened(seen.path) as stream:
        if shipped.has_unchanged(seen.name, stream):
            tally.shipped += 1
            return
        tally.files += 1
        head = stream.read(BLOCK_BYTES)
        yield from _secrets(_blocks(head, stream, tally))
        if seen.status.st_size <= CONFIGURATION_LIMIT_BYTES:
            yield from _settings(seen.name, head)
        stream.seek(0)
        yield from _inside(head, stream, tally)


def _inside(head: bytes, stream: BinaryIO, tally: Tally) -> Iterator[tuple[str, str]]:
    for magic, unpack in _COMPRESSED:
        if head.startswith(magic):
            for rule, detail in _secrets(_unpacked(unpack(stream), tally)):
                yield rule, f"{detail}, unpacked"
    tally.archives += head.startswith(_ARCHIVES)


def _unpacked(blocks: Iterator[bytes], tally: Tally) -> Iterator[bytes]:
    total = 0
    try:
        for block in blocks:
            total += len(block)
            if total > UNPACKED_LIMIT_BYTES:
                raise NotRead(f"unpacks to more than {UNPACKED_LIMIT_BYTES} bytes")
            tally.size_bytes += len(block)
            yield block
    except _BROKEN:
        # It begins like a compressed file; as it stands it has been looked at.
        tally.archives += 1


def _gunzip(stream: BinaryIO) -> Iterator[bytes]:
    with gzip.GzipFile(fileobj=stream) as unpacked:
        while block := unpacked.read(BLOCK_BYTES):
            yield block


def _bunzip(stream: BinaryIO) -> Iterator[bytes]:
    return _each(stream, bz2.BZ2Decompressor)


def _unxz(stream: BinaryIO) -> Iterator[bytes]:
    # Not LZMAFile: a file of a few bytes can ask that for gigabytes of memory.
    return _each(stream, lambda: lzma.LZMADecompressor(memlimit=_XZ_MEMORY_BYTES))


def _each(
    stream: BinaryIO,
    begin: Callable[[], bz2.BZ2Decompressor | lzma.LZMADecompressor],
) -> Iterator[bytes]:
    """Yield what is in each of the compressed streams that a file may consist of."""
    unpacker, packed = begin(), stream.read(BLOCK_BYTES)
    while packed or not unpacker.needs_input:
        try:
            yield unpacker.decompress(packed, BLOCK_BYTES)
        except OSError as exc:
            # This is how bz2 says that the data are no bzip2.
            raise EOFError from exc
        packed = b""
        if unpacker.eof:
            # Between two of xz there may be zeros.
            packed = unpacker.unused_data.lstrip(b"\0") or stream.read(BLOCK_BYTES)
            if not packed:
                return
            unpacker = begin()
        elif unpacker.needs_input:
            packed = stream.read(BLOCK_BYTES)
    raise EOFError


_COMPRESSED: tuple[tuple[bytes, Callable[[BinaryIO], Iterator[bytes]]], ...] = (
    (b"\x1f\x8b", _gunzip),
    (b"BZh", _bunzip),
    (b"\xfd7zXZ\0", _unxz),
)


def _blocks(head: bytes, stream: BinaryIO, tally: Tally) -> Iterator[bytes]:
    while head:
        tally.size_bytes += len(head)
        yield head
        head = stream.read(BLOCK_BYTES)


def _secrets(blocks: Iterator[bytes]) -> Iterator[tuple[str, str]]:
    """Yield each kind of secret once, with the place where it begins."""
    known: set[str] = set()
    tail, place = b"", 0
    for block in blocks:
        window = tail + block
        for match in tokens_in(window):
            if match.kind not in known:
                known.add(match.kind)
                rule = "private-key" if match.kind == "private key" else "secret"
                yield rule, f"{_article(match.kind)} at byte {place + match.start}"
        tail = window[-LONGEST_BYTES:]
        place += len(window) - len(tail)


def _settings(name: str, data: bytes) -> Iterator[tuple[str, str]]:
    if not _is_configuration(name) or b"\0" in data:
        return
    try:
        text = data.decode()
    except UnicodeDecodeError:
        return
    for number, line in enumerate(io.StringIO(text), start=1):
        for found in assignments(line):
            if is_secret(found.name, found.value):
                yield "entropy", f"line {number}: the value of {found.name}"
        for found in passwords_in_addresses(line):
            if is_secret(found.name, found.value):
                yield "entropy", f"line {number}: a password in an address"
    stem = PurePosixPath(name).name
    named = is_secret_name(stem) and stem not in _LISTS_OF_USERS
    if named and is_secret(stem, text.strip()):
        yield "entropy", "the whole content is one secret"


def _is_configuration(name: str) -> bool:
    path = PurePosixPath(name)
    plain = path.suffix in _SUFFIXES or path.name.startswith((".env", "."))
    return plain and not _ELSEWHERE.match(name)


def _article(kind: str) -> str:
    return f"{'an' if kind[0] in 'AE' else 'a'} {kind}"
