"""What a builder is handed: its work as one tar archive, equal for equal work.

For each piece of work, by its number in four digits:

- ``0000/run``: a script for ``/bin/sh``, to be run in the root of the tree;
- ``0000/handed/NAME``: what the work finds as ``/run/NAME``, read-only, unless there is
- ``0000/writable/NAME``: the same where it may be written; what is written is dropped.

Numbers without a gap; the first one that is missing is the end. All belongs to root.
"""

import functools
import io
import shlex
import tarfile
from pathlib import Path
from typing import BinaryIO

from immutable.baking import Bake, Work
from immutable.errors import InvalidInput
from immutable.images.layers import Files, Layer, Run

PLAIN = (
    ("HOME", "/root"),
    ("LC_ALL", "C.UTF-8"),
    ("PATH", "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"),
)
"""The environment of all work, before its own variables."""
_PLACE = """\
mkdir -p "$1"
tar -C /run/files -cf - . | tar -C "$1" -xpf - --no-overwrite-dir --keep-directory-symlink
"""
_PROGRAM = 0o755
_EPOCH = 315532800  # 1980: the oldest that zip can hold


def work_of(layer: Layer) -> Work | None:
    """Return the work that makes a layer, where that needs no knowledge of a backend.

    Commands, and files of root's that are copied whole. None for all others: how
    packages are resolved, or what starts a service, the backend has to know.
    """
    match layer:
        case Run():
            return Work(
                what=repr(layer.command),
                argv=("/bin/sh", "-ec", layer.command),
                network=layer.network,
                deadline=layer.deadline,
            )
        case Files(owner="", exclude=()) if layer.source.is_dir():
            return Work(
                what=f"copying {layer.source} to {layer.target}",
                argv=("/bin/sh", "-ec", _PLACE, "sh", str(layer.target)),
                handed=(("files", layer.source),),
            )
        case _:
            return None


def write_bundle(
    bake: Bake, stream: BinaryIO, *, plain: tuple[tuple[str, str], ...] = PLAIN
) -> None:
    """Write the archive that hands over a bake's work.

    Args:
        bake: the work.
        stream: where to, at its beginning.
        plain: the environment of all work.

    Raises:
        InvalidInput: what is to be handed over is no file, directory or link.
    """
    # Not PAX: BusyBox does not read its long names, and it is what some builders have.
    with tarfile.open(
        fileobj=stream, mode="w", format=tarfile.GNU_FORMAT, encoding="utf-8"
    ) as archive:
        for number, work in enumerate(bake.works):
            _add_work(archive, f"{number:04}", work, plain)


def _add_work(
    archive: tarfile.TarFile,
    place: str,
    work: Work,
    plain: tuple[tuple[str, str], ...],
) -> None:
    script = _script(work, plain).encode(errors="surrogateescape")
    entry = tarfile.TarInfo(f"{place}/run")
    entry.size, entry.mode, entry.mtime = len(script), _PROGRAM, _EPOCH
    archive.addfile(entry, io.BytesIO(script))
    for name, path in sorted(work.handed):
        bare, _, right = name.partition(":")
        kind = "writable" if right == "rw" else "handed"
        _add(archive, path.resolve(), f"{place}/{kind}/{bare}")


def _script(work: Work, plain: tuple[tuple[str, str], ...]) -> str:
    given = [f"{name}={value}" for name, value in (*plain, *work.variables)]
    command = ["/usr/bin/env", "-i", *given, *work.argv]
    return f"#!/bin/sh\nexec {shlex.join(command)}\n"


def _add(archive: tarfile.TarFile, path: Path, name: str) -> None:
    """Add a file, or a tree in order of name."""
    if path.is_symlink() or path.is_file() or path.is_dir():
        whole = functools.partial(_whole, path)
        archive.add(path, name, recursive=False, filter=whole)
    else:
        raise InvalidInput(
            f"{path} cannot be handed to a builder: it is no file, directory or link",
            hint="leave it out of the tree",
        )
    if path.is_dir() and not path.is_symlink():
        for child in sorted(path.iterdir()):
            _add(archive, child, f"{name}/{child.name}")


def _whole(path: Path, entry: tarfile.TarInfo) -> tarfile.TarInfo:
    """Leave out whose it was, and when, and which other names it has here."""
    if entry.islnk():
        entry.type, entry.linkname = tarfile.REGTYPE, ""
        entry.size = path.stat().st_size
    entry.uid = entry.gid = 0
    entry.uname = entry.gname = ""
    entry.mtime = _EPOCH
    return entry
