"""Whether a file, directory or link is there, and what it is like."""

import hashlib
import re
import stat
from collections.abc import Iterator
from pathlib import Path, PurePosixPath
from typing import BinaryIO, Literal

import attrs

from immutable.errors import InvalidInput
from immutable.images.proof.checking import (
    Judgement,
    digest_of_check,
    failed,
    passed,
    undecided,
)
from immutable.images.proof.places import Place, Root, Target
from immutable.images.proof.texts import Text, Texts, as_texts, unmet
from immutable.images.unbooted import Found, OutOfReach, find, opened, read_lines
from immutable.model import Digest

Kind = Literal["directory", "file", "link"]
_KINDS = {stat.S_IFDIR: "directory", stat.S_IFREG: "file", stat.S_IFLNK: "link"}
_BLOCK_BYTES = 1 << 20
_USERS_LIMIT_BYTES = 1 << 20
_SHA256 = re.compile(r"[0-9a-f]{64}")


def _mode(value: int | str | None) -> int | None:
    try:
        return int(value, 8) if isinstance(value, str) else value
    except ValueError as exc:
        raise InvalidInput(f"{value!r} is no mode", hint='write "0644"') from exc


@attrs.frozen(kw_only=True)
class File:
    """A path that must be there, and be so; or must not be there."""

    path: PurePosixPath = attrs.field(converter=PurePosixPath)
    exists: bool = True
    kind: Kind | None = None
    mode: int | None = attrs.field(default=None, converter=_mode)
    owner: str | None = None
    group: str | None = None
    link: str | None = None
    contains: tuple[Text, ...] = attrs.field(default=(), converter=as_texts)
    sha256: str | None = attrs.field(default=None)

    @path.validator
    def _check_path(self, _attribute: object, value: PurePosixPath) -> None:
        if not value.is_absolute():
            raise InvalidInput(f"{value} is not absolute", hint="begin it with /")

    @sha256.validator
    def _check_sha256(self, _attribute: object, value: str | None) -> None:
        if value is not None and not _SHA256.fullmatch(value):
            raise InvalidInput(
                f"{value!r:.80} is no SHA-256", hint="write 64 lower-case hex digits"
            )

    def __attrs_post_init__(self) -> None:
        """Refuse to ask anything of what must not be there."""
        asked = (self.kind, self.mode, self.owner, self.group, self.link, self.sha256)
        if not self.exists and (self.contains or any(a is not None for a in asked)):
            raise InvalidInput(
                f"{self.path} must not exist and is to be like something",
                hint="ask for one of the two",
            )

    @property
    def name(self) -> str:
        """Return the name under which it is recorded."""
        return f"file({self.path}{'' if self.exists else ', exists=False'})"

    @property
    def needs(self) -> tuple[Place, ...]:
        """Return the root."""
        return (Place.ROOT,)

    @property
    def digest(self) -> Digest:
        """Return a digest of what is asked for."""
        return digest_of_check(self)

    def judge(self, target: Target) -> Judgement:
        """Look at the path inside; where it cannot be read, it is undecided."""
        if not isinstance(target, Root):
            return undecided(self.name, "files are looked at in an unbooted root")
        follow = self.kind != "link" and self.link is None
        try:
            found = find(target.path, self.path, follow=follow)
            problems = list(self._problems(target.path, found))
        except (OSError, OutOfReach) as exc:
            return undecided(self.name, getattr(exc, "strerror", None) or str(exc))
        if problems:
            return failed(self.name, "; ".join(problems))
        return passed(self.name, "is there" if found else "is not there")

    def _problems(self, root: Path, found: Found | None) -> Iterator[str]:
        if found is None or not self.exists:
            if (found is not None) != self.exists:
                yield "is there" if found else "is not there"
            return
        kind = _KINDS.get(stat.S_IFMT(found.status.st_mode), "special")
        if self.kind and kind != self.kind:
            yield f"is a {kind}, not a {self.kind}"
        if self.link is not None and kind == "link":
            yield from _differs("leads to", str(found.path.readlink()), self.link)
        elif self.link is not None:
            yield f"is a {kind}, not a link"
        yield from self._wrong_rights(root, found)
        if self.contains or self.sha256:
            yield from self._wrong_content(found, kind)

    def _wrong_rights(self, root: Path, found: Found) -> Iterator[str]:
        if self.mode is not None:
            mode = stat.S_IMODE(found.status.st_mode)
            yield from _differs("mode", f"{mode:04o}", f"{self.mode:04o}")
        for wanted, number, listed in (
            (self.owner, found.status.st_uid, "/etc/passwd"),
            (self.group, found.status.st_gid, "/etc/group"),
        ):
            if wanted is not None and wanted not in _names(root, listed, number):
                called = " or ".join(_names(root, listed, number))
                yield f"belongs to {called}, not {wanted}"

    def _wrong_content(self, found: Found, kind: str) -> Iterator[str]:
        if kind != "file":
            yield f"is a {kind}, without content"
            return
        with opened(found.path) as stream:
            if missing := unmet(self.contains, stream):
                yield f"does not meet {', '.join(map(str, missing))}"
            if self.sha256:
                yield from _differs("SHA-256", _sha256(stream), self.sha256)


def _differs(what: str, actual: str, wanted: str) -> Iterator[str]:
    if actual != wanted:
        yield f"{what} {actual}, not {wanted}"


def _names(root: Path, listed: str, number: int) -> tuple[str, ...]:
    """Return a user's or group's number, and its names in the image's own list."""
    lines = read_lines(root, listed, limit_bytes=_USERS_LIMIT_BYTES)
    rows = [line.split(":") for line in lines]
    names = [row[0] for row in rows if row[2:3] == [str(number)]]
    return (*names, str(number))


def _sha256(stream: BinaryIO) -> str:
    hasher = hashlib.sha256()
    stream.seek(0)
    while block := stream.read(_BLOCK_BYTES):
        hasher.update(block)
    return hasher.hexdigest()


def file(
    path: str | PurePosixPath,
    *,
    mode: int | str | None = None,
    owner: str | int | None = None,
    group: str | int | None = None,
    contains: Texts = (),
    sha256: str | None = None,
    kind: Kind | None = None,
    link: str | None = None,
    exists: bool = True,
) -> File:
    """Return a check that a path is there and what it is like, links followed inside.

    Args:
        path: absolute.
        mode: permissions, as ``0o644`` or ``"0644"``.
        owner: a user, by the image's own names, or a number.
        group: likewise.
        contains: texts that must all be in it; see `Text` for patterns and their absence.
        sha256: the digest of its content.
        kind: ``"file"``, ``"directory"``, or ``"link"`` for the link itself.
        link: where it must lead, as written in the link.
        exists: False where nothing must be there.

    Raises:
        InvalidInput: an argument that can never work.
    """
    return File(
        path=path,
        exists=exists,
        kind=kind,
        mode=mode,
        owner=None if owner is None else str(owner),
        group=None if group is None else str(group),
        link=link,
        contains=contains,
        sha256=sha256,
    )
