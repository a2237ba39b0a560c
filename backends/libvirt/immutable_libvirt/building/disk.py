"""Disks that other tools made: what is accepted, and how it gets into the pool.

A disk image is a program for whoever opens it: it can name other files, of the host too,
as parts of itself. So the format is stated and never guessed, the header is read here
before QEMU sees the file, and QEMU's own look at it is limited in time and memory.
"""

import json
import stat
import struct
from pathlib import Path
from typing import cast, get_args

import attrs

from immutable.errors import InvalidInput, NotEnough
from immutable.model import Digest
from immutable_libvirt.bootable import Format
from immutable_libvirt.building.erofs import content_digest
from immutable_libvirt.building.process import Output, capture, run
from immutable_libvirt.pool import Pool

_SECTOR = 512
_SIGNATURE = b"\x55\xaa"
# https://www.qemu.org/docs/master/interop/qcow2.html: the fields up to the encryption,
# and from version 3 on the features without which the file cannot be read.
_HEADER, _FEATURES = struct.Struct(">4sIQIIQI"), struct.Struct(">Q")
_FEATURES_AT, _WITH_FEATURES = 72, 3
_EXTERNAL_DATA = 1 << 2
_LIMITS = ("prlimit", f"--as={1 << 30}", "--cpu=30", "--")


@attrs.frozen(kw_only=True)
class WholeDisk:
    """A disk of the pool that the firmware boots from, known by its bytes."""

    content: Digest
    format: Format
    virtual_bytes: int


def format_of(name: str) -> Format:
    """Return a format by its name.

    Raises:
        InvalidInput: it is none that is accepted.
    """
    for known in get_args(Format):
        if name == known:
            return cast("Format", known)
    raise _refused(f"a disk of the format {name!r}", "make it qcow2 or raw")


@attrs.frozen(kw_only=True)
class Taking:
    """A pool, a workspace in it, and how large a disk may be for its guest."""

    pool: Pool
    work: Path
    limit_bytes: int
    on_output: Output

    def take(self, path: Path, disk_format: Format) -> WholeDisk:
        """Copy a disk into the pool, if it is whole in itself; return what it is.

        Args:
            path: the disk; it stays where it is.
            disk_format: what it is said to be.

        Raises:
            InvalidInput: it is something else, or depends on another file.
            NotEnough: it is larger than is allowed, or the pool has no room for it.
        """
        copy = self._copied(path)
        size = check(copy, disk_format)
        if size > self.limit_bytes:
            raise NotEnough(
                f"the disk would have {size} bytes, and {self.limit_bytes} is the most",
                hint=f"allow more with ?max_image_gib={(size >> 30) + 1}",
                operation="images.build",
                backend="libvirt",
            )
        content = content_digest(copy)
        copy.chmod(0o444)
        self.pool.publish(copy, self.pool.disk(content, disk_format))
        return WholeDisk(content=content, format=disk_format, virtual_bytes=size)

    def _copied(self, path: Path) -> Path:
        if not stat.S_ISREG(path.lstat().st_mode):
            raise _refused(f"{path}, which is no file", "name the disk itself")
        self.pool.require_space(path.stat().st_size)
        copy = self.work / "disk"
        # What is looked at is what is kept, whoever writes to the original meanwhile.
        sparse = ["--sparse=always", "--reflink=auto"]
        run(
            ["cp", *sparse, "--", path, copy],
            what=f"copying {path.name}",
            on_output=self.on_output,
        )
        return copy


def check(path: Path, disk_format: Format) -> int:
    """Check that a disk is what it is said to be and needs no other file.

    Returns its size for the guest, in bytes.

    Raises:
        InvalidInput: it is not.
    """
    with path.open("rb") as stream:
        start = stream.read(_SECTOR)
    if disk_format == "qcow2":
        _check_header(start)
    elif start[-len(_SIGNATURE) :] != _SIGNATURE:
        raise _refused("a raw disk without a boot sector", "is it a qcow2 file?")
    return _size_by_qemu(path, disk_format)


def _check_header(start: bytes) -> None:
    if len(start) < _SECTOR or not start.startswith(b"QFI\xfb"):
        raise _refused("a disk that is no qcow2", "state its format as raw?")
    _, version, backing, _, _, _, encryption = _HEADER.unpack_from(start)
    features = 0
    if version >= _WITH_FEATURES:
        (features,) = _FEATURES.unpack_from(start, _FEATURES_AT)
    if backing or features & _EXTERNAL_DATA:
        raise _refused("a disk that consists of several files", "qemu-img convert it")
    if encryption:
        raise _refused("an encrypted disk", "nobody could give instances the key")


def _size_by_qemu(path: Path, disk_format: Format) -> int:
    look = ["qemu-img", "info", "--output=json", "-f", disk_format, str(path)]
    found = json.loads(capture([*_LIMITS, *look], variables={}))
    if "backing-filename" in found or found.get("encrypted"):
        raise _refused("a disk that consists of several files", "qemu-img convert it")
    return int(found["virtual-size"])


def _refused(what: str, hint: str) -> InvalidInput:
    return InvalidInput(
        f"the libvirt backend does not take {what}",
        hint=hint,
        operation="images.build",
        backend="libvirt",
    )
