"""The register that HAProxy's map is: its versions move more often than its routing."""

from typing import TypeAlias

import attrs

from immutable.testing.linearizability import (
    Answer,
    Call,
    Conflicted,
    Operation,
    Read,
    Register,
    Touch,
    Unseen,
    Write,
    compare_and_set,
)


@attrs.frozen(kw_only=True)
class Restart:
    """HAProxy was killed, and serves the same routing at a version of its own."""

    def __str__(self) -> str:
        return "restart"


@attrs.frozen(kw_only=True)
class Prepare:
    """A writer was handed the next number of the map, and readers can see that."""

    write: Write | Touch

    def __str__(self) -> str:
        return f"prepare to {self.write}"


@attrs.frozen(kw_only=True)
class Map:
    """HAProxy's register, and the change that was prepared from what it was before."""

    register: Register
    prepared: Write | Touch | None = None

    def __str__(self) -> str:
        return str(self.register)


Step: TypeAlias = Call | Restart | Prepare
Calls: TypeAlias = tuple[Operation[Call, Answer], ...]
Recorded: TypeAlias = tuple[Operation[Step, Answer], ...]


def haproxy_map(state: Map, call: Step, answer: Answer | None) -> Map | None:
    """Say what HAProxy's map is after a step of a history.

    A write has two steps. The first hands out a number, which gives the old routing
    another version; the second changes the routing, if nothing came between. A writer
    that dies in the middle leaves it at that. Whose preparation it is shows by the value
    that is to be written; two equal touches are not told apart.
    """
    register = state.register
    if isinstance(call, Restart):
        return Map(register=attrs.evolve(register, version=Unseen()))
    if isinstance(call, Prepare):
        touch = Touch(expected=call.write.expected)
        return _after(compare_and_set(register, touch, None), call.write)
    if isinstance(call, Read) or isinstance(answer, Conflicted):
        return _after(compare_and_set(register, call, answer), state.prepared)
    if state.prepared == call:
        register = attrs.evolve(register, version=call.expected)
    return _after(compare_and_set(register, call, answer), None)


def _after(register: Register | None, prepared: Write | Touch | None) -> Map | None:
    if register is None:
        return None
    return Map(register=register, prepared=prepared)


def with_preparations(recorded: Calls) -> Recorded:
    """Return the history with the first step of each write beside the write."""
    done = tuple(one for one in recorded if one.answer != Conflicted())
    return (*recorded, *prepared(done))


def prepared(writes: Calls) -> Recorded:
    """Return the first steps of writes: of refused ones they may be all there was."""
    return tuple(
        Operation(
            process=one.process,
            call=Prepare(write=one.call),
            called=one.called,
            returned=one.returned,
        )
        for one in writes
        if isinstance(one.call, Write | Touch)
    )
