"""The specification of a register that is made of numbered slots."""

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
    Written,
    word,
)


@attrs.frozen(kw_only=True)
class Slots:
    """Numbered slots of which the highest counts; each can be created only once."""

    value: Hashable
    top: int

    def __str__(self) -> str:
        return f"{word(self.value)} in slot {self.top}"


def slots(state: Slots, call: Call, answer: Answer | None) -> Slots | None:
    """Say what a slot register is after an operation: a `Step`.

    A version is the number of the highest slot. A write creates the one above the
    expected version: where that is taken, somebody else was first. Created late, below
    the highest, it changes nothing and must not be acknowledged: its writer would
    believe that the value is in force.
    """
    version = Version(str(state.top))
    if isinstance(call, Read):
        found = Seen(value=state.value, version=version)
        return state if answer == found else None
    if isinstance(answer, Conflicted):
        return state if call.expected != version else None
    if call.expected != version:
        return None
    if isinstance(call, Touch):
        return state if answer in {None, Written(version=version)} else None
    above = Written(version=Version(str(state.top + 1)))
    if answer not in {None, above}:
        return None
    return Slots(value=call.value, top=state.top + 1)
