"""The root of an image in ``memory://``: what its layers place. What they run, is not run."""

import shlex
from pathlib import PurePosixPath

from immutable.images.layers import NO_HOME, Daemon, Files, Layer, Unit, User
from immutable.images.lock import Lock
from immutable.images.origins import Existing
from immutable.images.packages import STATUS
from immutable.images.record import ImageRecord
from immutable.testing.memory.archive import Archive
from immutable.testing.memory.laying import Laying

_PROGRAM = 0o755
_FIRST_UID = 1000
_PASSWD, _GROUP = PurePosixPath("/etc/passwd"), PurePosixPath("/etc/group")
_SERVICES = PurePosixPath("/usr/lib/immutable/services")
_UNITS = PurePosixPath("/etc/systemd/system")
_RELEASE = PurePosixPath("/etc/os-release")


def lay_image(record: ImageRecord, archive: Archive, laying: Laying) -> None:
    """Lay out an image, and before it what it was built upon."""
    if isinstance(record.origin, Existing):
        below = archive.records.get(record.origin.image)
        if below is not None:
            lay_image(below, archive, laying)
    elif isinstance(record.origin, str):
        system, _, version = record.origin.partition(":")
        text = f'ID={system}\nVERSION_ID="{version}"\n'
        laying.write(_RELEASE, text.encode())
    for layer in record.layers:
        _lay(layer, archive, laying)
    _install(record.lock, laying)


def _lay(layer: Layer, archive: Archive, laying: Laying) -> None:
    match layer:
        case Files():
            archive.lay(layer.source, laying, layer.target)
        case Unit():
            archive.lay(layer.source, laying, _UNITS / layer.name)
        case User():
            _add(layer, laying)
        case Daemon():
            laying.write(_SERVICES / layer.name, _script(layer), _PROGRAM)
        case _:
            pass


def _add(user: User, laying: Laying) -> None:
    rows = [line.split(":") for line in laying.read(_PASSWD).splitlines()]
    if user.name in {row[0] for row in rows}:
        return
    uids = [int(row[2]) for row in rows if len(row) > 2 and row[2].isdecimal()]  # noqa: PLR2004 - the third field
    uid = max([_FIRST_UID - 1, *uids]) + 1 if user.uid is None else user.uid
    laying.append(_PASSWD, f"{user.name}:x:{uid}:{uid}::{user.home}:{user.shell}")
    laying.append(_GROUP, f"{user.name}:x:{uid}:")
    if user.home != NO_HOME:
        laying.directory(user.home)


def _script(daemon: Daemon) -> bytes:
    variables = [
        f"export {name}={shlex.quote(value)}" for name, value in daemon.environment
    ]
    lines = ["#!/bin/sh", *variables, f"exec {shlex.join(daemon.command)}"]
    return "".join(f"{line}\n" for line in lines).encode()


def _install(lock: Lock, laying: Laying) -> None:
    """Note packages as dpkg does: they consist of nothing else here."""
    path = PurePosixPath("/", STATUS)
    known = laying.read(path)
    for pin in (pin for entry in lock.entries for pin in entry.pins):
        if f"Package: {pin.name}\n" not in known:
            stanza = (
                f"Package: {pin.name}\nStatus: install ok installed\n"
                f"Version: {pin.version}\nArchitecture: {pin.architecture}\n"
            )
            laying.append(path, stanza)
            known += stanza
