"""Whether what a recipe is given can ever work; asked before anything is built."""

import os
import re
import shlex
from collections.abc import Iterable, Mapping
from pathlib import PurePosixPath

from immutable.errors import InvalidInput
from immutable.images import given

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
    hint = 'give names one by one: .packages("nginx", "curl")'
    wanted = [given.text(name, "package", hint=hint) for name in names]
    bad = [name for name in wanted if not _PACKAGE.fullmatch(name)]
    if bad or not names:
        raise InvalidInput(
            f"packages {bad or names!r} cannot be installed", hint="give package names"
        )
    return names


def check_target(path: str | os.PathLike[str]) -> PurePosixPath:
    """Return an absolute path inside an image.

    Raises:
        InvalidInput: it is not absolute, or leaves the image.
    """
    plain = str(given.path(path, "target"))
    # POSIX lets two leading slashes mean something else, and pathlib keeps them.
    target = PurePosixPath(re.sub("^/+", "/", plain))
    if not target.is_absolute():
        raise InvalidInput(f"target {plain!r} is not absolute", hint="begin it with /")
    if ".." in target.parts:
        hint = "write the path without .."
        raise InvalidInput(f"target {plain!r} may lead out of the image", hint=hint)
    return target


def check_user(name: str) -> str:
    """Return the name of a user or group.

    Raises:
        InvalidInput: none can have it.
    """
    if not _USER.fullmatch(given.text(name, "user")):
        raise InvalidInput(
            f"{name!r} is no name of a user or group", hint="use [a-z0-9_-]"
        )
    return name


def check_uid(uid: int | None) -> int | None:
    """Return a user's number, or None.

    Raises:
        InvalidInput: it is root's, or not for users.
    """
    if uid is not None and (isinstance(uid, bool) or uid not in _UIDS):
        hint = "use a number from 1 to 59999"
        raise InvalidInput(f"uid {uid!r} cannot be used", hint=hint)
    return uid


def check_service(name: str, command: tuple[str, ...]) -> tuple[str, ...]:
    """Return a service's program and arguments; one string is split as by a shell.

    Raises:
        InvalidInput: the name or the command cannot be used.
    """
    hint = f'give words one by one: .service({name!r}, "/usr/bin/app", "--port=80")'
    words = tuple(given.text(word, "command", hint=hint) for word in command)
    argv = _split(words[0]) if len(words) == 1 else words
    if not _SERVICE.fullmatch(given.text(name, "service")):
        hint = "begin with a letter; use [a-z0-9-], at most 31"
        raise InvalidInput(f"no service can be called {name!r}", hint=hint)
    if not argv or not argv[0].startswith("/"):
        raise InvalidInput(
            f"service {name!r} with command {argv!r} cannot be started",
            hint="begin with a program by its absolute path",
        )
    return argv


def _split(command: str) -> tuple[str, ...]:
    try:
        return tuple(shlex.split(command))
    except ValueError as exc:
        message = f"command {command!r} cannot be split into words: {exc}"
        raise InvalidInput(message, hint="close its quotes") from exc


def check_variables(
    service: str, environment: Mapping[str, str] | None
) -> Mapping[str, str]:
    """Return variables that a shell can set.

    Raises:
        InvalidInput: one has another name, or it is no mapping.
    """
    found = given.variables(environment, "environment")
    bad = [key for key in found if not _VARIABLE.fullmatch(key)]
    if bad:
        message = f"service {service!r} cannot be given the variables {bad}"
        raise InvalidInput(message, hint="name them with letters, digits and _")
    return found


def check_groups(groups: Iterable[str]) -> tuple[str, ...]:
    """Return names of groups.

    Raises:
        InvalidInput: it is one text, or none can have such a name.
    """
    return tuple(map(check_user, given.texts(groups, "groups")))


def check_command(command: str) -> str:
    """Return a command for a shell.

    Raises:
        InvalidInput: it is empty, or no text.
    """
    hint = "write one line, as in a shell"
    if not given.text(command, "command", hint=hint).strip():
        raise InvalidInput("an empty command does nothing", hint="leave it out")
    return command


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


def check_run_list(items: tuple[str, ...]) -> tuple[str, ...]:
    """Return the items of Chef's run list.

    Raises:
        InvalidInput: there are none, or one is no text.
    """
    hint = 'give items one by one: "recipe[one]", "recipe[two]"'
    if not items:
        raise InvalidInput("the run list is empty", hint=hint)
    return tuple(given.text(item, "run list", hint=hint) for item in items)
