"""What a history is made of: operations, and what it says of the register they were for."""

from collections.abc import Callable, Hashable
from typing import Generic, TypeAlias, TypeVar

import attrs

_C = TypeVar("_C")
_A = TypeVar("_A")
_S = TypeVar("_S", bound=Hashable)
# of values that never change: a call of one kind is a call of any of several kinds
_C_co = TypeVar("_C_co", covariant=True)
_A_co = TypeVar("_A_co", covariant=True)

Step: TypeAlias = Callable[[_S, _C, _A | None], _S | None]
"""A register's specification: its state, a call and the answer make the next state.

It returns None where the register, being in that state, cannot have given that answer.
For the answer None, which is "nobody knows", it returns the state after the call's whole
effect, or None where it has none. It must be pure; states are compared and hashed. What
follows from an unknown answer must be one state: let the state say what is not known,
as `Unseen` does.
"""


@attrs.frozen(kw_only=True)
class Operation(Generic[_C_co, _A_co]):
    """One call: who made it, what it was, what was answered, and between which times.

    An operation without an answer took effect once, whole, at some time between
    ``called`` and ``returned``, or never. With ``returned`` None that time has no end:
    give no other where the caller merely stopped waiting.
    """

    process: str
    call: _C_co
    answer: _A_co | None = None
    called: float
    returned: float | None = None

    def __attrs_post_init__(self) -> None:
        if self.returned is None and self.answer is not None:
            raise ValueError(f"{self.process} was answered, but never: {self}")
        if self.returned is not None and self.returned < self.called:
            raise ValueError(f"{self.process} was answered before it asked: {self}")

    def __str__(self) -> str:
        answer = "no answer" if self.answer is None else self.answer
        return f"{self.call}: {answer}"
