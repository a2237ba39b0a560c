"""What a checker says of a history: an order that explains it, or what has none."""

import textwrap
from typing import Generic, TypeVar

import attrs

from immutable.testing.linearizability.history import Operation

_C = TypeVar("_C")
_A = TypeVar("_A")
_C_co = TypeVar("_C_co", covariant=True)
_A_co = TypeVar("_A_co", covariant=True)
_S_co = TypeVar("_S_co", covariant=True)


@attrs.frozen(kw_only=True)
class Explained(Generic[_C_co, _A_co]):
    """The history is linearizable, for instance in this order.

    Operations without an answer that are not in it had no effect.
    """

    order: tuple[Operation[_C_co, _A_co], ...]

    def __str__(self) -> str:
        steps = "; ".join(f"{one.process} {one}" for one in self.order)
        return textwrap.fill(f"linearizable: {steps}", width=86)


@attrs.frozen(kw_only=True)
class Unexplained(Generic[_C_co, _A_co, _S_co]):
    """The history is not linearizable.

    ``prefix`` is the shortest beginning of it that has no order: what had not returned
    by then has no answer in it. ``explained`` is as much of the prefix as can be put
    into an order, and ``state`` what the register is after that.
    """

    prefix: tuple[Operation[_C_co, _A_co], ...]
    explained: tuple[Operation[_C_co, _A_co], ...]
    state: _S_co

    def __str__(self) -> str:
        times = [_times(one, self.prefix[0].called) for one in self.prefix]
        width = max(map(len, times))
        rows = [
            f"  {number:2}  {time:{width}}  {one.process}  {one}"
            for number, (time, one) in enumerate(
                zip(times, self.prefix, strict=True), 1
            )
        ]
        numbers = {id(one): number for number, one in enumerate(self.prefix, 1)}
        most = ", ".join(str(numbers[id(one)]) for one in self.explained)
        return "\n".join(
            [
                f"no order explains these {len(rows)} operations, by time since the first:",
                *rows,
                f"the most that can be explained is, in this order: {most or 'nothing'}",
                f"then the register is {self.state}, and nothing that is left fits",
            ]
        )


def _times(operation: Operation[_C, _A], first: float) -> str:
    if operation.returned is None:
        return f"{operation.called - first:.6g} to …"
    return f"{operation.called - first:.6g} to {operation.returned - first:.6g}"
