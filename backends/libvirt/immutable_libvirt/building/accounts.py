"""Users and groups of an image, as the files in its ``/etc`` have them. Pure.

The fields are those of https://man7.org/linux/man-pages/man5/passwd.5.html, shadow.5,
group.5 and gshadow.5 (https://manpages.debian.org). Lines that are not understood stay.
"""

from collections.abc import Mapping

import attrs

from immutable.errors import BuildFailed, InvalidInput
from immutable.images.layers import User
from immutable_libvirt.building.process import EPOCH

PASSWD, GROUP, SHADOW, GSHADOW = "passwd", "group", "shadow", "gshadow"
DATABASES = (PASSWD, GROUP, SHADOW, GSHADOW)
Texts = Mapping[str, str]
"""The text of each of the four files, by name."""

_FIRST = 1000
_PASSWD_FIELDS, _GROUP_FIELDS = 7, 4
# The day that shadow(5) counts from is 1970-01-01.
_CHANGED = EPOCH // 86400


@attrs.frozen(kw_only=True)
class Account:
    """A user as an image has it."""

    name: str
    uid: int
    gid: int
    home: str
    shell: str
    groups: frozenset[str] = frozenset()


def find(texts: Texts, name: str) -> Account | None:
    """Return a user of the image; None when there is none of this name."""
    for fields in _lines(texts.get(PASSWD, ""), _PASSWD_FIELDS):
        if fields[0] == name:
            return Account(
                name=name,
                uid=int(fields[2]),
                gid=int(fields[3]),
                home=fields[5],
                shell=fields[6],
                groups=frozenset(_groups_of(texts, name)),
            )
    return None


def need(texts: Texts, name: str) -> Account:
    """Return a user that the image must have.

    Raises:
        BuildFailed: it has none of this name.
    """
    found = find(texts, name)
    if found is None:
        raise _refused(
            f"the image has no user {name!r}", f'add it before: .user("{name}")'
        )
    return found


def add(texts: Texts, user: User) -> Texts:
    """Return the texts with a user and its group; the same ones if it is there already.

    Raises:
        BuildFailed: it is there and is another one, its number or group is taken, or a
            further group is not there.
        InvalidInput: its home or shell cannot be written in these files.
    """
    _check_places(user)
    there = find(texts, user.name)
    if there is not None:
        _check_same(user, there)
        return texts
    _check_groups(texts, user)
    uid = _free(texts, PASSWD, user.uid)
    gid = _free(texts, GROUP, uid, taken_is_fine=user.uid is not None)
    lines = {
        PASSWD: f"{user.name}:x:{uid}:{gid}::{user.home}:{user.shell}\n",
        GROUP: f"{user.name}:x:{gid}:\n",
        SHADOW: f"{user.name}:!:{_CHANGED}:0:99999:7:::\n",
        GSHADOW: f"{user.name}:!::\n",
    }
    return {name: _joined(texts, name, user) + line for name, line in lines.items()}


def _joined(texts: Texts, database: str, user: User) -> str:
    """Return a database in which the user belongs to its further groups."""
    text = texts.get(database, "")
    if text and not text.endswith("\n"):
        text += "\n"
    if database not in {GROUP, GSHADOW}:
        return text
    return "".join(_with_member(line, user) for line in text.splitlines(keepends=True))


def _with_member(line: str, user: User) -> str:
    fields = line.rstrip("\n").split(":")
    if fields[0] not in user.groups or len(fields) != _GROUP_FIELDS:
        return line
    members = [member for member in fields[3].split(",") if member]
    return ":".join([*fields[:3], ",".join([*members, user.name])]) + "\n"


def _free(
    texts: Texts, database: str, wanted: int | None, *, taken_is_fine: bool = False
) -> int:
    """Return a number that nobody has: the wanted one, or the first that suits both."""
    own, both = _numbers(texts, database), _numbers(texts, PASSWD, GROUP)
    if wanted is not None and wanted not in own:
        return wanted
    if wanted is not None and not taken_is_fine:
        raise _refused(f"the image has another user with uid {wanted}", "leave it out")
    return next(n for n in range(_FIRST, 1 << 16) if n not in both)


def _numbers(texts: Texts, *databases: str) -> set[int]:
    return {
        int(fields[2])
        for name in databases
        for fields in _lines(texts.get(name, ""), _GROUP_FIELDS)
    }


def _check_groups(texts: Texts, user: User) -> None:
    names = {fields[0] for fields in _lines(texts.get(GROUP, ""), _GROUP_FIELDS)}
    if missing := sorted(set(user.groups) - names):
        raise _refused(
            f"the image has no group {', '.join(missing)} for user {user.name!r}",
            "install first the packages that bring it",
        )
    if user.name in names:
        raise _refused(
            f"the image has a group {user.name!r}, and no user of this name",
            "choose another name for the user",
        )


def _check_same(user: User, there: Account) -> None:
    wanted = {"home": str(user.home), "shell": str(user.shell)}
    found = {"home": there.home, "shell": there.shell}
    other = [
        f"its {key} is {found[key]}" for key in wanted if wanted[key] != found[key]
    ]
    if user.uid not in {None, there.uid}:
        other.append(f"its uid is {there.uid}")
    if set(user.groups) != there.groups:
        other.append(f"its groups are {', '.join(sorted(there.groups)) or 'none'}")
    if other:
        raise _refused(
            f"the image has a user {user.name!r} already: {'; '.join(other)}",
            "choose another name, or describe the user as it is",
        )


def _check_places(user: User) -> None:
    for place in (str(user.home), str(user.shell)):
        if ":" in place or not place.isprintable():
            raise InvalidInput(
                f"{place!r} cannot be written in /etc/passwd",
                hint="use a path without colons and control characters",
            )


def _groups_of(texts: Texts, name: str) -> list[str]:
    lines = _lines(texts.get(GROUP, ""), _GROUP_FIELDS)
    return [fields[0] for fields in lines if name in fields[3].split(",")]


def _lines(text: str, fields: int) -> list[list[str]]:
    split = (line.split(":") for line in text.splitlines())
    return [line for line in split if len(line) >= fields and line[2].isdigit()]


def _refused(message: str, hint: str) -> BuildFailed:
    return BuildFailed(message, hint=hint, operation="images.build", backend="libvirt")
