"""What two images have otherwise, as values."""

from collections.abc import Iterator
from typing import Literal

import attrs

from immutable.images.brief import few

Kind = Literal["device", "directory", "file", "link", "pipe", "socket"]
What = Literal[
    "added", "attributes", "content", "kind", "mode", "owner", "removed", "target"
]
_PRIVILEGED = 0o6000
_WORLD_WRITABLE = 0o002
_STICKY = 0o1000
_CAPABILITY = "security.capability"


@attrs.frozen(kw_only=True)
class Facts:
    """What a path of an image is, its content left out.

    ``target`` is where a link leads, or which device it is; ``size_bytes`` is that of a
    file, and 0 for all else.
    """

    kind: Kind
    mode: int
    uid: int
    gid: int
    size_bytes: int = 0
    target: str = ""
    attributes: tuple[tuple[str, bytes], ...] = ()

    @property
    def is_privileged(self) -> bool:
        """Return whether it gives rights: set-uid, capabilities, writable by everybody."""
        if self.kind == "link":
            return False
        open_to_all = self.mode & _WORLD_WRITABLE and not self.mode & _STICKY
        capable = any(name == _CAPABILITY for name, _ in self.attributes)
        sets_id = self.kind == "file" and self.mode & _PRIVILEGED
        return bool(open_to_all or sets_id or capable or self.kind == "device")


@attrs.frozen(kw_only=True)
class PathChange:
    """A path that is in one image only, or is something else in the other.

    ``package`` is the installed package that it belongs to, where one says so.
    """

    path: str
    before: Facts | None
    after: Facts | None
    has_other_content: bool = False
    package: str = ""

    @property
    def what(self) -> tuple[What, ...]:
        """Return in which ways it differs."""
        if self.before is None:
            return ("added",)
        if self.after is None:
            return ("removed",)
        return tuple(_ways(self.before, self.after, content=self.has_other_content))

    @property
    def growth_bytes(self) -> int:
        """Return by how much it is larger; negative where it is smaller."""
        before, after = self.before, self.after
        grown = after.size_bytes if after else 0
        return grown - (before.size_bytes if before else 0)

    @property
    def is_privileged(self) -> bool:
        """Return whether it gives rights in either image."""
        return any(each.is_privileged for each in (self.before, self.after) if each)


@attrs.frozen(kw_only=True)
class PackageChange:
    """A package with its versions in both images; empty where it is not there.

    A Python package may be there several times, in several environments.
    """

    kind: Literal["deb", "pypi"]
    name: str
    architecture: str = ""
    before: tuple[str, ...]
    after: tuple[str, ...]


@attrs.frozen(kw_only=True)
class ImageDiff:
    """What two images have otherwise; each path is in one of the three lists.

    All are in order of name. ``configuration`` is what is below ``/etc``, ``services``
    what is started at boot, ``files`` all else. Times are not compared. Printed, it is what
    matters most of each, and how many more there are.
    """

    packages: tuple[PackageChange, ...] = attrs.field(default=(), repr=few)
    services: tuple[PathChange, ...] = attrs.field(default=(), repr=few)
    configuration: tuple[PathChange, ...] = attrs.field(default=(), repr=few)
    files: tuple[PathChange, ...] = attrs.field(default=(), repr=few)
    size_before_bytes: int = 0
    size_after_bytes: int = 0

    @property
    def is_identical(self) -> bool:
        """Return whether they have all in common but times."""
        return not (self.packages or self.paths)

    @property
    def paths(self) -> tuple[PathChange, ...]:
        """Return every path that differs."""
        return self.services + self.configuration + self.files

    def __str__(self) -> str:
        """Return what matters most, in a limited number of lines."""
        from immutable.images.diffing.telling import tell

        return tell(self)


def _ways(before: Facts, after: Facts, *, content: bool) -> Iterator[What]:
    if before.kind != after.kind:
        yield "kind"
    if content:
        yield "content"
    if before.kind == after.kind and before.target != after.target:
        yield "target"
    if before.mode != after.mode:
        yield "mode"
    if (before.uid, before.gid) != (after.uid, after.gid):
        yield "owner"
    if before.attributes != after.attributes:
        yield "attributes"
