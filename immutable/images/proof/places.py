"""What a proof looks at: an unbooted root, and a throw-away instance that has booted."""

import enum
from collections.abc import Iterable, Mapping
from datetime import timedelta
from pathlib import Path
from typing import Protocol

import attrs

from immutable.errors import InvalidInput

_PORTS = range(1, 65536)


class Place(enum.StrEnum):
    """Where a check has to be judged."""

    ROOT = "root"
    BOOTED = "booted"


@attrs.frozen(kw_only=True)
class Ran:
    """What became of a command."""

    status: int
    stdout: bytes = b""
    stderr: bytes = b""


class Runner(Protocol):
    """Runs a command inside the image; what stands behind it is the backend's business."""

    def __call__(self, argv: tuple[str, ...], *, timeout: timedelta) -> Ran:
        """Run a program with its arguments and return what became of it.

        Raises:
            TimeoutError: it did not end in time, and is ended now.
            OSError: commands cannot be run there.
        """
        ...


@attrs.frozen(kw_only=True)
class Root:
    """The files of an image, unpacked, as its instances will see them; read only.

    ``run`` runs commands inside; without it, what needs one is undecided. `contained`
    makes one for a directory.
    """

    path: Path = attrs.field(converter=Path)
    run: Runner | None = attrs.field(default=None, repr=False)

    @path.validator
    def _is_there(self, _attribute: object, value: Path) -> None:
        if not value.is_dir():
            raise InvalidInput(
                f"{value} is no directory", hint="give the root of an unpacked image"
            )


def _ports(
    value: Mapping[int, int] | Iterable[tuple[int, int]],
) -> tuple[tuple[int, int], ...]:
    return tuple(sorted(value.items() if isinstance(value, Mapping) else value))


@attrs.frozen(kw_only=True)
class Booted:
    """An instance that was booted from the image to be looked at, and thrown away.

    ``ports`` says where a port of the instance is reached, for those that are reached at
    another number; ``run`` runs commands inside, where that is possible at all.
    """

    address: str
    ports: tuple[tuple[int, int], ...] = attrs.field(default=(), converter=_ports)
    run: Runner | None = attrs.field(default=None, repr=False)

    def reached_at(self, port: int) -> int:
        """Return the number at which a port of the instance is reached from here."""
        return dict(self.ports).get(port, port)


Target = Root | Booted
"""What one check is judged on."""


def place_of(target: Target) -> Place:
    """Return which of the two places a target is."""
    return Place.ROOT if isinstance(target, Root) else Place.BOOTED


def checked_port(value: int) -> int:
    """Return a port's number.

    Raises:
        InvalidInput: there is no such port.
    """
    if type(value) is not int or value not in _PORTS:
        raise InvalidInput(f"{value!r:.40} is no port", hint="give 1 to 65535")
    return value
