"""The specification of a compare-and-set register."""

from collections.abc import Hashable

import attrs

from immutable.model import Version
from immutable.testing.linearizability.calls import (
    Answer,
    Call,
    Conflicted,
    Read,
    Seen,
    Touch,
    Write,
    Written,
    word,
)


@attrs.frozen(kw_only=True)
class Unseen:
    """A version that nobody has been told yet, and that is none of these."""

    unlike: frozenset[Version] = frozenset()

    def __str__(self) -> str:
        return "nobody was told"


@attrs.frozen(kw_only=True)
class Register:
    """A value and its version; ``used`` are all versions that it is known to have had."""

    value: Hashable
    version: Version | Unseen
    used: frozenset[Version]

    @classmethod
    def holding(cls, value: Hashable, *, version: Version | str) -> "Register":
        """Return a register as the first reading found it."""
        known = Version(version)
        return cls(value=value, version=known, used=frozenset({known}))

    def __str__(self) -> str:
        return f"{word(self.value)} at version {self.version}"


def compare_and_set(
    state: Register, call: Call, answer: Answer | None
) -> Register | None:
    """Say what a compare-and-set register is after an operation: a `Step`.

    Versions are opaque words; each write makes one that there never was before.
    """
    if isinstance(call, Read):
        if not isinstance(answer, Seen) or answer.value != state.value:
            return None
        return _named(state, answer.version)
    if isinstance(answer, Conflicted):
        return _unlike(state, call.expected)
    known = _named(state, call.expected)
    if known is None or isinstance(answer, Seen):
        return None
    return _replaced(known, call, answer)


def _named(state: Register, version: Version) -> Register | None:
    """Return the state, given that its version is this one."""
    if not isinstance(state.version, Unseen):
        return state if state.version == version else None
    if version in state.used or version in state.version.unlike:
        return None
    used = state.used | {version}
    return Register(value=state.value, version=version, used=used)


def _unlike(state: Register, version: Version) -> Register | None:
    """Return the state, given that its version is not this one."""
    if not isinstance(state.version, Unseen):
        return None if state.version == version else state
    if version in state.used or version in state.version.unlike:
        return state
    unlike = Unseen(unlike=state.version.unlike | {version})
    return Register(value=state.value, version=unlike, used=state.used)


def _replaced(
    state: Register, call: Write | Touch, answer: Written | None
) -> Register | None:
    value = call.value if isinstance(call, Write) else state.value
    if answer is None:
        return Register(value=value, version=Unseen(), used=state.used)
    if isinstance(call, Touch) and answer.version == call.expected:
        # Taking away what is not there changes nothing, the version included.
        return state
    if answer.version in state.used:
        return None
    used = state.used | {answer.version}
    return Register(value=value, version=answer.version, used=used)
