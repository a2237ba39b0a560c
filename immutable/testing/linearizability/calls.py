"""What is asked of a register whose writes name the version that they replace."""

from collections.abc import Hashable
from typing import TypeAlias

import attrs

from immutable.model import Routing, Version


@attrs.frozen(kw_only=True)
class Read:
    """Ask for value and version."""

    def __str__(self) -> str:
        return "read"


@attrs.frozen(kw_only=True)
class Write:
    """Replace the value, if the version is still the expected one."""

    expected: Version
    value: Hashable

    def __str__(self) -> str:
        return f"write {word(self.value)} over version {self.expected}"


@attrs.frozen(kw_only=True)
class Touch:
    """Replace the version, if it is still the expected one, and leave the value.

    Attaching and detaching a fleet do this to a switch's routing.
    """

    expected: Version

    def __str__(self) -> str:
        return f"touch version {self.expected}"


@attrs.frozen(kw_only=True)
class Seen:
    """What a reading found."""

    value: Hashable
    version: Version

    def __str__(self) -> str:
        return f"{word(self.value)} at version {self.version}"


@attrs.frozen(kw_only=True)
class Written:
    """The write was done, and this is the new version."""

    version: Version

    def __str__(self) -> str:
        return f"now version {self.version}"


@attrs.frozen(kw_only=True)
class Conflicted:
    """The version was not the expected one, and nothing was changed."""

    def __str__(self) -> str:
        return "conflict"


Call: TypeAlias = Read | Write | Touch
Answer: TypeAlias = Seen | Written | Conflicted


def word(value: Hashable) -> str:
    """Return a value as people read it in a history."""
    if not isinstance(value, Routing):
        return repr(value)
    shares = [f"{fleet}={weight}" for fleet, weight in value.weights]
    preview = [f"preview={value.preview}"] if value.preview else []
    return " ".join([*shares, *preview]) or "nothing"
