"""What instances said, read from the files that stay when they are gone."""

import re
from collections.abc import Iterator
from pathlib import Path

import attrs

from immutable.errors import InvalidInput, PermissionDenied
from immutable.model import FleetName, InstanceId, InstanceLog
from immutable_libvirt.errors import BACKEND
from immutable_libvirt.facts import check_name

# A terminal obeys control characters, so a guest could write to whoever reads its log.
# Lines end in \r\n on a serial port; a lone \r would overwrite what stands before it.
_CONTROL = re.compile(r"[\x00-\x08\x0b-\x1f\x7f-\x9f\u2028-\u202e\u2066-\u2069]")
# virtlogd starts a new file every 2 MiB and keeps three more: x.log.0 is the newest.
_OLDER = (".0", ".1", ".2")


@attrs.frozen(kw_only=True)
class LibvirtLogs:
    """The console and the journal of each instance: `immutable.protocols.Logs`."""

    pool: Path

    def read(self, fleet: FleetName, *, tail_bytes: int) -> tuple[InstanceLog, ...]:
        """Return the end of each instance's console and journal, in order of id.

        Args:
            fleet: which may be long gone.
            tail_bytes: at most so many of each file.

        Raises:
            InvalidInput: no fleet can have this name, or the number is negative.
            PermissionDenied: the logs belong to another user.
        """
        if tail_bytes < 0:
            raise InvalidInput(f"tail_bytes={tail_bytes}", hint="give 0 or more")
        try:
            return tuple(self._read(FleetName(check_name(fleet)), tail_bytes))
        except PermissionError as exc:
            raise _denied(exc) from exc

    def _read(self, fleet: FleetName, tail_bytes: int) -> Iterator[InstanceLog]:
        for directory in _directories(self.pool / "logs" / fleet):
            yield InstanceLog(
                instance=InstanceId(directory.name),
                fleet=fleet,
                console=harmless(_tail(directory / "console.log", tail_bytes)),
                journal=harmless(_tail(directory / "journal.log", tail_bytes)),
            )


def harmless(content: bytes) -> str:
    """Return text in which nothing but newline and tab controls a terminal."""
    text = content.decode("utf-8", errors="replace").replace("\r\n", "\n")
    return _CONTROL.sub(lambda found: _escaped(found.group()), text)


def _escaped(character: str) -> str:
    return character.encode("unicode_escape").decode("ascii")


def _directories(path: Path) -> list[Path]:
    try:
        return sorted(entry for entry in path.iterdir() if entry.is_dir())
    except FileNotFoundError:
        return []


def _tail(path: Path, size: int) -> bytes:
    """Return the end of a log, across the files that it was split into."""
    content = _end_of(path, size)
    for suffix in _OLDER:
        if len(content) >= size:
            break
        older = path.with_name(path.name + suffix)
        content = _end_of(older, size - len(content)) + content
    return content


def _end_of(path: Path, size: int) -> bytes:
    try:
        with path.open("rb") as stream:
            length = stream.seek(0, 2)
            stream.seek(max(0, length - size))
            return stream.read(size)
    except FileNotFoundError:
        return b""


def _denied(error: PermissionError) -> PermissionDenied:
    return PermissionDenied(
        f"logs cannot be read: {error}",
        hint="read them as the user who deploys",
        operation="logs.read",
        backend=BACKEND,
    )
