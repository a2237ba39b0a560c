"""Whether what a recipe is given can ever work; asked before anything is built."""

import re
import shlex
from collections.abc import Mapping
from pathlib import PurePosixPath

from immutable.errors import InvalidInput

_PACKAGE = re.compile(r"[a-z0-9][a-z0-9+.:-]*(=[A-Za-z0-9.+:~-]+)?")
_SERVICE = re.compile(r"[a-z][a-z0-9-]{0,30}")
_USER = re.compile(r"[a-z_][a-z0-9_-]{0,30}")
_UNIT = re.compile(r"[A-Za-z0-9:_.@-]+\.(service|socket|timer|path|target)")
_VARIABLE = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")
_UIDS = range(1, 60_000)


def check_packages(names: tuple[str, ...]) -> tuple[str, ...]:
    """Return names of packages, each with or without ``=version``.

    Raises:
        InvalidInput: there are none, or one that no package can have.
    """
    bad = [name for name in names if not _PACKAGE.fullmatch(name)]
    if bad or not names:
        raise InvalidInput(
            f"packages {bad or names!r} cannot be installed", hint="give package names"
        )
    return names


def check_target(path: str) -> PurePosixPath:
    """Return an absolute path inside an image.

    Raises:
        InvalidInput: it is not absolute, or leaves the image.
    """
    # POSIX lets two leading slashes mean something else, and pathlib keeps them.
    target = PurePosixPath(re.sub("^/+", "/", path))
    if not target.is_absolute() or ".." in target.parts:
        raise InvalidInput(f"target {path!r} is not absolute", hint="begin it with /")
    return target


def check_user(name: str) -> str:
    """Return the name of a user or group.

    Raises:
        InvalidInput: none can have it.
    """
    if not _USER.fullmatch(name):
        raise InvalidInput(
            f"{name!r} is no name of a user or group", hint="use [a-z0-9_-]"
        )
    return name


def check_uid(uid: int | None) -> int | None:
    """Return a user's number, or None.

    Raises:
        InvalidInput: it is root's, or not for users.
    """
    if uid is not None and uid not in _UIDS:
        raise InvalidInput(f"uid {uid} cannot be used", hint="use 1 to 59999")
    return uid


def check_service(name: str, command: tuple[str, ...]) -> tuple[str, ...]:
    """Return a service's program and arguments; one string is split as by a shell.

    Raises:
        InvalidInput: the name or the command cannot be used.
    """
    argv = tuple(shlex.split(command[0])) if len(command) == 1 else command
    if not _SERVICE.fullmatch(name) or not argv or not argv[0].startswith("/"):
        raise InvalidInput(
            f"service {name!r} with command {argv!r} cannot be started",
            hint="use [a-z0-9-] and a program with an absolute path",
        )
    return argv


def check_variables(service: str, environment: Mapping[str, str]) -> Mapping[str, str]:
    """Return variables that a shell can set.

    Raises:
        InvalidInput: one has another name.
    """
    bad = [key for key in environment if not _VARIABLE.fullmatch(key)]
    if bad:
        message = f"service {service!r} cannot be given the variables {bad}"
        raise InvalidInput(message, hint="name them with letters, digits and _")
    return environment


def check_unit(name: str) -> str:
    """Return the name of a systemd unit.

    Raises:
        InvalidInput: no unit can have it.
    """
    if not _UNIT.fullmatch(name):
        raise InvalidInput(
            f"{name!r} is no unit", hint="name the file as systemd wants it"
        )
    return name
